"""Weighted means of the passages that hold the units of a query; passages that hold more of the query count more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..lexical.information import least_information
from ..statistics.base import Statistics

SHARPNESS = 4
"""Exponent of the share of the query's information that a passage holds."""
AVERAGED = 32
"""Number of passages averaged over, those that hold most of the query; ties with the last of them are included."""
AVERAGED_AT_MOST = 1024
"""Most passages averaged over; more ties than fit are sampled evenly."""
COMMON_SHARE, COMMON = 0.1, 1000
"""Units in more than this share and more than this number of passages are skipped: they cost more than they tell."""
POSTINGS = 1_000_000
"""Most postings read for one query, those of its rarest units."""


@dataclass(frozen=True)
class UnitMeans:
    """Where the units of a query lie among the passages.

    :param units: Units that are not too common and that some passage averaged over holds.
    :param means: Weighted mean vector of the passages that hold each unit, shape ``[len(units), d]``.
    :param share: Largest share of the query's information that one passage holds, from 0 to 1: ``max over passages of
        (sum of information it holds) / max(sum of information, least information)``. The sum below leaves out the units
        that are too common; the least information is what names one passage.
    """

    units: list[str]
    means: NDArray[np.float64]
    share: float


def unit_means(statistics: Statistics, information: Mapping[str, float]) -> UnitMeans:
    """Return the weighted mean vector of the passages that hold each unit of a query.

    A passage that holds the units S of the query counts ``(sum of information over S)^4``: of all passages with a word,
    those that also hold the query's other words tell what is meant.

    :param information: Weight times information, above 0, by unit; including units that no passage holds.
    """
    limit = max(COMMON, COMMON_SHARE * statistics.n_passages)
    df = statistics.look_up(list(information))
    rising = sorted((count, unit) for unit, count in df.items() if count <= limit)
    postings_read = accumulate(count for count, _ in rising)
    units = [unit for (_, unit), postings in zip(rising, postings_read, strict=True) if postings <= POSTINGS]
    if not units:
        return UnitMeans([], np.zeros((0, statistics.dimension)), 0.0)
    numbers, lengths = statistics.postings(units)
    weighing = np.repeat([information[unit] for unit in units], lengths)
    held = np.bincount(numbers, weighing).astype(np.float64, copy=False)
    passages = _top_passages(held, numbers[: AVERAGED * len(units)])
    most = float(held.max())
    weights = (held[passages] / most) ** SHARPNESS
    place = np.full(len(held), -1)
    place[passages] = np.arange(len(passages))
    places, rows = place[numbers], np.repeat(np.arange(len(units)), lengths)
    averaged = places >= 0
    shares = np.zeros((len(units), len(passages)))
    shares[rows[averaged], places[averaged]] = weights[places[averaged]]
    counted = shares.sum(axis=1)
    averaged_units = np.flatnonzero(counted)
    means = (shares[averaged_units] / counted[averaged_units, None]) @ statistics.vectors(passages)
    whole = sum(information[unit] for unit in (*units, *(unit for unit in information if unit not in df)))
    share = most / max(whole, least_information(statistics.n_passages))
    return UnitMeans([units[row] for row in averaged_units], means, min(share, 1.0))


def _top_passages(held: NDArray[np.float64], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the passages to average over, rising.

    :param held: Information of the query that each passage holds, by its number.
    :param sample: Some passages that hold a unit, at least :data:`AVERAGED` different ones if there are as many.
    """
    # The least of the best in a sample is no more than that of all, and leaves few passages to choose from.
    of_sample = held[np.unique(sample)]
    bound = np.partition(of_sample, -AVERAGED)[-AVERAGED] if len(of_sample) >= AVERAGED else 0.0
    passages = np.flatnonzero(held > (1 - 2e-9) * bound)
    if len(passages) <= AVERAGED:
        return passages
    candidates = held[passages]
    least = np.partition(candidates, -AVERAGED)[-AVERAGED]
    distance = candidates - least
    equal = passages[np.abs(distance) <= 1e-9 * least]  # sums in another order differ in the last bit
    more = passages[distance > 1e-9 * least]
    if len(more) + len(equal) > AVERAGED_AT_MOST:
        equal = equal[np.linspace(0, len(equal) - 1, AVERAGED_AT_MOST - len(more)).astype(np.int64)]
    return np.union1d(more, equal)
