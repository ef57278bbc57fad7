"""Hits that differ from each other: each text once, and maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .passage import Hit
from .utils.text import folded


def without_copies(hits: Sequence[Hit]) -> list[Hit]:
    """Return the first hit of each text, in their order; white space does not tell texts apart."""
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(folded(hit.text), hit)
    return list(first.values())


def most_marginal(hits: Sequence[Hit], vectors: NDArray[Any], k: int, relevance: float) -> list[Hit]:
    """Return `k` hits by maximal marginal relevance (Carbonell and Goldstein, 1998), in the order of their choice.

    Each is the one of the highest ``relevance * score - (1 - relevance) * similarity``, where similarity is the highest
    cosine to those chosen before.

    :param hits: Best first.
    :param vectors: Their vectors at length 1, shape ``[n, d]``.
    :param relevance: Lambda of the formula, from 0, all difference, to 1, all score.
    """
    scores = relevance * np.array([hit.score for hit in hits])
    similarity = np.full(len(hits), -np.inf)
    chosen: list[int] = []
    while len(chosen) < min(k, len(hits)):
        marginal = scores - (1 - relevance) * similarity if chosen else scores.copy()
        marginal[chosen] = -np.inf
        best = int(np.argmax(marginal)) if chosen else 0
        chosen.append(best)
        similarity = np.maximum(similarity, vectors @ vectors[best])
    return [hits[row] for row in chosen]
