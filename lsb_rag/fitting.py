"""A collection's statistics: streamed from what it stores, kept in a file beside it, brought up to date."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .bridge import CorpusBridge
from .chroma import chroma_errors
from .corpus_statistics import CorpusStatistics, Vectors
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder
from .errors import CorruptFileError, InvalidInputError
from .rerank import LexicalRerank

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

logger = logging.getLogger(__name__)

PAGE = 2000
RECHECK_SECONDS = 1.0
"""How often, at most, a search looks whether another process has changed the collection."""

UnitsAndVectors = tuple[list[list[str]], Vectors]


class FittedStatistics:
    """The statistics of one collection, and the bridge and rerank that stand on them.

    They are current when they count as many records as the collection holds and bear the token of its last write.
    Every write through this library sets a new token; Chroma has no such sign itself, so what another program changes
    without changing the number of records stays unseen until :meth:`forget`. Threads may share an instance.

    :param collection: The Chroma collection.
    :param folder: Where the files are kept; None keeps the statistics in memory alone, and writes of other processes
        are seen by the number of records only.
    :param encoder: Whose analyzer cuts the units, and whose fingerprint marks the file.
    """

    def __init__(self, collection: Collection, folder: Path | None, encoder: LexSemBridgeEncoder) -> None:
        self._collection = collection
        self._key = str(collection.id)
        self._encoder = encoder
        self._about: dict[str, str | int] = {
            "collection": self._key,
            "weights": encoder.fingerprint.weights,
            "units": encoder.units,
        }
        self.path = folder and folder / f"{collection.id}-{encoder.units}.safetensors"
        self._token_path = folder and folder / f"{collection.id}.token"
        self._lock = threading.RLock()
        self._checked = 0.0
        self._drop()

    def _drop(self) -> None:
        self._statistics: CorpusStatistics | None = None
        self._records = 0
        """Records of the collection that the statistics account for; those without a text are not in them."""
        self._token = ""
        _unsaved.discard(self)
        self._bridge: CorpusBridge | None = None
        self._rerank: LexicalRerank | None = None

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over current statistics."""
        with self._lock:
            self.bridge()
            if self._rerank is None:
                self._rerank = LexicalRerank(self._encoder.analyze, cast(CorpusStatistics, self._statistics))
            return self._rerank

    def bridge(self, progress: Callable[[int, int], None] | None = None) -> CorpusBridge:
        """The bridge over current statistics: in memory, else from the file, else fitted from the collection."""
        with self._lock:
            overtaken = _last_tokens.get(self._key, self._token) != self._token  # as another store here knows
            if self._bridge is None or overtaken or time.monotonic() - self._checked > RECHECK_SECONDS:
                token, records = self._read_token(), self._count()
                _last_tokens[self._key] = token
                if self._statistics is None:
                    self._load()
                if self._statistics is None or (self._records, self._token) != (records, token):
                    self._fit(progress)
                self._checked = time.monotonic()
            if self._bridge is None:
                self.save()
                self._bridge = CorpusBridge(cast(CorpusStatistics, self._statistics), units=self._encoder.units)
            return self._bridge

    def recheck(self) -> None:
        """Look at the collection before the next use, however short ago that was done."""
        self._checked = 0.0

    def forget(self) -> None:
        """Drop the statistics and their file: the next use fits them from the collection."""
        with self._lock:
            self._drop()
            self._drop_file()

    @contextmanager
    def changing(self, added: int) -> Iterator[Change]:
        """A write that changes the number of records by `added`, with the statistics kept in step.

        Where no current statistics are at hand nothing is counted; they are fitted when next needed. The file goes
        before the write and comes back later, so that an interruption leaves none rather than a wrong one.
        """
        with self._lock:
            token, records = self._read_token(), self._count()
            if self._statistics is None:
                self._load()
            if self._statistics is not None and (self._records, self._token) != (records, token):
                self._drop()
            if self._statistics is None and records == 0:
                self._statistics, self._token = CorpusStatistics(self._encoder.dimension), token
            self._drop_file()
            change = Change(self, self._statistics)
            try:
                yield change
            except BaseException:
                self._drop()
                raise
            finally:
                overtaken = self._read_token() != token
                self._write_token()
            if change.statistics is None or overtaken:
                self._drop()
                return
            self._records = records + added
            self._keep_for_saving()
            self._bridge = None

    def units_and_vectors(self, texts: Sequence[str], vectors: Any) -> UnitsAndVectors:
        """What the statistics count of passages: their units, and their vectors at length 1."""
        rows = np.asarray(vectors, np.float64).reshape(len(texts), self._encoder.dimension)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return [self._encoder.analyze(text) for text in texts], rows / np.where(norms > 0, norms, 1.0)

    def read(self, ids: Sequence[str]) -> UnitsAndVectors:
        """Units and vectors of stored records; those without a text or a finite vector are left out."""
        with chroma_errors("Reading the collection"):
            page = self._collection.get(list(ids), include=["documents", "metadatas", "embeddings"])
        rows = zip(page["documents"] or [], page["metadatas"] or [], cast(Any, page["embeddings"]), strict=True)
        pairs = [
            (embedded_text(document, metadata), vector)
            for document, metadata, vector in rows
            if document and np.isfinite(vector).all()
        ]
        return self.units_and_vectors([text for text, _ in pairs], [vector for _, vector in pairs])

    def save(self) -> None:
        """Write the statistics if they have changed. Where that fails, the next process fits again."""
        with self._lock:
            if self._statistics is None or self not in _unsaved:
                return
            about = {**self._about, "records": self._records, "token": self._token}
            try:
                self._statistics.save(cast(Path, self.path), about)
            except OSError as error:
                logger.warning("%s", error)
            _unsaved.discard(self)

    def _keep_for_saving(self) -> None:
        if self.path is not None:  # else nothing is to be saved, and the collection may go
            _unsaved.add(self)

    def _count(self) -> int:
        with chroma_errors("Counting the passages"):
            return self._collection.count()

    def _fit(self, progress: Callable[[int, int], None] | None) -> None:
        token = self._read_token()  # before the records: a write meanwhile shows by its new token
        with chroma_errors("Listing the collection"):
            ids = self._collection.get(include=[])["ids"]  # pages by id: a delete meanwhile shifts nothing
        statistics = CorpusStatistics(self._encoder.dimension)
        for start in range(0, len(ids), PAGE):
            units, vectors = self.read(ids[start : start + PAGE])
            if units:
                statistics.add(units, vectors)
            if progress:
                progress(min(start + PAGE, len(ids)), len(ids))
        self._drop()
        self._statistics, self._records, self._token = statistics, len(ids), token
        self._keep_for_saving()

    def _load(self) -> None:
        if self.path is None:
            return
        try:
            statistics, about = CorpusStatistics.load(self.path)
        except FileNotFoundError:
            return
        except CorruptFileError as error:
            logger.warning("%s They are fitted again.", error)
            return
        records, token = about.pop("records", -1), about.pop("token", "")
        if about == self._about and statistics.dimension == self._encoder.dimension:
            self._drop()
            self._statistics, self._records, self._token = statistics, int(records), str(token)

    def _drop_file(self) -> None:
        if self.path is None:
            return
        with suppress(FileNotFoundError, NotADirectoryError):
            self.path.unlink()

    def _read_token(self) -> str:
        if self._token_path is None:
            return _last_tokens.get(self._key, "")
        with suppress(OSError):
            return self._token_path.read_text(encoding="ascii")
        return ""

    def _write_token(self) -> None:
        self._token = uuid.uuid4().hex
        _last_tokens[self._key] = self._token
        if self._token_path is None:
            return
        temporary = self._token_path.with_suffix(f".{self._token}.tmp")
        try:
            self._token_path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(self._token, encoding="ascii")
            os.replace(temporary, self._token_path)
        except OSError as error:
            logger.warning("Cannot mark the collection as changed (%s); other processes may not notice.", error)
            self._token = _last_tokens[self._key] = self._read_token()


class Change:
    """A write in progress: what to count in and out. A failure to count only costs a new fit later."""

    def __init__(self, fitted: FittedStatistics, statistics: CorpusStatistics | None) -> None:
        self._fitted = fitted
        self.statistics = statistics

    def remove(self, ids: Sequence[str]) -> None:
        """Count stored records out, before they are replaced or deleted."""
        if self.statistics is None or not ids:
            return
        try:
            self.statistics.remove(*self._fitted.read(ids))
        except InvalidInputError:  # changed in place by another program, so not what was counted in
            self.statistics = None

    def add(self, texts: Sequence[str], vectors: Any) -> None:
        """Count new records in."""
        if self.statistics is not None:
            self.statistics.add(*self._fitted.units_and_vectors(texts, vectors))


_last_tokens: dict[str, str] = {}
"""The last token this process has written or seen, by collection."""

# Kept until they are saved, so that a program that adds and ends leaves the file.
_unsaved: set[FittedStatistics] = set()


@atexit.register
def _save_all() -> None:
    for fitted in list(_unsaved):
        fitted.save()
