"""Cosines of a question and the sentences that its answer is chosen from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..lexical.background_frequency import BackgroundFrequency
from ..passage import Hit
from ..sentences.table import SentenceTable, sentences_of
from ..sentences.vectors import cosines
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


class EmbeddedSentences:
    """Vectors of sentences. Threads may share an instance.

    Those that a collection keeps are taken from there. Any other is embedded once, and kept in memory in float16.

    :param encoder: What embeds them.
    :param table: The sentence vectors of the collection that the passages are from.
    """

    def __init__(self, encoder: SentenceEncoder, table: SentenceTable | None = None) -> None:
        self.encoder = encoder
        self.table = table
        self._kept: OrderedDict[str, NDArray[np.float16]] = OrderedDict()
        self._lock = Lock()

    def cosines(self, query: str, sentences: Sequence[tuple[Hit, str]]) -> NDArray[np.float64]:
        """Return the cosine of `query` and each sentence, shape ``[len(sentences)]``.

        :param sentences: Each with its passage.
        """
        if not sentences:
            return np.zeros(0)
        vector = self.encoder.embed_query(query)
        known = self._of_table([hit for hit, _ in sentences], vector)
        texts = [text for hit, text in sentences if (hit.id, text) not in known]
        found = iter(self._vectors(texts).astype(np.float64) @ vector.astype(np.float64) if texts else ())
        return np.array([known[key] if (key := (hit.id, text)) in known else next(found) for hit, text in sentences])

    def _of_table(self, hits: Iterable[Hit], vector: NDArray[np.float32]) -> dict[tuple[str, str], float]:
        """Return the cosines of the sentences that the collection keeps, by passage and text."""
        passages = list({hit.id: hit for hit in hits}.values())
        if self.table is None:
            return {}
        return {
            (hit.id, sentence.text): float(cosine)
            for hit, found in zip(passages, cosines(self.table.of(passages), vector, in_context=False), strict=True)
            for sentence, cosine in zip(sentences_of(hit), found, strict=False)
        }

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
