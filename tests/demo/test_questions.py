from __future__ import annotations

import json

import pytest

from lsb_rag import Passage
from lsb_rag.demo.corpus import build_demo_corpus, demo_data
from lsb_rag.demo.questions import QUESTION_FILES, Question, demo_dataset, demo_qrels, load_questions, relevant_passages

# Symbols among several of one question that some supported Python does not have or document.
GONE = {"asyncio.Barrier", "asyncio.Barrier.wait", "pathlib.Path.cwd"}


@pytest.fixture(scope="module")
def corpus() -> list[Passage]:
    return build_demo_corpus()


def test_every_question_has_a_gold_symbol_whose_passage_contains_the_answer(corpus: list[Passage]) -> None:
    symbols = {passage.metadata["symbol"] for passage in corpus}
    for question in load_questions():
        assert set(question.gold) - GONE <= symbols, question
        assert relevant_passages(question, corpus), question


def test_there_are_as_many_as_promised() -> None:
    rows = {
        name: [json.loads(line) for line in (demo_data() / "questions" / name).read_text("utf-8").splitlines()]
        for name in QUESTION_FILES
    }
    assert len(rows["generated.jsonl"]) >= 120
    assert len(rows["handwritten.jsonl"]) >= 60
    assert len(rows["control.jsonl"]) == 40
    everything = [row for part in rows.values() for row in part]
    assert len({row["id"] for row in everything}) == len(everything)
    assert len({row["text"] for row in everything}) == len(everything)
    assert len(load_questions("keyword")) >= 180
    assert len(load_questions("control")) == 40


def test_versions_are_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.13.0")
    on_13 = {question.id for question in load_questions()}
    monkeypatch.setattr("platform.python_version", lambda: "3.11.0rc1")
    on_11 = {question.id for question in load_questions()}
    assert on_11 - on_13
    assert on_11 & on_13


def test_relevance_is_the_gold_symbols_parts_with_the_reference() -> None:
    corpus = [
        Passage("first  PART\nwith 128", id="f#0", metadata={"symbol": "f"}),
        Passage("second part", id="f#1", metadata={"symbol": "f"}),
        Passage("part with 128", id="g#0", metadata={"symbol": "g"}),
    ]
    question = Question("q", "?", "keyword", ("f",), "part with 128")
    assert relevant_passages(question, corpus) == ["f#0"]
    assert demo_qrels([question], corpus) == {"q": {"f#0": 1}}


def test_of_a_part_of_the_corpus_its_own_questions_are_asked(corpus: list[Passage]) -> None:
    whole = demo_dataset(corpus)
    assert (len(whole.queries), whole.left_out) == (len(load_questions()), 0)
    part = demo_dataset([passage for passage in corpus if passage.id.startswith("subprocess.")])
    assert 0 < len(part.queries) == len(part.qrels) == len(load_questions()) - part.left_out
