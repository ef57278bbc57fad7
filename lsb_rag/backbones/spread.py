"""How far apart a model's vectors lie: over the whole space, or in a narrow cone."""

from __future__ import annotations

import numpy as np

from .base import Matrix

UNRELATED = (
    "The ferry to the island leaves at half past six.",
    "Add two eggs and stir until the dough is smooth.",
    "The court dismissed the appeal for lack of evidence.",
    "Install the update and restart the server.",
    "Bach wrote the cantata for the third Sunday in Advent.",
    "The patient was given antibiotics for ten days.",
    "Every prime larger than two is odd.",
    "Glaciers carry stones over great distances.",
    "Children under five travel free of charge.",
)
"""Texts that have nothing to do with each other: how alike they are to a model tells of the model, see
:func:`spread_of`."""
UNRELATED_COSINE = 0.1
"""Mean cosine of unrelated texts up to which a model counts as spread over the whole space."""


def spread_of(vectors: Matrix) -> float:
    """Return how far apart a model's vectors of :data:`UNRELATED` lie, from 0 to 1, to two places.

    This is ``sqrt((1 - c) / (1 - 0.1))``, 1 at most, where c is their mean cosine. Some models put all texts into a
    narrow cone: with E5, c is .79. Directions between its texts are shorter by this factor, and cosines differ by its
    square; the bridge is scaled by the one, the lexical score by the other.

    :param vectors: Shape ``[n, d]``, of any length.
    """
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    n = len(rows)
    cosine = (float(np.square(rows.sum(axis=0, dtype=np.float64)).sum()) - n) / (n * (n - 1))
    return round(min(1.0, float(np.sqrt(max(0.0, 1 - cosine) / (1 - UNRELATED_COSINE)))), 2)
