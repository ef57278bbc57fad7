"""Lexical rerank: BM25 of the candidates' own texts, neighbouring units, and the query's words as they were typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .lexical.analyzer import Analyzer
from .lexical.background_frequency import BackgroundFrequency
from .lexical.information import information, least_information, names
from .lexical.units import UNSPACED, typed_words
from .statistics.base import Statistics

K1 = 1.5
B = 0.75
SINGLE, SIDE_BY_SIDE, AS_TYPED = 3, 1, 2
"""Parts of the lexical score for single units, for neighbouring units, and for words as they were typed."""
NAMES_AS_TYPED = 6
"""Further parts for words as they were typed, where the query is nothing but names."""
WITHIN = 0.8
"""Factor of a word of a script without spaces that occurs within a longer one."""
CACHED_PASSAGES = 8192

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class _QueryTerms:
    """The terms of a query, each with its part of the highest possible score.

    :param units: Weight of each unit.
    :param pairs: Weight of each pair of neighbouring units.
    :param typed: Weight of each word as it was typed.
    :param unspaced: The typed words that are of a script without spaces.
    """

    units: dict[str, float]
    pairs: dict[tuple[str, str], float]
    typed: dict[str, float]
    unspaced: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _PassageTerms:
    """The terms of a text: its units counted, their number, the units in order, and its words as typed."""

    counts: Counter[str]
    length: int
    sequence: str
    typed: frozenset[str]


class LexicalRerank:
    """Scores candidate texts against a query.

    Three parts of the score are BM25 (Robertson and Zaragoza, 2009). One part is for neighbouring units of the query
    that are neighbours in the text too, in the same order. Each pair weighs as much as the less informative of its
    units, after the sequential dependence model of Metzler and Croft (2005). Two parts are for words of the query that
    the text holds as they were typed, each weighing as much as its units together. These parts grow to eight with the
    share of the query's information that is in names.

    :func:`lsb_rag.lexical.information.information` defines what a unit is worth and which units are names. Document
    frequencies, the number of passages and their average length come from the collection. The units of the candidates
    are counted in their own texts, so no index is kept.

    :param analyze: The analyzer the statistics were counted with.
    :param statistics: The collection's statistics.
    :param background: How common words are in any text; None for wordpieces.
    :param spread: How far apart the model's vectors of unrelated texts lie, see
        :func:`lsb_rag.backbones.spread.spread_of`. Cosines differ by its square, so the score counts by its square.
    """

    def __init__(
        self,
        analyze: Analyzer,
        statistics: Statistics,
        background: BackgroundFrequency | None = None,
        spread: float = 1.0,
    ) -> None:
        self._analyze = analyze
        self._statistics = statistics
        self._background = background
        self._spread = spread
        # Not of a method, which would hold the rerank, and with it the statistics, in a cycle.
        read = partial(_read_passage, analyze)
        self._passage_terms: Callable[[str], _PassageTerms] = lru_cache(CACHED_PASSAGES)(read)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the lexical score of each text: its share of the highest possible score, times the squared spread.

        A code that no passage holds counts towards the highest possible score, so a query for it reranks little. The
        score of a text does not depend on the other candidates.

        :return: Shape ``[len(texts)]``, values from 0 to the squared spread, which is 1 at most.
        """
        terms = self._query_terms(query)
        average_length = self._statistics.average_length
        return np.array([sum(self._shares(terms, average_length, text).values()) for text in texts], np.float64)

    def shares(self, query: str, text: str) -> dict[str, float]:
        """Return what each unit, and each word as typed, adds to the score of one text.

        Two neighbours share equally what their pair adds. A word that was typed as one of its units adds to that unit.
        """
        return self._shares(self._query_terms(query), self._statistics.average_length, text)

    def _query_terms(self, query: str) -> _QueryTerms:
        sequence = self._analyze(query)
        distinct = list(dict.fromkeys(sequence))
        with self._statistics.at_once():
            df = self._statistics.look_up(distinct)
            n_passages = self._statistics.n_passages
        units = information(distinct, df, n_passages, self._background)
        pairs = {pair: min(units[pair[0]], units[pair[1]]) for pair in pairwise(sequence)}
        typed = {
            word: sum(units.get(unit, 0.0) for unit in dict.fromkeys(self._analyze(word)))
            for word in dict.fromkeys(typed_words(query))
        }
        most = sum(units.values())
        if not most:
            return _QueryTerms({}, {}, {})
        naming = names(units) if self._background else set()
        # In the query's order, so that the sum is the same to the last bit in every process.
        named = sum(worth for unit, worth in units.items() if unit in naming)
        as_typed = AS_TYPED + NAMES_AS_TYPED * named / most
        # A single unit has no neighbour, and some queries have no words as typed.
        parts = SINGLE + SIDE_BY_SIDE * any(pairs.values()) + as_typed * any(typed.values())
        part = self._spread**2 * min(1.0, most / least_information(n_passages)) / parts if n_passages else 0.0
        unknown = sum(worth for unit, worth in units.items() if unit not in df)  # a unit of no passage has no neighbour
        return _QueryTerms(
            units=_scaled(units, part * SINGLE),
            pairs=_scaled(pairs, part * SIDE_BY_SIDE, beside=unknown),
            typed=_scaled(typed, part * as_typed),
            unspaced=frozenset(filter(UNSPACED.match, typed)),
        )

    def _shares(self, query: _QueryTerms, average_length: float, text: str) -> dict[str, float]:
        passage = self._passage_terms(text)
        counts = passage.counts
        saturation = K1 * (1 - B + B * passage.length / (average_length or 1.0))
        shares = {
            unit: weight * counts[unit] / (counts[unit] + saturation)
            for unit, weight in query.units.items()
            if unit in counts
        }
        for (first, second), weight in query.pairs.items():
            if first in shares and second in shares and f"\n{first}\n{second}\n" in passage.sequence:
                shares[first] += weight / 2
                shares[second] += weight / 2
        for word, weight in query.typed.items():
            if word in passage.typed:
                shares[word] = shares.get(word, 0.0) + weight
            elif word in query.unspaced and word in text:
                shares[word] = shares.get(word, 0.0) + WITHIN * weight
        return shares


def _read_passage(analyze: Analyzer, text: str) -> _PassageTerms:
    units = analyze(text)
    return _PassageTerms(
        counts=Counter(units),
        length=len(units),
        sequence="\n".join(["", *units, ""]),
        typed=frozenset(typed_words(text)),
    )


def _scaled(weights: Mapping[Key, float], whole: float, beside: float = 0.0) -> dict[Key, float]:
    """Return the weights above 0, scaled so that all weights and `beside` together sum up to `whole`."""
    total = sum(weights.values()) + beside
    return {key: whole * weight / total for key, weight in weights.items() if weight}
