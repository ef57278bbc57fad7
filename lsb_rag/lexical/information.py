"""Information of a lexical unit: its idf in the collection, reduced for words that are common in any text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import regex

from .background_frequency import BackgroundFrequency

ORDINARY_PASSAGES = 1000
"""Weight of the background: idf is smoothed by this many ordinary passages beside those of the collection."""
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
PLAIN = 0.7
"""Factor of a word of letters alone; one with digits, signs or inner capitals names something and counts in full."""


def idf(df: float, n_passages: int) -> float:
    """Return ``log(1 + (N - df + 0.5) / (df + 0.5))``, as in BM25 (Lucene's form, always positive)."""
    return math.log1p((n_passages - df + 0.5) / (df + 0.5))


def information(
    units: Iterable[str],
    df: Mapping[str, int],
    n_passages: int,
    background: BackgroundFrequency | None = None,
    *,
    unseen: bool = False,
) -> dict[str, float]:
    """Return the information of each unit of one query.

    Without a background it is ``idf(df, N)``. With one it is ``idf(df, N) * idf(df + 1000 p, N + 1000) /
    idf(df, N + 1000)``, where p is the share of ordinary passages that hold the unit, so that small collections behave
    like large ones. Plain words count 0.7 of that. Plain words that no passage holds count nothing, as they only tell
    how a question is put. Any other unit counts in full, such as a code that no passage holds.

    :param df: Number of passages that hold a unit, by unit; units that no passage holds are left out.
    :param n_passages: N.
    :param background: None for wordpieces, which count by idf alone.
    :param unseen: Count plain words that no passage holds too, as rare as the background has them.
    """
    distinct = dict.fromkeys(units)
    if background is None:
        return {unit: idf(df.get(unit, 0), n_passages) for unit in distinct}
    naming = names(distinct)
    worth: dict[str, float] = {}
    for unit in distinct:
        count = df.get(unit, 0)
        plain = unit not in naming
        if plain and not count and not unseen:
            worth[unit] = 0.0
            continue
        share = background(unit)
        n = n_passages + ORDINARY_PASSAGES
        common = idf(count + ORDINARY_PASSAGES * share, n) / idf(count, n) if share and (count or unseen) else 1.0
        worth[unit] = (PLAIN if plain else 1.0) * common * idf(count, n_passages)
    return worth


def names(units: Iterable[str]) -> set[str]:
    """Return the units of a query that are not plain words: with digits, signs, or inner capitals as in NASA."""
    distinct = set(units)
    cased = {unit for unit in distinct if unit.casefold() != unit}
    return {unit for unit in distinct if not _LETTERS.fullmatch(unit)} | cased | {unit.casefold() for unit in cased}


def least_information(n_passages: int) -> float:
    """Return the least information a query counts for: that of a plain word which one passage holds."""
    return PLAIN * idf(1, n_passages)
