"""Keyword-heaviness: how much of a query's information its rare words carry.

Keyword search should help where it is high.
"""

from __future__ import annotations

from ..lexical.analyzer import Analyzer
from ..statistics.base import Statistics
from ..utils.arguments import checked

RARE = 0.01
"""A unit is rare when at most this share of the passages contains it."""
RECOGNISABLE = 0.1
"""Reports mark a unit in a passage when at most this share of all passages contains it."""
SLICES = ((0.0, 1 / 3, "low"), (1 / 3, 2 / 3, "medium"), (2 / 3, 1.0, "high"))


@checked
def keyword_heaviness(query: str, statistics: Statistics, analyze: Analyzer) -> float:
    """Return the share of the query's idf that is on units rare in the corpus.

    ``sum of idf_t over t rare / sum of idf_t over t``, over the distinct units t of the query that the corpus contains.
    A unit t is rare when ``df_t <= max(1, 0.01 N)``. Units that the corpus does not contain are left out.

    :return: From 0 (no rare word) to 1 (only rare words); 0 if the corpus contains no unit of the query.
    """
    known = [unit for unit in dict.fromkeys(analyze(query)) if statistics.df(unit)]
    total = sum(statistics.idf(unit) for unit in known)
    if not total:
        return 0.0
    rare = rare_units(query, statistics, analyze)
    return sum(statistics.idf(unit) for unit in known if unit in rare) / total


def rare_units(query: str, statistics: Statistics, analyze: Analyzer, share: float = RARE) -> frozenset[str]:
    """Return the units of a query that the corpus contains but rarely: ``1 <= df_t <= max(1, share N)``."""
    most = max(1.0, share * statistics.n_passages)
    return frozenset(unit for unit in analyze(query) if 1 <= statistics.df(unit) <= most)


def heaviness_slice(score: float) -> str:
    """Return ``low``, ``medium`` or ``high``: the third of [0, 1] that a score falls into."""
    for _, upper, name in SLICES:
        if score < upper:
            return name
    return SLICES[-1][2]
