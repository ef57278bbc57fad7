from __future__ import annotations

import math
import sys
from itertools import permutations

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


@pytest.mark.parametrize("seed", range(30))
def test_ties_are_the_mean_over_all_their_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"p{n}" for n in range(int(rng.integers(3, 14)))]
    judged = {id: int(rng.integers(-1, 3)) for id in rng.permutation(ids)[:4].tolist()} | {"nowhere": 1}
    edges = sorted(rng.choice(range(1, len(ids)), 2, replace=False).tolist())
    first, middle, last = ids[: edges[0]], ids[edges[0] : edges[1]], ids[edges[1] :]
    tied = middle[:5]  # few enough orders to go through
    depth = int(rng.integers(1, 11))
    whole = [*first, tuple(tied), *middle[5:], *last]
    found = per_query({"q": judged}, {"q": whole}, depth=depth)
    orders = {f"q{n}": [*first, *order, *middle[5:], *last] for n, order in enumerate(permutations(tied))}
    each = per_query(dict.fromkeys(orders, judged), orders, depth=depth)
    for measure in MEASURES:
        assert found[measure]["q"] == pytest.approx(np.mean(list(each[measure].values()))), measure


def test_a_tie_that_ends_beyond_the_cut_counts_in_part() -> None:
    groups = tuple(f"p{n}" for n in range(100))
    values = per_query({"q": {"p7": 1}}, {"q": [groups]})
    assert values["recall@10"]["q"] == pytest.approx(0.1)
    assert values["mrr@10"]["q"] == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 100)
    assert per_query({"q": {"p7": 1}}, {"q": [groups]}, depth=1)["recall@10"]["q"] == pytest.approx(0.01)
