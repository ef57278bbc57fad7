"""What a lexical unit is worth: its idf in the collection, less for words that are common anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import regex

from .background_frequency import BackgroundFrequency

ORDINARY_PASSAGES = 1000
"""Weight of the background: idf is smoothed by this many ordinary passages beside the collection's own."""
_LETTERS = regex.compile(r"[\p{L}\p{M}]+")
PLAIN = 0.7
"""What a word of letters alone counts, beside one with digits, signs or capitals within, which names something."""


def idf(df: float, n_passages: int) -> float:
    """Return ``log(1 + (N - df + 0.5) / (df + 0.5))``, as in BM25 (Lucene's form, always positive)."""
    return math.log1p((n_passages - df + 0.5) / (df + 0.5))


def information(
    units: Iterable[str], df: Mapping[str, int], n_passages: int, background: BackgroundFrequency | None = None
) -> dict[str, float]:
    """Return the information of each unit of one query.

    ``idf(df, N)``, and with a background ``idf(df, N) * idf(df + 1000 p, N + 1000) / idf(df, N + 1000)``, where p is
    the share of ordinary passages that hold the unit: small collections then behave like large ones. Plain words count
    0.7 of that, and nothing where no passage holds them: they tell how a question is put. What is no plain word, such
    as a code that stands nowhere, counts in full.

    :param df: By unit, the number of passages that hold it; without those that none holds.
    :param n_passages: N.
    :param background: None for wordpieces, which count by idf alone.
    """
    distinct = dict.fromkeys(units)
    if background is None:
        return {unit: idf(df.get(unit, 0), n_passages) for unit in distinct}
    naming, found = names(distinct), {}
    for unit in distinct:
        count, plain = df.get(unit, 0), unit not in naming
        if plain and not count:
            found[unit] = 0.0
            continue
        share, n = background(unit), n_passages + ORDINARY_PASSAGES
        common = idf(count + ORDINARY_PASSAGES * share, n) / idf(count, n) if count and share else 1.0
        found[unit] = (PLAIN if plain else 1.0) * common * idf(count, n_passages)
    return found


def names(units: Iterable[str]) -> set[str]:
    """Return those units of a query that are no plain words: with digits, signs, or capitals within as in NASA."""
    distinct = set(units)
    cased = {unit for unit in distinct if unit.casefold() != unit}
    return {unit for unit in distinct if not _LETTERS.fullmatch(unit)} | cased | {unit.casefold() for unit in cased}


def least_information(n_passages: int) -> float:
    """Return what a query counts for at least: what it takes to name one passage by a plain word."""
    return PLAIN * idf(1, n_passages)
