"""Certainty of a difference: intervals, p-values, and the numbers of queries won and lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..errors import InvalidInputError
from ..utils.arguments import Between, Seed, checked

RESAMPLES = 10_000
Draws = Annotated[int, Between(1, 10**7)]
"""Of a test; each costs time, and a million tell p-values apart that nobody does."""
Values = Mapping[Any, Any]
"""The value of each query, a number; NaN where it has none."""
FEW = 30
"""An interval over fewer queries than this says little."""


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference between two arms over the same queries.

    :param delta: Mean of arm minus baseline.
    :param low: Lower end of the 95 % interval.
    :param high: Upper end of the 95 % interval.
    :param n: Number of queries that both arms have a value for.
    :param wins: Number of queries where the arm is better.
    :param ties: Number of queries where both are equal.
    :param losses: Number of queries where the baseline is better.
    :param missing: Number of queries left out because an arm has no value (NaN) for them.
    """

    delta: float
    low: float
    high: float
    n: int
    wins: int = 0
    ties: int = 0
    losses: int = 0
    missing: int = 0


@checked
def paired_difference(
    arm: Values, baseline: Values, *, seed: Seed = 0, resamples: Draws = RESAMPLES
) -> PairedDifference:
    """Return the mean of ``arm - baseline`` by query, with its 95 % percentile bootstrap interval over queries.

    :raises InvalidInputError: When the two are not over the same queries, or over none.
    """
    differences, missing = _differences(arm, baseline)
    counts = {
        "n": len(differences),
        "wins": int((differences > 0).sum()),
        "ties": int((differences == 0).sum()),
        "losses": int((differences < 0).sum()),
        "missing": missing,
    }
    if not len(differences):
        return PairedDifference(np.nan, np.nan, np.nan, **counts)
    delta = float(differences.mean())
    if np.ptp(differences) == 0:  # nothing to resample
        return PairedDifference(delta, delta, delta, **counts)
    from scipy.stats import bootstrap

    interval = bootstrap(
        (differences,), np.mean, n_resamples=resamples, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return PairedDifference(delta, float(interval.low), float(interval.high), **counts)


@checked
def randomisation_p(arm: Values, baseline: Values, *, seed: Seed = 0, resamples: Draws = RESAMPLES) -> float:
    """Return the two-sided p-value of the paired randomisation test (Smucker, Allan and Carterette, 2007).

    It is the share of random swaps of the arms, query by query, whose mean difference is at least as large. If there
    are few enough swaps, all of them are counted; otherwise `resamples` of them are drawn. It is 1 if no query differs.

    :raises InvalidInputError: When the two are not over the same queries, or over none.
    """
    differences, _ = _differences(arm, baseline)
    differing = differences[differences != 0]  # a query without a difference swaps to itself
    if len(differing) < 2:
        return 1.0  # swapping a single query gives as large a difference
    from scipy.stats import permutation_test

    found = permutation_test(
        (differing,),
        np.mean,
        permutation_type="samples",
        n_resamples=resamples,
        vectorized=True,
        batch=max(1, 2_000_000 // len(differing)),
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


@checked
def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values in the same order, corrected for their number by Holm's method (1979)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[position]))
        corrected[position] = highest
    return corrected


def _differences(arm: Values, baseline: Values) -> tuple[np.ndarray, int]:
    """Return the differences by query, and the number of queries left out for want of a value."""
    if not arm or arm.keys() != baseline.keys():
        raise InvalidInputError("A paired difference needs two arms over the same queries, and at least one query.")
    try:
        differences = np.array([arm[query] - baseline[query] for query in arm], np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise InvalidInputError(f"The values of a paired difference must be numbers ({error}).") from error
    kept = differences[~np.isnan(differences)]
    return kept, len(differences) - len(kept)
