from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lsb_rag import PassageStore, Retriever
from lsb_rag.errors import InvalidInputError
from lsb_rag.evaluation import ALL, Dataset, Evaluation, Judge, evaluate, headline, report, summary, write_report
from lsb_rag.evaluation.metric_names import JUDGED, OFFLINE
from lsb_rag.evaluation.reports.wording import judge_problem, notes
from lsb_rag.generation import ExtractiveGenerator

from ..chat_server import chat_server
from ..judgements import judgement
from .evaluations import DATASET, Answering


def test_every_arm_finds_what_its_retriever_finds(store: PassageStore, evaluation: Evaluation) -> None:
    assert list(evaluation.arms) == ["vanilla", "bm25", "lsb"]
    for arm, retriever in (("vanilla", Retriever(store, vanilla=True)), ("lsb", Retriever(store))):
        for query in DATASET.queries:
            found = [hit.id for hit in evaluation.arms[arm].hits[query.id]]
            assert found == [hit.id for hit in retriever.search(query.text, 5)]
    assert evaluation.arms["lsb"].values["hit@1"] == {"q1": 1.0, "q2": 1.0, "k1": 1.0}
    assert all(0 < result.latency_ms(50) <= result.latency_ms(95) for result in evaluation.arms.values())
    assert list(evaluation.kinds) == ["question", "keyword", ALL]


def test_relevant_passages_that_are_not_there_are_said(store: PassageStore) -> None:
    partly = Dataset("partly", DATASET.queries, {**DATASET.qrels, "q2": {"gone": 1}})
    found = evaluate(store, partly, arms=[])
    assert "1 of the relevant passages are not in the collection" in " ".join(notes(found))
    assert summary(found)["relevant_not_in_collection"] == 1


def test_answers_are_scored_beside_the_ranking(store: PassageStore, tmp_path: Path) -> None:
    generator = Answering("when is lunch")
    steps: list[tuple[str, int, int]] = []
    found = evaluate(
        store, DATASET, arms=["lsb"], k=5, contexts=2, generator=generator, progress=lambda *step: steps.append(step)
    )
    assert set(generator.given) == {2}
    values = found.arms["lsb"].values
    assert values["string_present"]["q1"] == 1
    assert values["id_based_context_precision"]["q1"] == 1 / 2
    assert math.isnan(values["string_present"]["q2"])
    assert found.arms["lsb"].answers["q2"] is None
    written = summary(found)
    assert written["arms"]["lsb"]["question"]["missing"]["string_present"] == 1
    one = next(c for c in written["comparisons"] if (c["kind"], c["metric"]) == ("question", "string_present"))
    assert one["missing"] == 1
    said = " ".join(notes(found))
    assert "Answers by answering from the first 2 passages found" in said
    assert "no value, because the generator failed (vanilla dense 1, LexSemBridge 1)" in said
    assert "no value, because the question has no reference answer (vanilla dense 1, LexSemBridge 1)" in said
    assert "Its answers: string presence 1.000 → 1.000, +0.000 [+0.000, +0.000], n = 1." in headline(found)
    write_report(found, store, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    row = next(row for row in rows if (row["query_id"], row["arm"]) == ("q1", "lsb"))
    assert row["answer"].endswith("Clean the filter. [1]")
    assert row["citations"] == ["pump"]
    failed = next(row for row in rows if (row["query_id"], row["arm"]) == ("q2", "lsb"))
    assert failed["answer"] is None
    assert failed["reasons"]["string_present"] == "the generator failed"
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert (config["generator"], config["contexts"], config["judge"]) == ("answering", 2, None)
    assert config["libraries"]["ragas"]
    assert list(dict.fromkeys(step for step, _, _ in steps)) == [
        "reading the collection",
        "searching, vanilla dense",
        "searching, LexSemBridge",
        "answering",
        "scoring",
        "comparing",
    ]


async def test_in_a_running_loop_as_in_a_notebook(store: PassageStore) -> None:
    found = evaluate(store, DATASET, arms=["lsb"], generator=ExtractiveGenerator(store.encoder))
    assert set(OFFLINE[:3]) < set(found.arms["lsb"].values)


def test_the_judge_takes_part(store: PassageStore, tmp_path: Path) -> None:
    with chat_server(judgement) as server:
        judge = Judge("judge-1", server.url.replace("http://", "http://user:password@"))
        found = evaluate(store, DATASET, arms=["lsb"], generator=Answering(), judge=judge, cache=tmp_path / "cache")
        assert found.usage.requests == len(server.requests) > 0
        again = evaluate(store, DATASET, arms=["lsb"], generator=Answering(), judge=judge, cache=tmp_path / "cache")
    assert again.usage.requests == 0
    assert summary(again) == summary(found)
    assert set(JUDGED) < set(found.arms["lsb"].values)
    assert f"Judged by judge-1@{server.url}" in " ".join(notes(found))
    assert "RAGAS with a judge" in report(found)
    write_report(found, store, tmp_path / "report")
    assert all("password" not in path.read_text("utf-8") for path in (tmp_path / "report").iterdir())
    assert judge_problem(found) == ""
    with pytest.raises(InvalidInputError, match="give a generator too"):
        evaluate(store, DATASET, judge=judge)


def test_what_cannot_be_evaluated_is_refused(store: PassageStore) -> None:
    with pytest.raises(InvalidInputError, match="no arm 'nonsense'; choose from vanilla"):
        evaluate(store, DATASET, arms=["nonsense"])
    with pytest.raises(InvalidInputError, match="k must be"):
        evaluate(store, DATASET, k=0)
    elsewhere = Dataset("other", DATASET.queries, {query.id: {"elsewhere": 1} for query in DATASET.queries})
    with pytest.raises(InvalidInputError, match="None of the 1 relevant passages of other"):
        evaluate(store, elsewhere)
    partly = Dataset("partly", DATASET.queries, {**elsewhere.qrels, "q1": {"pump": 1}})
    assert evaluate(store, partly, arms=[]).absent == 1
    with pytest.raises(InvalidInputError, match="seed must be"):
        evaluate(store, DATASET, seed=-1)
    with pytest.raises(InvalidInputError, match="concurrency must be"):
        evaluate(store, DATASET, concurrency=0)
