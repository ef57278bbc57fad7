from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lsb_rag import PassageStore, Retriever
from lsb_rag.errors import GenerationError, InvalidInputError, MissingExtraError, StoreError
from lsb_rag.evaluation import ALL, Dataset, Evaluation, Judge, Query, evaluate, headline, report, summary, write_report
from lsb_rag.evaluation.metric_names import JUDGED, OFFLINE
from lsb_rag.evaluation.reports.files import report_folder
from lsb_rag.evaluation.reports.summary import took
from lsb_rag.evaluation.reports.wording import notes, unjudged
from lsb_rag.evaluation.results import ArmResult
from lsb_rag.generation import NO_ANSWER, Answer, ExtractiveGenerator
from lsb_rag.passage import Hit

from ..chat_server import chat_server
from ..judgements import judgement

DATASET = Dataset(
    "manual",
    [
        Query("q1", "what does E-4012 mean", answers=("the inlet is blocked",)),
        Query("q2", "when is lunch"),
        Query("k1", "zx81 spring", "keyword", drawn=True),
    ],
    {"q1": {"pump": 1}, "q2": {"lunch": 1}, "k1": {"valve": 1}},
    left_out=2,
)


OPEN = Dataset("open", [Query("q1", "what does E-4012 mean")], {"q1": {"pump": 1}})


@pytest.fixture
def evaluation(store: PassageStore) -> Evaluation:
    return evaluate(store, DATASET, arms=["bm25", "lsb"], k=5)


def by_hand(values: dict[str, dict[str, float]]) -> Evaluation:
    """An evaluation with given values of one measure."""
    hits = {query.id: [Hit("pump", 1.0, "text")] for query in DATASET.queries}
    arms = {arm: ArmResult(hits, {"mrr@10": found}, [0.001, 0.003]) for arm, found in values.items()}
    return Evaluation(DATASET, 7, 5, arms, dict.fromkeys(hits, 0.9))


def test_every_arm_finds_what_its_retriever_finds(store: PassageStore, evaluation: Evaluation) -> None:
    assert list(evaluation.arms) == ["vanilla", "bm25", "lsb"]
    for arm, retriever in (("vanilla", Retriever(store, vanilla=True)), ("lsb", Retriever(store))):
        for query in DATASET.queries:
            found = [hit.id for hit in evaluation.arms[arm].hits[query.id]]
            assert found == [hit.id for hit in retriever.search(query.text, 5)]
    assert evaluation.arms["lsb"].values["hit@1"] == {"q1": 1.0, "q2": 1.0, "k1": 1.0}
    assert all(0 < result.latency_ms(50) <= result.latency_ms(95) for result in evaluation.arms.values())
    assert list(evaluation.kinds) == ["question", "keyword", ALL]


def test_means_differences_and_counts_worked_out_by_hand() -> None:
    found = by_hand({"vanilla": {"q1": 0.0, "q2": 1.0, "k1": 0.5}, "lsb": {"q1": 1.0, "q2": 0.5, "k1": math.nan}})
    questions = found.kinds["question"]
    assert found.mean("lsb", "mrr@10", questions) == 0.75
    one = next(c for c in found.comparisons if c.kind == "question")
    assert one.difference.delta == 0.25
    assert (one.difference.wins, one.difference.losses) == (1, 1)
    together = next(c for c in found.comparisons if c.kind == ALL)
    assert together.difference.missing == 1
    written = summary(found)
    assert written["arms"]["lsb"]["keyword"] == {"mrr@10": None, "n": 1, "missing": {"mrr@10": 1}}
    assert took(found)["latency_ms"]["lsb"] == {"p50": pytest.approx(2.0), "p95": pytest.approx(2.9), "n": 2}
    assert written["comparisons"][0] == {
        "arm": "lsb",
        "against": "vanilla",
        "kind": "question",
        "metric": "mrr@10",
        "delta": 0.25,
        "ci95": [-0.5, 1.0],
        "p": 1.0,
        "wins": 1,
        "ties": 0,
        "losses": 1,
        "missing": 0,
    }


def test_an_arm_against_itself_makes_no_difference() -> None:
    same = {"q1": 0.3, "q2": 1.0, "k1": 0.5}
    found = by_hand({"vanilla": same, "lsb": same})
    for one in found.comparisons:
        assert (one.difference.delta, one.difference.low, one.difference.high, one.p) == (0, 0, 0, 1)
    assert "cannot be told" in headline(found)


def repeated(values: dict[str, tuple[float, ...]], measure: str = "mrr@10", times: int = 10) -> Evaluation:
    """An evaluation of so many questions that they can tell; the values come again and again."""
    n = times * len(next(iter(values.values())))
    queries = [Query(f"q{i}", "what?", answers=("that",)) for i in range(n)]
    hits = {query.id: [Hit("pump", 1.0, "text")] for query in queries}
    arms = {}
    for arm, some in values.items():
        by_query = {f"q{i}": some[i % len(some)] for i in range(n)}
        ranking = by_query if measure == "mrr@10" else dict.fromkeys(by_query, 0.5)
        arms[arm] = ArmResult(hits, {"mrr@10": ranking, measure: by_query}, [0.001])
    dataset = Dataset("repeated", queries, {query.id: {"pump": 1} for query in queries})
    return Evaluation(dataset, 7, 5, arms, dict.fromkeys(hits, 0.9), generator="g", contexts=5)


def test_the_headline_says_which_way() -> None:
    low, high = (0.1, 0.1, 0.1), (0.6, 0.6, 0.6)
    better = headline(repeated({"vanilla": low, "lsb": high}))
    assert "LexSemBridge is better than vanilla dense on 30 queries" in better
    assert "MRR@10 0.100 → 0.600, +0.500 [+0.500, +0.500]; 30 won, 0 tied, 0 lost." in better
    assert "is worse than" in headline(repeated({"vanilla": high, "lsb": low}))
    assert "cannot be told from vanilla dense" in headline(repeated({"vanilla": low, "lsb": (0.1, 0.6, -0.4)}))
    assert "alone was run" in headline(repeated({"vanilla": high}))
    few = headline(repeated({"vanilla": low, "lsb": high}, times=9))
    assert "LexSemBridge cannot be told, with so few queries, from vanilla dense on 27 queries" in few
    # Of the queries asked; the drawn one does not count.
    values = dict.fromkeys(["q1", "q2", "k1"], 0.1)
    assert "on 2 queries" in headline(by_hand({"vanilla": values, "lsb": values}))


def test_the_headline_speaks_of_the_answers_there_are() -> None:
    nan = math.nan
    partly = repeated({"vanilla": (0.0, nan, 1.0), "lsb": (1.0, 1.0, 1.0)}, "answer_correctness", times=20)
    assert "Its answers: answer correctness 0.500 → 1.000, +0.500" in headline(partly)
    assert "n = 40." in headline(partly)
    # Where the judge judged nothing, the answers are still those that were compared without it.
    for result in partly.arms.values():
        result.values["string_present"] = dict.fromkeys(partly.heaviness, 1.0)
        result.values["answer_correctness"] = dict.fromkeys(partly.heaviness, nan)
    assert "Its answers: string presence 1.000 → 1.000" in headline(partly)
    assert "answer correctness" not in headline(partly)


def test_tables_say_of_how_many_queries_a_mean_is() -> None:
    found = repeated({"vanilla": (0.0, math.nan, 1.0), "lsb": (1.0, 1.0, 1.0)}, "faithfulness")
    assert "| vanilla dense | 0.500 (n 20) |" in report(found)
    assert "| LexSemBridge | 1.000 | +0.500" in report(found)
    assert "question: faithfulness of 20 queries only" in " ".join(notes(found))
    none = repeated({"vanilla": (math.nan,), "lsb": (math.nan,)}, "faithfulness", times=30)
    assert "| LexSemBridge | \u2013 |  |  |  |" in report(none)


def test_a_measure_without_values_costs_the_others_nothing() -> None:
    values = {"vanilla": (0.1, 0.2, 0.3), "lsb": (0.2, 0.2, 0.4)}
    alone, beside = repeated(values), repeated(values)
    for result in beside.arms.values():
        result.values["faithfulness"] = dict.fromkeys(beside.heaviness, math.nan)
    p = {c.measure: c.p for c in beside.comparisons}
    assert p["mrr@10"] == alone.comparisons[0].p
    assert math.isnan(p["faithfulness"])
    assert next(c for c in summary(beside)["comparisons"] if c["metric"] == "faithfulness")["p"] is None


def test_what_comes_from_outside_is_plain_text_in_the_report() -> None:
    found = repeated({"vanilla": (0.1,), "lsb": (0.2,)}, times=30)
    hostile = "<img src=x onerror=alert(1)>\n\n# pwn \x1b[31m"
    queries = [replace(query, kind=hostile) for query in found.dataset.queries]
    written = report(replace(found, dataset=Dataset(hostile, queries, found.dataset.qrels)))
    assert "<img" not in written
    assert "\x1b" not in written
    assert not [line for line in written.splitlines() if line.startswith("# pwn")]


def test_relevant_passages_that_are_not_there_are_said(store: PassageStore) -> None:
    partly = Dataset("partly", DATASET.queries, {**DATASET.qrels, "q2": {"gone": 1}})
    found = evaluate(store, partly, arms=[])
    assert "1 of the relevant passages are not in the collection" in " ".join(notes(found))
    assert summary(found)["relevant_not_in_collection"] == 1


def test_the_reader_is_told_what_limits_the_figures(evaluation: Evaluation) -> None:
    said = " ".join(notes(evaluation))
    assert "only 2 queries" in said
    assert "2 queries without a relevant passage were left out" in said
    assert "favour BM25 by construction" in said
    assert "keyword, n = 1 (drawn from passages, not asked)" in report(evaluation)


def test_the_files(
    tmp_path: Path, store: PassageStore, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(evaluation, store, tmp_path / "report")
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "report").iterdir()}
    assert set(files) == {"summary.json", "rows.jsonl", "config.json", "run.json", "report.md", "report.html"}
    assert json.loads(files["summary.json"]) == summary(evaluation)
    rows = [json.loads(line) for line in files["rows.jsonl"].splitlines()]
    assert len(rows) == 9
    row = next(row for row in rows if (row["query_id"], row["arm"]) == ("q1", "lsb"))
    assert row["ids"][0] == "pump"
    assert row["relevant"] == ["pump"]
    assert row["references"] == ["the inlet is blocked"]
    assert len(row["contexts"]) == len(row["scores"]) == 5
    config = json.loads(files["config.json"])
    assert config["backbone"]["backbone"] == "all-MiniLM-L6-v2"
    assert config["arms"] == ["vanilla", "bm25", "lsb"]
    assert (config["passages"], config["queries"]) == (7, {"question": 2, "keyword": 1, "all": 3})
    assert len(config["dataset_sha256"]) == 64
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"jinja2 and matplotlib.*lsb-rag\[eval\]"):
        report_folder(tmp_path)
    monkeypatch.undo()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot write the report"):
        write_report(evaluation, store, tmp_path / "file")


class Answering:
    """Answers with the first passage found; fails for the question in `failing`."""

    name = "answering"

    def __init__(self, failing: str = "", refuse: bool = False) -> None:
        self.failing = failing
        self.refuse = refuse
        self.given: list[int] = []

    def answer(self, question: str, hits: Sequence[Hit]) -> Answer:
        self.given.append(len(hits))
        if question == self.failing:
            raise GenerationError("no")
        if self.refuse:
            return Answer(NO_ANSWER)
        return Answer(f"{hits[0].text} [1]", (hits[0].id,))


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
    assert "answer correctness" in headline(found)
    assert "RAGAS with a judge" in report(found)
    write_report(found, store, tmp_path / "report")
    assert all("password" not in path.read_text("utf-8") for path in (tmp_path / "report").iterdir())
    assert unjudged(found) == ""
    refusing = Answering(refuse=True)
    with chat_server(judgement) as server:
        refused = evaluate(store, OPEN, arms=["lsb"], generator=refusing, judge=Judge("m", server.url))
    assert unjudged(refused) == ""  # there was nothing to judge
    dead = evaluate(store, DATASET, arms=[], generator=Answering(), judge=Judge("m", server.url, retries=0))
    assert f"The judge m@{server.url} judged nothing: no connection to the judge." in unjudged(dead)
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
