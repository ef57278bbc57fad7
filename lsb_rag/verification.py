"""Whether a collection that another program filled holds vectors of the backbone at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .chroma import chroma_errors
from .encoder import LexSemBridgeEncoder

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

SAMPLE = 8
"""Passages that are embedded again."""
SAME = 0.999
"""Cosine from which two vectors of one text are of one backbone; precision and batches move it by far less."""


def differences_in_sample(collection: Collection, encoder: LexSemBridgeEncoder) -> list[str]:
    """Why the stored vectors cannot be `encoder`'s: a few stored texts are embedded again and compared.

    :return: One line a difference; empty where there is none, or no text to compare.
    :raises StoreError: When Chroma fails.
    """
    with chroma_errors("Reading a sample of the collection"):
        sample = collection.get(limit=SAMPLE, include=["documents", "embeddings"])
    vectors = cast(Any, sample["embeddings"])
    pairs = [pair for pair in zip(sample["documents"] or [], vectors, strict=True) if pair[0]]
    if not pairs:
        return []
    stored = np.asarray([vector for _, vector in pairs], np.float64)
    if stored.shape[1] != encoder.dimension:
        return [f"dimension: {stored.shape[1]} against {encoder.dimension}"]
    ours = encoder.encode_document([text for text, _ in pairs])
    cosines = (stored * ours).sum(axis=1) / np.maximum(np.linalg.norm(stored, axis=1), 1e-12)
    worst = float(np.min(cosines))
    return [] if worst >= SAME else [f"a stored text embedded again has cosine {worst:.3f} to its stored vector"]
