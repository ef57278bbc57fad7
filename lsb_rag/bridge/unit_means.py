"""Where the passages that hold the words of a query lie: those that hold more of the query count more."""

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
"""So many passages that hold most of the query are averaged over, and all that hold as much as the last of them."""
AVERAGED_AT_MOST = 1024
"""And so many at most; of those that hold equally much, every so manyth."""
COMMON_SHARE, COMMON = 0.1, 1000
"""A unit of more than this share of the passages, and of more than so many, tells too little for what it costs."""
POSTINGS = 1_000_000
"""So many postings are read for one query, those of its rarest units."""


@dataclass(frozen=True)
class UnitMeans:
    """Where a query's words lie among the passages.

    :param units: Those that a passage averaged over holds, and that are not too common.
    :param means: Of each of them the weighted mean vector of the passages that hold it, shape ``[len(units), d]``.
    :param share: How much of the query's information the passage has that holds most of it, from 0 to 1: of the units
        read and of those that no passage holds, but of no less than what names one passage.
    """

    units: list[str]
    means: NDArray[np.float64]
    share: float


def unit_means(statistics: Statistics, information: Mapping[str, float]) -> UnitMeans:
    """For each unit of a query the weighted mean vector of the passages that hold it.

    A passage that holds the units S of the query counts ``(sum of information over S)^4``: of all passages with a
    word, those in which the query's other words stand too say what is meant.

    :param information: By unit, weight times information, above 0; of units that no passage holds too.
    """
    limit = max(COMMON, COMMON_SHARE * statistics.n_passages)
    df = statistics.look_up(list(information))
    rising = sorted((count, unit) for unit, count in df.items() if count <= limit)
    read = accumulate(count for count, _ in rising)
    units = [unit for (_, unit), postings in zip(rising, read, strict=True) if postings <= POSTINGS]
    if not units:
        return UnitMeans([], np.zeros((0, statistics.dimension)), 0.0)
    numbers, lengths = statistics.postings(units)
    weighing = np.repeat([information[unit] for unit in units], lengths)
    held = np.bincount(numbers, weighing).astype(np.float64, copy=False)
    passages = _those_that_hold_most(held, numbers[: AVERAGED * len(units)])
    most = float(held.max())
    weights = (held[passages] / most) ** SHARPNESS
    place = np.full(len(held), -1)
    place[passages] = np.arange(len(passages))
    places, rows = place[numbers], np.repeat(np.arange(len(units)), lengths)
    averaged = places >= 0
    shares = np.zeros((len(units), len(passages)))
    shares[rows[averaged], places[averaged]] = weights[places[averaged]]
    counted = shares.sum(axis=1)
    found = np.flatnonzero(counted)
    means = (shares[found] / counted[found, None]) @ statistics.vectors(passages)
    whole = sum(information[unit] for unit in (*units, *(unit for unit in information if unit not in df)))
    share = most / max(whole, least_information(statistics.n_passages))
    return UnitMeans([units[row] for row in found], means, min(share, 1.0))


def _those_that_hold_most(held: NDArray[np.float64], some: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the passages to average over, rising.

    :param held: The information of the query that each passage holds, by its number.
    :param some: Passages that hold any, and so many of them as are averaged over, if there are so many.
    """
    # The least of the best of some is no more than that of all, and leaves few to choose from.
    of_some = held[np.unique(some)]
    bound = np.partition(of_some, -AVERAGED)[-AVERAGED] if len(of_some) >= AVERAGED else 0.0
    passages = np.flatnonzero(held > (1 - 2e-9) * bound)
    if len(passages) <= AVERAGED:
        return passages
    of_passages = held[passages]
    least = np.partition(of_passages, -AVERAGED)[-AVERAGED]
    distance = of_passages - least
    equal = passages[np.abs(distance) <= 1e-9 * least]  # sums in another order differ in the last bit
    more = passages[distance > 1e-9 * least]
    if len(more) + len(equal) > AVERAGED_AT_MOST:
        equal = equal[np.linspace(0, len(equal) - 1, AVERAGED_AT_MOST - len(more)).astype(np.int64)]
    return np.union1d(more, equal)
