"""A collection's statistics: counted from what it stores, kept in a file, brought up to date."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from platformdirs import user_cache_path

from .bridge import CorpusBridge
from .chroma import ask, folder_of, is_on_server
from .counted import at_unit_length
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder
from .rerank import LexicalRerank
from .spaces import space_name
from .statistics_file import Record, StatisticsFile, text_digest
from .verification import kept_fingerprint

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

logger = logging.getLogger(__name__)

PAGE = 2000
"""Records read and counted in one go: what an interrupted fit loses."""
RECHECK_SECONDS = 1.0
"""How often, at most, a search looks whether another program has changed the collection."""
SCAN_LIMIT = 200_000
"""Up to so many records their ids are listed (a quarter of a second for 100,000) to find what others wrote."""

Count = Callable[[int, int], None]


class FittedStatistics:
    """The statistics of one collection, and the bridge and rerank that stand on them.

    What is written through this library is counted as it is written; a note made before each write tells whoever comes
    after an interruption which records to read again. What other programs write is found by comparing ids: when first
    used, and when the number of records is not the number counted. A change in place by another program leaves no sign
    in Chroma; :meth:`refresh` finds it. Threads may share an instance, processes the file.

    :param collection: The Chroma collection.
    :param encoder: Whose analyzer cuts the units, and whose fingerprint the file bears.
    """

    def __init__(self, collection: Collection, encoder: LexSemBridgeEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        about = {
            "collection": str(collection.id),
            "units": encoder.units,
            "space": space_name(collection),
            "backbone": json.dumps(asdict(replace(encoder.fingerprint, backbone=""))),  # the name may change
        }
        folder = _folder_of(collection)
        path = folder and folder / f"{collection.id}-{encoder.units}.sqlite3"
        if folder:  # of version 1
            for old in (folder / f"{collection.id}-{encoder.units}.safetensors", folder / f"{collection.id}.token"):
                with suppress(OSError):
                    old.unlink()
        self.file = _opened(path, encoder.dimension, about)
        self._scanned = False
        self._check_at = float("-inf")
        self._lock = threading.RLock()
        self._bridge: CorpusBridge | None = None
        self._rerank: LexicalRerank | None = None

    def bridge(self, progress: Count | None = None) -> CorpusBridge:
        """The bridge over current statistics."""
        self._bring_up_to_date(progress)
        if self._bridge is None:
            self._bridge = CorpusBridge(self.file, units=self._encoder.units)
        return self._bridge

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over current statistics."""
        self._bring_up_to_date(None)
        if self._rerank is None:
            self._rerank = LexicalRerank(self._encoder.analyze, self.file)
        return self._rerank

    def recheck(self) -> None:
        """Look at the collection before the next use, however short ago that was done."""
        self._check_at = float("-inf")

    def refresh(self, progress: Count | None = None) -> None:
        """Compare every record with what is counted of it; for changes in place by another program."""
        with self._lock:
            self._count(self._ids(), progress, compare=True)

    @contextmanager
    def changing(self, ids: Sequence[str]) -> Iterator[Change]:
        """Around a write of the records `ids`, which are counted afterwards as the change says.

        One writer at a time holds it. Where the write fails or is killed, the records are read again by whoever uses
        the statistics next.
        """
        with self.file.writing():
            self.file.expect(ids)
            change = Change(self, ids)
            try:
                yield change
            except BaseException:
                self.recheck()
                raise
            change.count()

    def record(self, id: str, text: str | None, vector: Any) -> Record:
        """A record as it is counted: the units of its text, and its vector at length 1."""
        row = np.asarray(vector, np.float64)
        if not text or not np.isfinite(row).all():
            return Record(id, text_digest(text), (), None)
        return Record(id, text_digest(text), self._encoder.analyze(text), at_unit_length(row))

    def _bring_up_to_date(self, progress: Count | None) -> None:
        if time.monotonic() < self._check_at and not self.file.damaged:
            return
        # Whoever comes while a scan is under way goes on with what is counted so far, but not before the first one.
        if not self._lock.acquire(blocking=not self._scanned or progress is not None):
            return
        started = time.monotonic()
        try:
            if self.file.damaged:
                self.file.empty("damaged")
            pause = RECHECK_SECONDS
            if not self._scanned:
                self._catch_up(progress)
                self._scanned = True
            elif not self._is_current():
                self._catch_up(progress)
                # A large collection that somebody keeps changing shall not be scanned all the time.
                pause = max(pause, 10 * (time.monotonic() - started))
            self._check_at = time.monotonic() + pause
        finally:
            self._lock.release()

    def _is_current(self) -> bool:
        count = ask("Counting the passages", self._collection.count)
        return self.file.fitted and count == self.file.n_records and not self.file.pending()

    def _catch_up(self, progress: Count | None) -> None:
        with self.file.writing():  # a writer who is at work has counted what it wrote by now
            count, pending = ask("Counting the passages", self._collection.count), self.file.pending()
        if count and self.file.is_new and not self.file.n_records and kept_fingerprint(self._collection):
            logger.warning(
                "The statistics of %r in %s are missing; they are fitted again.", self._collection.name, self.file.path
            )
        if count <= SCAN_LIMIT or not self.file.fitted:
            self._count({*self._new(), *pending}, progress)
        else:
            self._count(pending, progress)
            if not self._scanned and count != self.file.n_records:
                logger.warning(
                    "The collection %r holds %d records, of which %d are counted; refresh() counts the rest.",
                    self._collection.name,
                    count,
                    self.file.n_records,
                )

    def _ids(self) -> list[str]:
        return ask("Listing the collection", self._collection.get, include=[])["ids"]

    def _new(self) -> set[str]:
        """Ids that are stored and not counted, or counted and not stored."""
        return self.file.ids().symmetric_difference(self._ids())

    def _count(self, ids: Iterable[str], progress: Count | None, *, compare: bool = False) -> None:
        """Count records as they are stored now; those not there are taken out.

        :param compare: Look at their content first, and count those alone that changed.
        """
        ids = sorted({*ids, *self.file.ids()} if compare else ids)
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            with self.file.writing():  # so that nobody changes a record between reading and counting it
                rows = self._read(page)
                same = self.file.unchanged({id: (text_digest(t), v) for id, t, v in rows}) if compare else set()
                records = [self.record(*row) for row in rows if row[0] not in same]
                self.file.count(records, [*{*page}.difference(row[0] for row in rows)])
            if progress:
                progress(min(start + PAGE, len(ids)), len(ids))
        if ids or not self.file.fitted:
            self.file.count([], fitted=True)
            self.file.checkpoint()

    def _read(self, ids: Sequence[str]) -> list[tuple[str, str | None, Any]]:
        """Id, embedded text and vector of those records that are there."""
        page: Any = ask(
            "Reading the collection", self._collection.get, list(ids), include=["documents", "metadatas", "embeddings"]
        )
        texts = (
            embedded_text(document, metadata) if document else None
            for document, metadata in zip(page["documents"], page["metadatas"], strict=True)
        )
        return list(zip(page["ids"], texts, page["embeddings"], strict=True))


class Change:
    """A write in progress: what is to be counted once it is done."""

    def __init__(self, fitted: FittedStatistics, ids: Sequence[str]) -> None:
        self._fitted = fitted
        self._ids = ids
        self._records: list[Record] = []

    def add(self, ids: Sequence[str], texts: Sequence[str], vectors: Any) -> None:
        """These are stored now; those of the change that are not added are gone."""
        self._records += [self._fitted.record(*row) for row in zip(ids, texts, vectors, strict=True)]

    def count(self) -> None:
        """Count the change."""
        added = {record.id for record in self._records}
        self._fitted.file.count(self._records, [id for id in self._ids if id not in added])


def bytes_of_statistics(collection: Collection) -> int:
    """Size of the files kept for a collection; 0 before the first fit, and in memory."""
    folder = _folder_of(collection)
    return sum(file.stat().st_size for file in folder.glob(f"{collection.id}-*.sqlite3*")) if folder else 0


def _folder_of(collection: Collection) -> Path | None:
    """Where the statistics are kept: beside an embedded database, in the user's cache for a server's."""
    settings = collection._client.get_settings()
    database = folder_of(settings)
    if database:
        return database / "lsb_rag"
    return user_cache_path("lsb-rag", appauthor=False) / "statistics" if is_on_server(settings) else None


_open_files: WeakValueDictionary[tuple[str, ...], StatisticsFile] = WeakValueDictionary()
_opening = threading.Lock()


def _opened(path: Path | None, dimension: int, about: Mapping[str, str]) -> StatisticsFile:
    """The file at `path`, shared by all who use it in this process; in memory, by all of one collection."""
    key = (str(path), str(dimension), *about.values())
    with _opening:
        file = _open_files.get(key)
        if file is None:
            file = _open_files[key] = StatisticsFile(path, dimension, about)
        return file
