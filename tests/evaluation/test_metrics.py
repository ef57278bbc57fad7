from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import pytrec_eval

from lsb_rag.errors import InvalidInputError, MissingExtraError
from lsb_rag.evaluation import MEASURES, paired_difference, per_query

QRELS = {"q1": {"a": 1}, "q2": {"b": 1, "c": 1}, "q3": {"d": 1}, "q4": {"e": 1}}
RANKINGS = {
    "q1": ["a", "x", "y"],  # first
    "q2": ["x", "b", "y", "c"],  # second and fourth
    "q3": [f"x{n}" for n in range(10)] + ["d"],  # eleventh
}  # q4 has no ranking


def test_values_worked_out_by_hand() -> None:
    values = per_query(QRELS, RANKINGS)
    ideal = 1 + 1 / math.log2(3)
    expected = {
        "hit@1": {"q1": 1, "q2": 0, "q3": 0, "q4": 0},
        "hit@5": {"q1": 1, "q2": 1, "q3": 0, "q4": 0},
        "mrr@10": {"q1": 1, "q2": 0.5, "q3": 0, "q4": 0},
        "ndcg@10": {"q1": 1, "q2": (1 / math.log2(3) + 1 / math.log2(5)) / ideal, "q3": 0, "q4": 0},
        "recall@10": {"q1": 1, "q2": 1, "q3": 0, "q4": 0},
    }
    assert set(values) == set(MEASURES)
    for measure, by_query in expected.items():
        assert values[measure] == pytest.approx(by_query), measure


def test_agreement_with_trec_eval_on_random_rankings() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{n}" for n in range(30)]
    qrels = {f"q{n}": dict.fromkeys(rng.choice(ids, 3, replace=False).tolist(), 1) for n in range(40)}
    rankings = {query: rng.permutation(ids)[:10].tolist() for query in qrels}
    run = {q: {p: 1.0 / r for r, p in enumerate(ranking, start=1)} for q, ranking in rankings.items()}
    names = {"hit@1": "success_1", "hit@5": "success_5", "ndcg@10": "ndcg_cut_10", "recall@10": "recall_10"}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {*names.values(), "recip_rank"})
    theirs = evaluator.evaluate(run)
    ours = per_query(qrels, rankings)
    for measure, name in {**names, "mrr@10": "recip_rank"}.items():
        assert ours[measure] == pytest.approx({query: row[name] for query, row in theirs.items()}), measure


def test_an_interval_worked_out_by_hand() -> None:
    # Of n differences in {0, 1} with mean 1/2, the bootstrap mean is Binomial(n, 1/2) / n.
    arm = {f"q{n}": float(n % 2) for n in range(100)}
    found = paired_difference(arm, dict.fromkeys(arm, 0.0))
    assert (found.delta, found.n) == (0.5, 100)
    assert found.low == pytest.approx(0.40, abs=0.011)
    assert found.high == pytest.approx(0.60, abs=0.011)
    assert paired_difference(arm, dict.fromkeys(arm, 0.0)) == found  # seeded


def test_an_arm_against_itself_and_a_constant_difference() -> None:
    arm = {f"q{n}": n / 7 for n in range(20)}
    assert vars(paired_difference(arm, arm)) == {"delta": 0, "low": 0, "high": 0, "n": 20}
    same = paired_difference(dict.fromkeys(arm, 1.0), dict.fromkeys(arm, 0.75))
    assert (same.delta, same.low, same.high) == (0.25, 0.25, 0.25)


def test_a_null_difference_is_covered_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        arm = dict(enumerate(rng.normal(size=60).tolist()))
        found = paired_difference(arm, dict.fromkeys(arm, 0.0), seed=trial, resamples=400)  # type: ignore[arg-type]
        covered += found.low <= 0 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_arms_over_different_queries_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="same queries"):
        paired_difference({"a": 1.0}, {"b": 1.0})
    with pytest.raises(InvalidInputError, match="at least one"):
        paired_difference({}, {})


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[eval\]"):
        per_query(QRELS, RANKINGS)
