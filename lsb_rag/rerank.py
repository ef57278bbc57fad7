"""Lexical rerank: BM25 of the candidates' own texts, neighbouring units, and the query's words as they were typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
"""Parts of the lexical score that go by single units, by neighbouring ones, and by words as they were typed."""
NAMES_AS_TYPED = 6
"""Further parts that go by words as they were typed, where the query is nothing but names."""
WITHIN = 0.8
"""What a word of a script without spaces counts where it stands within others."""
CACHED_PASSAGES = 8192

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class _Asked:
    """Shares of a query's information.

    :param units: Of each unit.
    :param pairs: Of each two that stand side by side.
    :param typed: Of each word as it was typed.
    :param unspaced: Those words that are of a script without spaces.
    """

    units: dict[str, float]
    pairs: dict[tuple[str, str], float]
    typed: dict[str, float]
    unspaced: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Held:
    """What a text holds: its units counted and in order, how many they are, and its words as typed."""

    counts: Counter[str]
    length: int
    sequence: str
    typed: frozenset[str]


class LexicalRerank:
    """Scores candidate texts against a query.

    Three parts are BM25 (Robertson and Zaragoza, 2009). One part are neighbouring units of the query that are
    neighbours in the text too, in the same order, each two weighing as the less informative of them (after the
    sequential dependence model of Metzler and Croft, 2005). Two parts, and up to eight the more of the query's
    information is in names, are its words that the text holds as they were typed, each weighing as its units together.

    What a unit is worth, and which ones are names, is said in :func:`lsb_rag.lexical.information.information`. The
    document frequencies, the number of passages and their average length are the collection's; what the candidates hold
    is counted in themselves, so no index is kept.

    :param analyze: The analyzer the statistics were counted with.
    :param statistics: The collection's statistics.
    :param background: How common words are in any text; None for wordpieces.
    """

    def __init__(
        self, analyze: Analyzer, statistics: Statistics, background: BackgroundFrequency | None = None
    ) -> None:
        self._analyze = analyze
        self._statistics = statistics
        self._background = background
        self._held: Callable[[str], _Held] = lru_cache(CACHED_PASSAGES)(self._count)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the lexical score of each text: a share of the most that the query could give.

        A code that no passage holds counts in that most, so a query for it reranks little. The score of a text does not
        depend on the other candidates.

        :return: Shape ``[len(texts)]``, values in [0, 1].
        """
        asked, average = self._asked(query), self._statistics.average_length
        return np.array([sum(self._shares(asked, average, text).values()) for text in texts], np.float64)

    def shares(self, query: str, text: str) -> dict[str, float]:
        """Return what each unit, and each word as typed, adds to the score of one text.

        Two neighbours share what both add; a word that was typed as one of its units adds to that unit.
        """
        return self._shares(self._asked(query), self._statistics.average_length, text)

    def _asked(self, query: str) -> _Asked:
        sequence = self._analyze(query)
        distinct = list(dict.fromkeys(sequence))
        with self._statistics.at_once():
            df, n_passages = self._statistics.look_up(distinct), self._statistics.n_passages
        units = information(distinct, df, n_passages, self._background)
        pairs = {pair: min(units[pair[0]], units[pair[1]]) for pair in pairwise(sequence)}
        typed = {
            word: sum(units.get(unit, 0.0) for unit in dict.fromkeys(self._analyze(word)))
            for word in dict.fromkeys(typed_words(query))
        }
        most = sum(units.values())
        if not most:
            return _Asked({}, {}, {})
        naming = names(units) if self._background else set()
        named = sum(worth for unit, worth in units.items() if unit in naming)  # in the query's order, to the last bit
        as_typed = AS_TYPED + NAMES_AS_TYPED * named / most
        # A single unit has no neighbour, and some scripts no words as typed.
        parts = SINGLE + SIDE_BY_SIDE * any(pairs.values()) + as_typed * any(typed.values())
        part = min(1.0, most / least_information(n_passages)) / parts if n_passages else 0.0
        nowhere = sum(worth for unit, worth in units.items() if unit not in df)  # has no neighbour
        return _Asked(
            _scaled(units, part * SINGLE),
            _scaled(pairs, part * SIDE_BY_SIDE, nowhere),
            _scaled(typed, part * as_typed),
            frozenset(filter(UNSPACED.match, typed)),
        )

    def _shares(self, asked: _Asked, average_length: float, text: str) -> dict[str, float]:
        held = self._held(text)
        counts, saturation = held.counts, K1 * (1 - B + B * held.length / (average_length or 1.0))
        shares = {
            unit: weight * counts[unit] / (counts[unit] + saturation)
            for unit, weight in asked.units.items()
            if unit in counts
        }
        for (first, second), weight in asked.pairs.items():
            if first in shares and second in shares and f"\n{first}\n{second}\n" in held.sequence:
                shares[first] += weight / 2
                shares[second] += weight / 2
        for word, weight in asked.typed.items():
            if word in held.typed:
                shares[word] = shares.get(word, 0.0) + weight
            elif word in asked.unspaced and word in text:
                shares[word] = shares.get(word, 0.0) + WITHIN * weight
        return shares

    def _count(self, text: str) -> _Held:
        units = self._analyze(text)
        return _Held(Counter(units), len(units), "\n".join(["", *units, ""]), frozenset(typed_words(text)))


def _scaled(weights: Mapping[Key, float], whole: float, beside: float = 0.0) -> dict[Key, float]:
    """Return the weights above 0 so that they sum up to `whole`, together with what stands `beside` them."""
    total = sum(weights.values()) + beside
    return {key: whole * weight / total for key, weight in weights.items() if weight}
