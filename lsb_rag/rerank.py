"""Lexical rerank: BM25 of the candidates' own texts, from the statistics that the bridge is fitted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .counted import Statistics, idf
from .lexical import Analyzer

K1 = 1.5
B = 0.75
CACHED_PASSAGES = 8192


class LexicalRerank:
    """Scores candidate texts against a query by BM25 (Robertson and Zaragoza, 2009; Lucene's idf).

    The document frequencies, the number of passages and their average length are the collection's; the term
    frequencies are counted in the candidates themselves, so no index is kept.

    :param analyze: The analyzer the statistics were counted with.
    :param statistics: The collection's statistics.
    """

    def __init__(self, analyze: Analyzer, statistics: Statistics) -> None:
        self._analyze = analyze
        self._statistics = statistics
        self._counted: Callable[[str], tuple[Counter[str], int]] = lru_cache(CACHED_PASSAGES)(self._count)

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """BM25 of each text as a share of the most that the query's units could give.

        Units that no passage contains count in that most, so a query whose rare words are nowhere found reranks
        little. The score of a text does not depend on the other candidates.

        :return: Shape ``[len(texts)]``, values in [0, 1].
        """
        weights, average = self._idf(query), self._statistics.average_length
        return np.array([sum(self._shares(weights, average, text).values()) for text in texts], np.float64)

    def shares(self, query: str, text: str) -> dict[str, float]:
        """What each unit of the query adds to the score of one text."""
        return self._shares(self._idf(query), self._statistics.average_length, text)

    def _idf(self, query: str) -> dict[str, float]:
        units = list(dict.fromkeys(self._analyze(query)))
        df, n_passages = self._statistics.look_up(units), self._statistics.n_passages
        return {unit: idf(df.get(unit, 0), n_passages) for unit in units}

    def _shares(self, weights: dict[str, float], average_length: float, text: str) -> dict[str, float]:
        counts, length = self._counted(text)
        saturation = K1 * (1 - B + B * length / (average_length or 1.0))
        most = sum(weights.values())
        return {
            unit: weight / most * counts[unit] / (counts[unit] + saturation)
            for unit, weight in weights.items()
            if unit in counts
        }

    def _count(self, text: str) -> tuple[Counter[str], int]:
        units = self._analyze(text)
        return Counter(units), len(units)
