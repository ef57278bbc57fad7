from __future__ import annotations

import random
from pathlib import Path

import pytest

from lsb_rag import Passage
from lsb_rag.errors import InvalidInputError, ReadError
from lsb_rag.evaluation import draw_tasks, read_beir, write_beir
from lsb_rag.reading import read_passages

from ..conftest import MANUAL

WORDS = [f"word{n}" for n in range(500)]


def corpus(n: int = 40) -> list[Passage]:
    draw = random.Random(1)
    return [Passage(" ".join(draw.choices(WORDS, k=20 + 8 * number)), id=f"p{number}") for number in range(n)]


def test_keyword_queries_are_the_salient_terms_of_their_passage() -> None:
    tasks = draw_tasks(MANUAL, n=7, seed=0)
    keywords = [query for query in tasks.queries if query.kind == "keyword"]
    assert len(keywords) == 7
    contents = {passage.id: passage.content for passage in MANUAL}
    for query in keywords:
        (passage,) = tasks.qrels[query.id]
        terms = query.text.split()
        assert 2 <= len(terms) <= 5
        positions = [contents[passage].index(term) for term in terms]
        assert positions == sorted(positions)
        assert query.drawn
    pump = next(query for query in keywords if "pump" in tasks.qrels[query.id])
    assert "E-4012" in pump.text  # in no other passage
    assert "The" not in pump.text.split()


def test_parts_of_passages_are_spans_of_every_length() -> None:
    passages = corpus()
    tasks = draw_tasks(passages, n=40)
    contents = {passage.id: passage.content for passage in passages}
    lengths = set()
    for query in tasks.queries:
        if query.kind == "part_of_passage":
            (passage,) = tasks.qrels[query.id]
            assert query.text in contents[passage]
            assert query.text != contents[passage]
            lengths.add(len(query.text.split()))
    assert lengths == {16, 32, 64, 128, 256}


def test_the_seed_decides() -> None:
    assert draw_tasks(corpus(), seed=1) == draw_tasks(corpus(), seed=1)
    assert draw_tasks(corpus(), seed=1) != draw_tasks(corpus(), seed=2)
    assert len([q for q in draw_tasks(corpus(), n=3).queries if q.kind == "keyword"]) == 3


def test_written_as_beir_and_read_again(tmp_path: Path) -> None:
    passages = [*corpus(5), Passage("titled text", id="t", title="Title", metadata={"page": 3})]
    tasks = draw_tasks(passages, n=4)
    write_beir(tasks, passages, tmp_path / "tasks")
    again = read_beir(tmp_path / "tasks")
    assert list(again.queries) == list(tasks.queries)
    assert again.qrels == tasks.qrels
    assert read_passages(tmp_path / "tasks") == passages
    with pytest.raises(ReadError, match="not empty"):
        write_beir(tasks, passages, tmp_path / "tasks")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ReadError, match="Cannot write"):
        write_beir(tasks, passages, tmp_path / "file")


def test_a_corpus_that_gives_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="too short"):
        draw_tasks([Passage("a")])
    with pytest.raises(InvalidInputError, match="at least 1"):
        draw_tasks(MANUAL, n=0)
