from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, kstest, permutation_test

from lsb_rag.errors import InvalidInputError
from lsb_rag.evaluation import holm, paired_difference, randomisation_p
from lsb_rag.evaluation.significance import _resamples


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
    null = paired_difference(arm, arm)
    assert (null.delta, null.low, null.high, null.n) == (0, 0, 0, 20)
    assert (null.wins, null.ties, null.losses) == (0, 20, 0)
    assert randomisation_p(arm, arm) == 1.0
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


def test_wins_ties_losses_and_missing_values() -> None:
    arm = {"a": 1.0, "b": 0.5, "c": 0.0, "d": math.nan, "e": 1.0}
    baseline = {"a": 0.5, "b": 0.5, "c": 1.0, "d": 1.0, "e": 0.0}
    found = paired_difference(arm, baseline)
    assert (found.wins, found.ties, found.losses, found.missing, found.n) == (2, 1, 1, 1, 4)
    assert found.delta == pytest.approx((0.5 + 0 - 1 + 1) / 4)
    nothing = paired_difference({"a": math.nan}, {"a": 1.0})
    assert math.isnan(nothing.delta)
    assert nothing.missing == 1


def test_p_values_worked_out_by_hand() -> None:
    # Three queries won by the same: of the 8 swaps, two (none and all) are as extreme.
    arm = {"a": 1.0, "b": 1.0, "c": 1.0}
    assert randomisation_p(arm, dict.fromkeys(arm, 0.0)) == pytest.approx(2 / 8)
    # A tied query changes nothing.
    assert randomisation_p({**arm, "d": 0.0}, dict.fromkeys([*arm, "d"], 0.0)) == pytest.approx(2 / 8)
    # Differences 3, 1, 1: |sum| of 5 by two swaps of 8.
    assert randomisation_p({"a": 3.0, "b": 1.0, "c": 1.0}, dict.fromkeys("abc", 0.0)) == pytest.approx(2 / 8)
    # Differences 3, -1, -1: |sum| of 1 or more by all.
    assert randomisation_p({"a": 3.0, "b": -1.0, "c": -1.0}, dict.fromkeys("abc", 0.0)) == pytest.approx(1.0)
    assert randomisation_p({"a": 1.0}, {"a": 0.0}) == 1.0


def test_p_values_of_shuffled_labels_are_uniform() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for trial in range(300):
        pairs = rng.normal(size=(40, 2))
        swapped = np.where(rng.random(40) < 0.5, 1, 0)
        arm = {str(n): float(pairs[n, swapped[n]]) for n in range(40)}
        baseline = {str(n): float(pairs[n, 1 - swapped[n]]) for n in range(40)}
        p_values.append(randomisation_p(arm, baseline, seed=trial, resamples=400))
    assert kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n", [2, 9, 13, 14, 15, 60, 300])
@pytest.mark.parametrize("values", [(0, 1), (0, 1 / 3, 2 / 3, 1), tuple(1 / rank for rank in range(1, 11))], ids=len)
def test_the_draws_are_those_of_scipy(n: int, values: tuple[float, ...]) -> None:
    rng = np.random.default_rng(n)
    arm, baseline = (dict(enumerate(rng.choice(values, n).tolist())) for _ in range(2))
    differences = np.array([arm[query] - baseline[query] for query in arm])
    differing = differences[differences != 0]
    if len(differing) < 2:
        return
    found = paired_difference(arm, baseline, seed=n, resamples=2_000)  # type: ignore[arg-type]
    rng = np.random.default_rng(n)
    interval = bootstrap((differences,), np.mean, n_resamples=2_000, method="percentile", rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx(tuple(interval), abs=1e-11)
    theirs = permutation_test(
        (differing,), np.mean, permutation_type="samples", n_resamples=2_000, rng=np.random.default_rng(n)
    )
    assert randomisation_p(arm, baseline, seed=n, resamples=2_000) == pytest.approx(theirs.pvalue)  # type: ignore[arg-type]


def test_equal_means_are_equal_in_any_order() -> None:
    # 0.1 + 0.2 and 0.3 differ in their last digit, and so do their means without rounding.
    arm = {"a": 0.1, "b": 0.2, "c": -0.3}
    assert randomisation_p(arm, dict.fromkeys(arm, 0.0)) == 1.0


def test_more_queries_than_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = {n: n % 3 - 0.8 for n in range(100)}
    baseline = dict.fromkeys(arm, 0.0)
    whole = paired_difference(arm, baseline, seed=7), randomisation_p(arm, baseline, seed=7)
    _resamples.cache_clear()
    monkeypatch.setattr("lsb_rag.evaluation.significance.CELLS", 64)
    assert (paired_difference(arm, baseline, seed=7), randomisation_p(arm, baseline, seed=7)) == whole
    _resamples.cache_clear()


def test_holms_correction_worked_out_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
