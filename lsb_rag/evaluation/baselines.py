"""Baselines: BM25, and hybrids that fuse it with the dense ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError, MissingExtraError
from ..lexical.analyzer import Analyzer
from ..lexical.units import words
from ..rerank import K1, B
from ..utils.arguments import Between, Positive, checked

RRF_K = 60
CONVEX_WEIGHT = 0.3
Constant = Annotated[int, Between(0, 10**9)]


@checked
class Bm25:
    """A BM25 index over passages (bm25s, Lucene's variant), with the analyzer of the bridge.

    :param ids: Passage ids.
    :param texts: Their texts.
    :param analyze: Text to units.
    :raises InvalidInputError: When there are not as many ids as texts, or no text with a unit.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """

    def __init__(self, ids: Sequence[str], texts: Sequence[str], analyze: Analyzer = words) -> None:
        try:
            import bm25s
        except ImportError as error:
            raise MissingExtraError("BM25 needs bm25s. Install it with `pip install 'lsb-rag[eval]'`.") from error
        units = [analyze(text) for text in texts]
        if len(ids) != len(texts) or not any(units):
            raise InvalidInputError("Give an id for each text, and a text that is not blank.")
        self.ids = list(ids)
        self._analyze = analyze
        self._index = bm25s.BM25(method="lucene", k1=K1, b=B)
        self._index.index(units, show_progress=False)

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the BM25 score of every passage, of shape ``[n]``."""
        known = [unit for unit in self._analyze(query) if unit in self._index.vocab_dict]
        if not known:
            return np.zeros(len(self.ids), np.float32)
        return np.asarray(self._index.get_scores(known), np.float32)

    def search(self, query: str, k: Positive) -> dict[str, float]:
        """Return the `k` best passages that share a unit with the query, best first, with their scores."""
        scores = self.scores(query)
        order = np.argsort(-scores, kind="stable")[:k]
        return {self.ids[i]: float(scores[i]) for i in order if scores[i] > 0}


@checked
def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: Constant = RRF_K) -> list[str]:
    """Fuse rankings by ``sum 1 / (k + rank)`` (Cormack, Clarke and Büttcher, 2009), best first."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, id in enumerate(ranking, start=1):
            scores[id] = scores.get(id, 0.0) + 1.0 / (k + rank)
    return sorted(scores, key=lambda id: (-scores[id], id))


@checked
def convex_fusion(cosines: Mapping[str, float], bm25: Mapping[str, float], weight: float = CONVEX_WEIGHT) -> list[str]:
    """Order the passages of `cosines` by ``cosine + weight * BM25 / max BM25``, best first.

    :param cosines: Cosine similarity of every candidate.
    :param bm25: BM25 scores; a candidate without one has 0.
    """
    best = max(bm25.values(), default=0.0) or 1.0
    fused = {id: cosine + weight * bm25.get(id, 0.0) / best for id, cosine in cosines.items()}
    return sorted(fused, key=lambda id: (-fused[id], id))
