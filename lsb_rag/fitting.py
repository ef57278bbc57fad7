"""A collection's statistics: streamed from what it stores, kept in a file beside it, brought up to date."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .bridge import CorpusBridge
from .chroma import chroma_errors
from .corpus_statistics import CorpusStatistics, Vectors
from .encoder import LexSemBridgeEncoder
from .errors import CorruptFileError
from .rerank import LexicalRerank

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

logger = logging.getLogger(__name__)

PAGE = 2000
RECHECK_SECONDS = 1.0
"""How often, at most, a search asks the collection's size to see whether another program has changed it."""

UnitsAndVectors = tuple[list[list[str]], Vectors]


class FittedStatistics:
    """The statistics of one collection, and the bridge and rerank that stand on them.

    They are current when they count as many records as the collection holds. Chroma has no other sign of change, so
    an update in place by another program stays unseen until :meth:`forget`.

    :param collection: The Chroma collection.
    :param folder: Where the file is kept.
    :param encoder: Whose analyzer cuts the units, and whose fingerprint marks the file.
    """

    def __init__(self, collection: Collection, folder: Path, encoder: LexSemBridgeEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        self._about = {"collection": str(collection.id), "weights": encoder.fingerprint.weights, "units": encoder.units}
        self.path = folder / f"{collection.id}-{encoder.units}.safetensors"
        self._statistics: CorpusStatistics | None = None
        self._records = 0
        """Records of the collection that the statistics account for; those without a text are not in them."""
        self._unsaved = False
        self._checked = 0.0
        self._bridge: CorpusBridge | None = None
        self._rerank: LexicalRerank | None = None

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over the statistics as they are."""
        if self._statistics is None:
            self.bridge()
        if self._rerank is None:
            self._rerank = LexicalRerank(self._encoder.analyze, cast(CorpusStatistics, self._statistics))
        return self._rerank

    def bridge(self, progress: Callable[[int, int], None] | None = None) -> CorpusBridge:
        """The bridge over current statistics: in memory, else from the file, else fitted from the collection."""
        if self._bridge is None or time.monotonic() - self._checked > RECHECK_SECONDS:
            records = self._count()
            if self._statistics is None:
                self._load()
            if self._statistics is None or self._records != records:
                self._fit(progress)
            self._checked = time.monotonic()
        if self._unsaved:
            self._save()
        if self._bridge is None:
            self._bridge = CorpusBridge(cast(CorpusStatistics, self._statistics))
        return self._bridge

    def forget(self) -> None:
        """Drop the statistics and their file: the next use fits them from the collection."""
        self._statistics = self._bridge = self._rerank = None
        self._unsaved = False
        self._drop_file()

    @contextmanager
    def changing(self, added: int) -> Iterator[CorpusStatistics | None]:
        """Statistics to update in step with a write that changes the number of records by `added`.

        Gives None where no current statistics are at hand; they are fitted when next needed. The file goes before
        the write and comes back after it, so that an interruption leaves none rather than a wrong one.
        """
        if self._statistics is None:
            self._load()
        if self._statistics is not None and self._records != self._count():
            self.forget()
        if self._statistics is None and self._count() == 0:
            self._statistics, self._records = CorpusStatistics(self._encoder.dimension), 0
        self._drop_file()
        try:
            yield self._statistics
        except BaseException:
            self.forget()
            raise
        if self._statistics is not None:
            self._records += added
            self._unsaved = True
            self._bridge = self._rerank = None

    def units_and_vectors(self, texts: Sequence[str], vectors: Any) -> UnitsAndVectors:
        """What the statistics count of passages: their units, and their vectors at length 1."""
        rows = np.asarray(vectors, np.float64).reshape(len(texts), self._encoder.dimension)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return [self._encoder.analyze(text) for text in texts], rows / np.where(norms > 0, norms, 1.0)

    def read(self, ids: Sequence[str]) -> UnitsAndVectors:
        """Units and vectors of stored records; those without a text or a finite vector are left out."""
        with chroma_errors("Reading the collection"):
            page = self._collection.get(list(ids), include=["documents", "embeddings"])
        pairs = [
            (text, vector)
            for text, vector in zip(page["documents"] or [], cast(Any, page["embeddings"]), strict=True)
            if text and np.isfinite(vector).all()
        ]
        return self.units_and_vectors([text for text, _ in pairs], [vector for _, vector in pairs])

    def _count(self) -> int:
        with chroma_errors("Counting the passages"):
            return self._collection.count()

    def _fit(self, progress: Callable[[int, int], None] | None) -> None:
        with chroma_errors("Listing the collection"):
            ids = self._collection.get(include=[])["ids"]  # pages by id: a delete meanwhile shifts nothing
        statistics = CorpusStatistics(self._encoder.dimension)
        for start in range(0, len(ids), PAGE):
            units, vectors = self.read(ids[start : start + PAGE])
            if units:
                statistics.add(units, vectors)
            if progress:
                progress(min(start + PAGE, len(ids)), len(ids))
        self._statistics, self._records, self._unsaved = statistics, len(ids), True
        self._bridge = self._rerank = None

    def _load(self) -> None:
        try:
            statistics, about = CorpusStatistics.load(self.path)
        except FileNotFoundError:
            return
        except CorruptFileError as error:
            logger.warning("%s", error)
            return
        records = about.pop("records", -1)
        if about == self._about and statistics.dimension == self._encoder.dimension:
            self._statistics, self._records = statistics, int(records)
            self._bridge = self._rerank = None

    def _drop_file(self) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            self.path.unlink()

    def _save(self) -> None:
        try:
            cast(CorpusStatistics, self._statistics).save(self.path, {**self._about, "records": self._records})
        except OSError as error:
            # The search goes on from memory; the next process fits again.
            logger.warning("%s", error)
        self._unsaved = False
