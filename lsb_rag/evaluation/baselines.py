"""Baselines: BM25, and hybrids that fuse it with the dense ranking.

Analyzers and weight are those that rank best on the development sets, see ``docs/experiments.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, MissingExtraError
from ..lexical.analyzer import Analyzer
from ..lexical.units import words
from ..rerank import K1, B
from ..utils.arguments import Between, Positive, checked

RRF_K = 60
CONVEX_WEIGHT = 0.9
KEPT_WORDS = 2**18
_WORD = re.compile(r"\w\w+")
_PLAIN = re.compile(r"[^\W\d_A-Z]+(?:'[^\W\d_A-Z]+)?")
Constant = Annotated[int, Between(0, 10**9)]
Ids = Sequence[str | tuple[str, ...]]
"""A ranking, best first; a tuple of ids stands for passages with equal scores."""


@checked
class Bm25:
    """A BM25 index over passages (bm25s, Lucene's variant).

    :param ids: Passage ids.
    :param texts: Their texts.
    :param analyze: Text to units; that of the bridge by default. The scores of several analyzers are added up.
    :raises InvalidInputError: When there are not as many ids as texts, or no text with a unit.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """

    def __init__(
        self, ids: Sequence[str], texts: Sequence[str], analyze: Analyzer | Sequence[Analyzer] = words
    ) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise MissingExtraError("BM25 needs bm25s. Install it with `pip install 'lsb-rag[eval]'`.") from error
        self.ids = list(ids)
        self._indices = []
        for one in [analyze] if callable(analyze) else analyze:
            units = [one(text) for text in texts]
            if any(units):
                index = bm25s.BM25(method="lucene", k1=K1, b=B)
                index.index(units, show_progress=False)
                self._indices.append((one, index))
        if len(ids) != len(texts) or not self._indices:
            raise InvalidInputError("Give an id for each text, and a text that is not blank.")

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the BM25 score of every passage, of shape ``[n]``."""
        total = np.zeros(len(self.ids), np.float32)
        for analyze, index in self._indices:
            known = [unit for unit in analyze(query) if unit in index.vocab_dict]
            if known:
                total += np.asarray(index.get_scores(known), np.float32)
        return total

    def search(self, query: str, k: Positive, *, ties: bool = False) -> dict[str, float]:
        """Return the `k` best passages that share a unit with the query, best first, with their scores.

        :param ties: Whether to return those too that score as much as the last.
        """
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")
        if ties and k < len(order):
            k = int((scores >= scores[order[k - 1]]).sum())
        return {self.ids[i]: float(scores[i]) for i in order[:k] if scores[i] > 0}


def stems(text: str) -> list[str]:
    """Return the English stems of a text without stop words, as LlamaIndex's ``BM25Retriever`` has them.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    stop_words = _stop_words()
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in stop_words]


def stems_and_names(text: str) -> list[str]:
    """Return the :func:`stems` of a text, and those of its units that are no plain words.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    return [*stems(text), *(f"#{unit}" for unit in words(text) if not _PLAIN.fullmatch(unit))]


@lru_cache(1)
def _stop_words() -> frozenset[str]:
    from bm25s.stopwords import STOPWORDS_EN

    return frozenset(STOPWORDS_EN)


@lru_cache(KEPT_WORDS)
def _stem(word: str) -> str:
    return str(_stemmer().stemWord(word))


@lru_cache(1)
def _stemmer() -> Any:
    try:
        import snowballstemmer
    except ImportError as error:
        raise MissingExtraError("Stems need snowballstemmer. Install it with `pip install 'lsb-rag[eval]'`.") from error
    return snowballstemmer.stemmer("english")


@checked
def reciprocal_rank_fusion(rankings: Sequence[Ids], k: Constant = RRF_K) -> list[str]:
    """Fuse rankings by ``sum 1 / (k + rank)`` (Cormack, Clarke and Büttcher, 2009), best first.

    :param rankings: Ids, best first. A tuple of ids stands for tied passages, which share their mean rank.
    """
    return best_first(reciprocal_rank_scores(rankings, k))


def reciprocal_rank_scores(rankings: Sequence[Ids], k: int = RRF_K) -> dict[str, float]:
    """Return the scores of :func:`reciprocal_rank_fusion`."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        place = 0
        for one in ranking:
            group = (one,) if isinstance(one, str) else one
            for id in group:
                scores[id] = scores.get(id, 0.0) + 1.0 / (k + place + (len(group) + 1) / 2)
            place += len(group)
    return scores


@checked
def convex_fusion(cosines: Mapping[str, float], bm25: Mapping[str, float], weight: float = CONVEX_WEIGHT) -> list[str]:
    """Order the passages of `cosines` by ``cosine + weight * BM25 / max BM25``, best first.

    :param cosines: Cosine similarity of every candidate.
    :param bm25: BM25 scores; a candidate without one has 0.
    """
    return best_first(convex_scores(cosines, bm25, weight))


def convex_scores(
    cosines: Mapping[str, float], bm25: Mapping[str, float], weight: float = CONVEX_WEIGHT
) -> dict[str, float]:
    """Return the scores of :func:`convex_fusion`."""
    best = max(bm25.values(), default=0.0) or 1.0
    return {id: cosine + weight * bm25.get(id, 0.0) / best for id, cosine in cosines.items()}


def best_first(scores: Mapping[str, float]) -> list[str]:
    """Return ids by falling score; equal ones by id."""
    return sorted(scores, key=lambda id: (-scores[id], id))
