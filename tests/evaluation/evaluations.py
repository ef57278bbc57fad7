"""Datasets, evaluations and a generator for the tests of evaluating."""

from __future__ import annotations

from collections.abc import Sequence

from lsb_rag.errors import GenerationError
from lsb_rag.evaluation import Dataset, Evaluation, Query
from lsb_rag.evaluation.results import ArmResult
from lsb_rag.generation import NO_ANSWER, Answer
from lsb_rag.passage import Hit

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


def by_hand(values: dict[str, dict[str, float]]) -> Evaluation:
    """An evaluation with given values of one measure."""
    hits = {query.id: [Hit("pump", 1.0, "text")] for query in DATASET.queries}
    arms = {arm: ArmResult(hits, {"mrr@10": found}, [0.001, 0.003]) for arm, found in values.items()}
    return Evaluation(DATASET, 7, 5, arms, dict.fromkeys(hits, 0.9))


def repeated(values: dict[str, tuple[float, ...]], measure: str = "mrr@10", times: int = 10) -> Evaluation:
    """An evaluation with enough questions to tell arms apart; the values are repeated in turn."""
    n = times * len(next(iter(values.values())))
    queries = [Query(f"q{i}", f"what is {i}?", answers=("that",)) for i in range(n)]
    hits = {query.id: [Hit("pump", 1.0, "text")] for query in queries}
    arms = {}
    for arm, some in values.items():
        by_query = {f"q{i}": some[i % len(some)] for i in range(n)}
        ranking = by_query if measure == "mrr@10" else dict.fromkeys(by_query, 0.5)
        arms[arm] = ArmResult(hits, {"mrr@10": ranking, measure: by_query}, [0.001])
    dataset = Dataset("repeated", queries, {query.id: {"pump": 1} for query in queries})
    return Evaluation(dataset, 7, 5, arms, dict.fromkeys(hits, 0.9), generator="g", contexts=5)


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
