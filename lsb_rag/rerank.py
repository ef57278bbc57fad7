"""Lexical rerank: BM25 of the candidates' own texts, and which of the query's words stand side by side in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .counted import Statistics, idf
from .lexical import Analyzer

K1 = 1.5
B = 0.75
SIDE_BY_SIDE = 0.25
"""Share of the lexical score that goes by neighbouring units; the rest goes by single ones."""
CACHED_PASSAGES = 8192


@dataclass(frozen=True)
class _Asked:
    """Shares of a query's information: of each unit, and of each two that stand side by side."""

    units: dict[str, float]
    pairs: dict[tuple[str, str], float]


class LexicalRerank:
    """Scores candidate texts against a query.

    Three parts are BM25 (Robertson and Zaragoza, 2009; Lucene's idf), one part are neighbouring units of the query that
    are neighbours in the text too, in the same order, each two weighing as the less rare of them (after the sequential
    dependence model of Metzler and Croft, 2005). The document frequencies, the number of passages and their average
    length are the collection's; what the candidates hold is counted in themselves, so no index is kept.

    :param analyze: The analyzer the statistics were counted with.
    :param statistics: The collection's statistics.
    """

    def __init__(self, analyze: Analyzer, statistics: Statistics) -> None:
        self._analyze = analyze
        self._statistics = statistics
        self._counted: Callable[[str], tuple[Counter[str], int, str]] = lru_cache(CACHED_PASSAGES)(self._count)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """The lexical score of each text: a share of the most that the query's units could give.

        Units that no passage contains count in that most, so a query whose rare words are nowhere found reranks
        little. The score of a text does not depend on the other candidates.

        :return: Shape ``[len(texts)]``, values in [0, 1].
        """
        asked, average = self._asked(query), self._statistics.average_length
        return np.array([sum(self._shares(asked, average, text).values()) for text in texts], np.float64)

    def shares(self, query: str, text: str) -> dict[str, float]:
        """What each unit of the query adds to the score of one text; two neighbours share what both add."""
        return self._shares(self._asked(query), self._statistics.average_length, text)

    def _asked(self, query: str) -> _Asked:
        sequence = self._analyze(query)
        df, n_passages = self._statistics.look_up(list(dict.fromkeys(sequence))), self._statistics.n_passages
        units = {unit: idf(df.get(unit, 0), n_passages) for unit in dict.fromkeys(sequence)}
        pairs = {pair: min(units[pair[0]], units[pair[1]]) for pair in pairwise(sequence)}
        most, most_of_pairs = sum(units.values()), sum(pairs.values())
        of_units = 1 - SIDE_BY_SIDE if pairs else 1.0  # one unit has no neighbour
        return _Asked(
            {unit: of_units * weight / most for unit, weight in units.items()},
            {pair: SIDE_BY_SIDE * weight / most_of_pairs for pair, weight in pairs.items()},
        )

    def _shares(self, asked: _Asked, average_length: float, text: str) -> dict[str, float]:
        counts, length, sequence = self._counted(text)
        saturation = K1 * (1 - B + B * length / (average_length or 1.0))
        shares = {
            unit: weight * counts[unit] / (counts[unit] + saturation)
            for unit, weight in asked.units.items()
            if unit in counts
        }
        for (first, second), weight in asked.pairs.items():
            if first in shares and second in shares and f"\n{first}\n{second}\n" in sequence:
                shares[first] += weight / 2
                shares[second] += weight / 2
        return shares

    def _count(self, text: str) -> tuple[Counter[str], int, str]:
        units = self._analyze(text)
        return Counter(units), len(units), "\n".join(["", *units, ""])
