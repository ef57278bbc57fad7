from __future__ import annotations

import math

import pytest

from lsb_rag.evaluation import summary
from lsb_rag.evaluation.reports.summary import run_costs, slices

from ..evaluations import by_hand, repeated


def test_the_summary_holds_what_was_worked_out_by_hand() -> None:
    found = by_hand({"vanilla": {"q1": 0.0, "q2": 1.0, "k1": 0.5}, "lsb": {"q1": 1.0, "q2": 0.5, "k1": math.nan}})
    written = summary(found)
    assert written["arms"]["lsb"]["keyword"] == {"mrr@10": None, "n": 1, "missing": {"mrr@10": 1}}
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
    assert run_costs(found)["latency_ms"]["lsb"] == {"p50": pytest.approx(2.0), "p95": pytest.approx(2.9), "n": 2}


def test_a_comparison_without_values_has_no_p_value() -> None:
    found = repeated({"vanilla": (0.1, 0.2, 0.3), "lsb": (0.2, 0.2, 0.4)})
    for result in found.arms.values():
        result.values["faithfulness"] = dict.fromkeys(found.heaviness, math.nan)
    assert next(c for c in summary(found)["comparisons"] if c["metric"] == "faithfulness")["p"] is None


def test_queries_are_sliced_by_their_heaviness() -> None:
    values = {"q1": 0.3, "q2": 1.0, "k1": 0.5}
    sliced = slices(by_hand({"vanilla": values, "lsb": values}))  # heaviness .9, all of them
    assert {name: one["n"] for name, one in sliced.items()} == {"low": 0, "medium": 0, "high": 3}
    assert sliced["low"]["arms"] == {}
    assert sliced["high"]["arms"]["lsb"] == {"mrr@10": pytest.approx(0.6), "delta": 0.0, "ci95": [0.0, 0.0]}
