from __future__ import annotations

import math

import pytest

from lsb_rag.evaluation import ALL

from .evaluations import by_hand, repeated


def test_means_differences_and_counts_worked_out_by_hand() -> None:
    found = by_hand({"vanilla": {"q1": 0.0, "q2": 1.0, "k1": 0.5}, "lsb": {"q1": 1.0, "q2": 0.5, "k1": math.nan}})
    questions = found.kinds["question"]
    assert found.mean("lsb", "mrr@10", questions) == 0.75
    one = next(c for c in found.comparisons if c.kind == "question")
    assert one.difference.delta == 0.25
    assert (one.difference.wins, one.difference.losses) == (1, 1)
    together = next(c for c in found.comparisons if c.kind == ALL)
    assert together.difference.missing == 1
    assert found.arms["lsb"].latency_ms(50) == pytest.approx(2.0)
    assert found.compare() is found.comparisons


def test_an_arm_against_itself_makes_no_difference() -> None:
    same = {"q1": 0.3, "q2": 1.0, "k1": 0.5}
    found = by_hand({"vanilla": same, "lsb": same})
    for one in found.comparisons:
        assert (one.difference.delta, one.difference.low, one.difference.high, one.p) == (0, 0, 0, 1)


def test_a_measure_without_values_costs_the_others_nothing() -> None:
    values = {"vanilla": (0.1, 0.2, 0.3), "lsb": (0.2, 0.2, 0.4)}
    alone, beside = repeated(values), repeated(values)
    for result in beside.arms.values():
        result.values["faithfulness"] = dict.fromkeys(beside.heaviness, math.nan)
    p = {c.measure: c.p for c in beside.comparisons}
    assert p["mrr@10"] == alone.comparisons[0].p
    assert math.isnan(p["faithfulness"])
