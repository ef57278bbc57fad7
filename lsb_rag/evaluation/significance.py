"""Certainty of a difference: intervals, p-values, and the numbers of queries won and lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..utils.arguments import Between, Seed, checked

RESAMPLES = 10_000
KEPT_DRAWS = 4
"""Numbers of queries whose resamples are kept: the measures of a kind share one, and an evaluation has few kinds."""
CELLS = 2_000_000
"""Random numbers that are drawn at a time."""
DIGITS = 12
"""Digits that means are rounded to: sums in another order differ further behind, which must not part equal ones."""
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
    means = _weighted(differences, _resamples(len(differences), seed, resamples)) / len(differences)
    low, high = (float(end) for end in np.round(np.percentile(means, [2.5, 97.5]), DIGITS))
    return PairedDifference(delta, low, high, **counts)


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
    exact = 2 ** len(differing) <= resamples
    swaps = _all_swaps(len(differing)) if exact else _random_swaps(len(differing), seed, resamples)
    total = differing.sum()
    observed = np.round(total / len(differing), DIGITS)
    smaller = larger = n = 0
    for swapped in swaps:
        means = np.round((total - 2 * _weighted(differing, swapped)) / len(differing), DIGITS)
        smaller, larger, n = (
            smaller + int((means <= observed).sum()),
            larger + int((means >= observed).sum()),
            n + len(means),
        )
    drawn = int(not exact)  # the arms as they are count as one of the draws
    return min(1.0, 2 * (min(smaller, larger) + drawn) / (n + drawn))


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


def _weighted(values: NDArray[np.float64], weights: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the sum of `values` in each resample, shape ``[r]``, in the same order whatever the machine.

    :param weights: How often each value counts in each resample, shape ``[n, r]``.
    """
    total = np.zeros(weights.shape[1])
    for value, times in zip(values, weights, strict=True):
        if value:
            total += value * times
    return total


@lru_cache(KEPT_DRAWS)
def _resamples(n: int, seed: int, resamples: int) -> NDArray[np.uint8]:
    """Return how often each of `n` queries is in each bootstrap resample, shape ``[n, resamples]``.

    The draws are those of :func:`scipy.stats.bootstrap`.
    """
    rng = np.random.default_rng(seed)
    found = np.empty((n, resamples), np.uint8)
    for start, size in _batches(resamples, n):
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        found[:, start : start + size] = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).T
    return found


def _random_swaps(n: int, seed: int, resamples: int) -> Iterator[NDArray[np.uint8]]:
    """Yield whether each of `n` queries is swapped in each random draw, shapes ``[n, r]``.

    The draws are those of :func:`scipy.stats.permutation_test`, without the permutations.
    """
    rng = np.random.default_rng(seed)
    for _, size in _batches(resamples, n):
        drawn = rng.integers(0, 2**32, (size, n), np.uint32)
        yield np.ascontiguousarray((drawn & 1 ^ 1).astype(np.uint8).T)


def _all_swaps(n: int) -> Iterator[NDArray[np.uint8]]:
    yield (np.arange(2**n) >> np.arange(n)[:, None] & 1).astype(np.uint8)


def _batches(resamples: int, n: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the size of each batch of resamples."""
    most = max(1, CELLS // n)
    for start in range(0, resamples, most):
        yield start, min(most, resamples - start)
