"""Vectors of the sentences that answers are chosen from: each is embedded once and kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..lexical.background_frequency import BackgroundFrequency
from ..statistics.base import at_unit_length

KEPT_BYTES = 32 * 2**20
"""Most memory for vectors; those unused for longest go first."""


class SentenceEncoder(Protocol):
    """Embeds questions and sentences without the bridge, as :class:`~lsb_rag.LexSemBridgeEncoder` does."""

    @property
    def background(self) -> BackgroundFrequency | None:
        """Frequencies of words in general text."""
        ...

    @property
    def spread(self) -> float:
        """How far apart the vectors of unrelated texts lie, see :func:`lsb_rag.backbones.spread.spread_of`."""
        ...

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        """Return vectors, float32 [n, d]."""
        ...

    def embed_query(self, texts: str, /) -> NDArray[np.float32]:
        """Return a vector of length 1, float32 [d]."""
        ...


class SentenceVectors:
    """Vectors of sentences, in float16, at length 1. Threads may share an instance.

    :param encoder: What embeds them.
    """

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder = encoder
        self._kept: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._lock = Lock()

    def cosines(self, query: str, sentences: Sequence[str]) -> NDArray[np.float64]:
        """Return the cosine of `query` and each sentence, shape ``[len(sentences)]``."""
        if not sentences:
            return np.zeros(0)
        vector = np.asarray(self.encoder.embed_query(query), np.float64)
        return np.asarray(self._vectors(sentences).astype(np.float64) @ vector)

    def _vectors(self, sentences: Sequence[str]) -> NDArray[np.float16]:
        with self._lock:
            found = {text: self._kept[text] for text in dict.fromkeys(sentences) if text in self._kept}
        fresh = [text for text in dict.fromkeys(sentences) if text not in found]
        if fresh:
            vectors = at_unit_length(self.encoder.encode_document(fresh)).astype(np.float16)
            found.update(zip(fresh, vectors, strict=True))
        with self._lock:
            for text, vector in found.items():
                self._kept[text] = vector
                self._kept.move_to_end(text)
            most = KEPT_BYTES // max(1, next(iter(found.values())).nbytes)
            while len(self._kept) > max(most, len(found)):
                self._kept.popitem(last=False)
        return np.stack([found[text] for text in sentences])
