from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import pytrec_eval

from lsb_rag.errors import MissingExtraError
from lsb_rag.evaluation import MEASURES, per_query

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


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[eval\]"):
        per_query(QRELS, RANKINGS)
