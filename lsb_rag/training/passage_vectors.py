"""Vectors of passages, for a frozen backbone and for mining negatives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backbones.base import Matrix
from ..encoder import LexSemBridgeEncoder
from ..utils.batches import batched
from ..utils.progress import Progress

BATCH = 256


def passage_vectors(encoder: LexSemBridgeEncoder, texts: Sequence[str], progress: Progress | None = None) -> Matrix:
    """Return the vectors of `texts`, float32 of shape ``[n, d]`` at length 1.

    :param progress: Called with the number of passages embedded and the total.
    """
    vectors, done = [np.zeros((0, encoder.dimension), np.float32)], 0
    for batch in batched(texts, BATCH):
        vectors.append(encoder.encode_document(batch))
        done += len(batch)
        if progress:
            progress(done, len(texts))
    return np.concatenate(vectors)
