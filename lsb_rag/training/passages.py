"""Passages embedded once, for a frozen backbone and for mining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backbones.base import Matrix
from ..encoder import LexSemBridgeEncoder
from ..utils.progress import Progress

BATCH = 256


def embedded(encoder: LexSemBridgeEncoder, texts: Sequence[str], progress: Progress | None = None) -> Matrix:
    """The vectors of `texts`, float32 of shape ``[n, d]`` at length 1.

    :param progress: Called with the passages embedded and all.
    """
    parts = [np.zeros((0, encoder.dimension), np.float32)]
    for start in range(0, len(texts), BATCH):
        parts.append(encoder.encode_document(texts[start : start + BATCH]))
        if progress:
            progress(min(start + BATCH, len(texts)), len(texts))
    return np.concatenate(parts)
