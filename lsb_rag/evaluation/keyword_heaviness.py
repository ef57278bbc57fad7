"""How much of a query's information its rare words carry: where keyword search should help, and where not."""

from __future__ import annotations

from ..lexical.analyzer import Analyzer
from ..statistics.base import Statistics

RARE = 0.01
"""A unit is rare when at most this share of the passages contains it."""
RECOGNISABLE = 0.1
"""A unit in at most this share of the passages is marked where a passage of a report contains it."""
SLICES = ((0.0, 1 / 3, "low"), (1 / 3, 2 / 3, "medium"), (2 / 3, 1.0, "high"))


def keyword_heaviness(query: str, statistics: Statistics, analyze: Analyzer) -> float:
    """The share of the query's idf that is on units rare in the corpus.

    ``sum of idf_t over t rare / sum of idf_t over t``, over the distinct units t of the query that the corpus contains;
    t is rare when ``df_t <= max(1, 0.01 N)``. Units the corpus does not contain tell nothing about it and are left out.

    :return: From 0 (no rare word) to 1 (nothing but rare words); 0 where the corpus knows no unit of the query.
    """
    known = [unit for unit in dict.fromkeys(analyze(query)) if statistics.df(unit)]
    total = sum(statistics.idf(unit) for unit in known)
    rare = rare_units(query, statistics, analyze)
    return sum(statistics.idf(unit) for unit in known if unit in rare) / total if total else 0.0


def rare_units(query: str, statistics: Statistics, analyze: Analyzer, share: float = RARE) -> frozenset[str]:
    """The units of a query that the corpus contains, but rarely: ``1 <= df_t <= max(1, share N)``."""
    most = max(1.0, share * statistics.n_passages)
    return frozenset(unit for unit in analyze(query) if 1 <= statistics.df(unit) <= most)


def heaviness_slice(score: float) -> str:
    """``low``, ``medium`` or ``high``: the third of [0, 1] that a score falls into."""
    return next((name for _, upper, name in SLICES if score < upper), SLICES[-1][2])
