"""A collection's statistics: counted from what it stores, kept in a file, brought up to date."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .backbones.base import Fingerprint
from .bridge.adaptation import Adaptation, KeptAdaptation
from .bridge.corpus import CorpusBridge
from .chroma import SAME_TIME_SECONDS, folder_of, state_of_files
from .chroma_calls import ask
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder
from .errors import BusyError, CorruptFileError, FingerprintMismatchError
from .rerank import LexicalRerank
from .statistics.base import Record, at_unit_length
from .statistics_folder import folder_of_statistics, shared_file
from .stored import PAGE, stored_ids
from .utils.digests import text_digest
from .verification import kept_fingerprint

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

logger = logging.getLogger(__name__)

RECHECK_SECONDS = 1.0
"""How often, at most, a search looks whether another program has changed the collection; for a tenth of the time."""
READER_SECONDS = 1.0
"""How long a search waits for another process that writes, before it goes on with what is counted."""
SCAN_LIMIT = 200_000
"""Up to so many records their ids are listed (a quarter of a second for 100,000) to find what others wrote."""

Count = Callable[[int, int], None]
Result = TypeVar("Result")


class FittedStatistics:
    """The statistics of one collection, and the bridge and rerank that stand on them.

    What is written through this library is counted as it is written; a note made before each write tells whoever comes
    after an interruption which records to read again. What other programs write is found by comparing ids: when first
    used, and when there are more or fewer than were counted, or the last is unknown. A change in place by another
    program leaves no sign in Chroma; :meth:`refresh` finds it. Threads may share an instance, processes the file.

    :param collection: The Chroma collection.
    :param encoder: Whose analyzer cuts the units, and whose fingerprint the file bears.
    """

    def __init__(self, collection: Collection, encoder: LexSemBridgeEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        folder = folder_of_statistics(collection)
        path = folder and folder / f"{collection.id}-{encoder.units}.sqlite3"
        self.file = shared_file(path, encoder.dimension, {"collection": str(collection.id), "units": encoder.units})
        if not kept_fingerprint(collection):
            self._check_fingerprint()
        self._database = folder_of(collection._client.get_settings())
        self._state: tuple[object, ...] = ()
        """Of the database and of the statistics, at the last look."""
        self._state_since = 0.0
        self._state_is_current = False
        """Whether that state needs no other look."""
        self._scanned = False
        self._check_at = float("-inf")
        self._lock = threading.RLock()
        self._bridge: CorpusBridge | None = None
        self._adapted: CorpusBridge | None = None
        self.kept_adaptation = KeptAdaptation(folder and folder / f"{collection.id}-{encoder.units}.adapted.json")
        self._rerank: LexicalRerank | None = None

    def _check_fingerprint(self) -> None:
        """Of a collection of another program: with what it was verified before, which a sample need not show.

        :raises FingerprintMismatchError: When the encoder differs.
        """
        ours, kept = self._encoder.fingerprint, self.file.verified_with
        differences = Fingerprint.from_json(kept).differences(ours) if kept else []
        if differences:
            theirs = Fingerprint.from_json(kept).backbone
            raise FingerprintMismatchError(
                f"The collection {self._collection.name!r} was attached with {theirs}, which is not the backbone at "
                f"hand, {ours.backbone} ({'; '.join(differences)}). Open it with that one; or, if that one was wrong, "
                f"delete {self.file.path or 'the statistics'} first."
            )
        if not kept:
            self.file.verified_with = ours.to_json()

    def bridge(self, progress: Count | None = None) -> CorpusBridge:
        """The bridge over current statistics."""
        plain, adaptation = self.plain_bridge(progress), self.adaptation
        if adaptation is None:
            return plain
        if self._adapted is None or self._adapted.adaptation is not adaptation:
            self._adapted = self._new_bridge(adaptation)
        return self._adapted

    def plain_bridge(self, progress: Count | None = None) -> CorpusBridge:
        """The bridge over current statistics as it is fitted, whatever was learned for the collection."""
        self._up_to_date(progress)
        if self._bridge is None:
            self._bridge = self._new_bridge()
        return self._bridge

    def _new_bridge(self, adaptation: Adaptation | None = None) -> CorpusBridge:
        units, background = self._encoder.units, self._encoder.background
        return CorpusBridge(self.file, units=units, background=background, adaptation=adaptation)

    @property
    def adaptation(self) -> Adaptation | None:
        """What ``lsb-rag adapt`` learned for this collection and this encoder; None where it kept nothing.

        :raises CorruptFileError: When its file is damaged.
        """
        module = self._encoder.modulation
        if (module.paradigm, module.fusion, module.units) != ("slr", "residual", "words"):
            return None
        found = self.kept_adaptation.read()
        return found if found and found.fingerprint == self._encoder.fingerprint.weights else None

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over current statistics."""
        self._up_to_date(None)
        if self._rerank is None:
            self._rerank = LexicalRerank(self._encoder.analyze, self.file, self._encoder.background)
        return self._rerank

    def recheck(self) -> None:
        """Look at the collection before the next use, however short ago that was done."""
        self._check_at = float("-inf")
        self._state_is_current = False

    def refresh(self, progress: Count | None = None) -> None:
        """Compare every record with what is counted of it; for changes in place by another program."""
        with self._lock:
            try:
                self._count(stored_ids(self._collection), progress, compare=True)
            except CorruptFileError:  # to be emptied and counted as a whole
                self._bring_up_to_date(progress)

    def expect(self, ids: Sequence[str]) -> None:
        """Note that these records are about to be written: whoever uses the statistics next reads them again."""
        with self.file.writing():
            try:
                self.file.expect(ids)
            except CorruptFileError:
                self.file.empty("damaged")
                self.file.expect(ids)

    @contextmanager
    def changing(self, ids: Sequence[str]) -> Iterator[None]:
        """Around a write of the records `ids`, which are then counted as they are stored.

        One writer at a time holds it. Where the write fails or is killed, the records are read again by whoever uses
        the statistics next.
        """
        with self.file.writing():
            self.expect(ids)
            try:
                yield
                self._count_page(ids)
            except BaseException:
                self.recheck()
                raise

    def _up_to_date(self, progress: Count | None) -> None:
        try:
            self._bring_up_to_date(progress)
        except CorruptFileError:  # to be emptied now
            self._bring_up_to_date(progress)

    def _bring_up_to_date(self, progress: Count | None) -> None:
        if time.monotonic() < self._check_at and not self.file.damaged and self.file.fitted:
            return
        # Whoever comes while a scan is under way goes on with what is counted so far, but not before the first one.
        if not self._lock.acquire(blocking=not self._scanned or progress is not None):
            return
        started = time.monotonic()
        try:
            self.file.reopen_if_replaced()
            if self.file.damaged:
                self.file.empty("damaged")
            pause = RECHECK_SECONDS
            try:
                if not self._scanned or not self._is_current():
                    self._catch_up(progress)
                # A large collection shall not be looked through all the time.
                pause = max(pause, 10 * (time.monotonic() - started) if self._scanned else 0)
                self._scanned = True
            except BusyError:
                if not self.file.fitted:
                    raise
            self._check_at = time.monotonic() + pause
        finally:
            self._lock.release()

    def _is_current(self) -> bool:
        if not self.file.fitted or self.file.pending():
            return False
        now, files, version = time.monotonic(), state_of_files(self._database), self.file.version
        if (files, version) != self._state:
            self._state, self._state_since, self._state_is_current = (files, version), now, False
        if self._state_is_current:
            return True
        count = ask("Counting the passages", self._collection.count)
        if count != self.file.n_records:
            return False
        if 0 < count <= SCAN_LIMIT:
            # Chroma lists records in the order they came: where as many came as went, the last one is new.
            last = ask("Listing the collection", self._collection.get, limit=1, offset=count - 1, include=[])["ids"]
            if not all(map(self.file.knows, last)):
                return False
        self._state_is_current = files is not None and now - self._state_since >= SAME_TIME_SECONDS
        return True

    def _catch_up(self, progress: Count | None) -> None:
        # Behind a writer who is at work, who has counted what he wrote by then; but a search does not wait for long.
        with self.file.writing(READER_SECONDS if self.file.fitted else None):
            count, pending = ask("Counting the passages", self._collection.count), self.file.pending()
        if count and self.file.is_new and not self.file.n_records and kept_fingerprint(self._collection):
            logger.warning(
                "The statistics of %r in %s are missing; they are fitted again.", self._collection.name, self.file.path
            )
        if count <= SCAN_LIMIT or not self.file.fitted:
            self._count({*self._new(), *pending}, progress)
            return
        self._count(pending, progress)
        if not self._scanned and count != self.file.n_records:
            logger.warning(
                "The collection %r holds %d records, of which %d are counted; refresh() counts the rest.",
                self._collection.name,
                count,
                self.file.n_records,
            )

    def _new(self) -> set[str]:
        """Ids that are stored and not counted, or counted and not stored."""
        return self.file.ids().symmetric_difference(stored_ids(self._collection))

    def _count(self, ids: Iterable[str], progress: Count | None, *, compare: bool = False) -> None:
        """Count records as they are stored now; those not there are taken out.

        :param compare: Look at their content first, and count those alone that changed.
        """
        ids = sorted({*ids, *self.file.ids()} if compare else ids)
        for start in range(0, len(ids), PAGE):
            with self.file.writing():  # so that nobody changes a record between reading and counting it
                self._count_page(ids[start : start + PAGE], compare)
            if progress:
                progress(min(start + PAGE, len(ids)), len(ids))
        if ids or not self.file.fitted:
            self.file.count([], fitted=True)
            self.file.checkpoint()

    def _count_page(self, ids: Sequence[str], compare: bool = False) -> None:
        rows = [(id, text, _counted_vector(text, vector)) for id, text, vector in self._stored(ids)]
        same = self.file.unchanged({id: (text_digest(t), v) for id, t, v in rows}) if compare else set()
        analyze = self._encoder.analyze
        records = [
            Record(id, text_digest(text), analyze(text) if text and vector is not None else (), vector)
            for id, text, vector in rows
            if id not in same
        ]
        self.file.count(records, [*{*ids}.difference(id for id, _, _ in rows)])

    def _stored(self, ids: Sequence[str]) -> list[tuple[str, str | None, Any]]:
        """Id, embedded text and vector of those records that are there."""
        page: Any = ask(
            "Reading the collection", self._collection.get, list(ids), include=["documents", "metadatas", "embeddings"]
        )
        texts = (
            embedded_text(document, metadata) if document else None
            for document, metadata in zip(page["documents"], page["metadatas"], strict=True)
        )
        return list(zip(page["ids"], texts, page["embeddings"], strict=True))


def mended(work: Callable[[], Result], fit: Callable[[], object]) -> Result:
    """What `work`, which reads statistics, gives; where it meets a damaged page of their file, after a new `fit`."""
    try:
        return work()
    except CorruptFileError:
        fit()
        return work()


def _counted_vector(text: str | None, vector: Any) -> Any:
    """A vector as it is counted; None where the record is not."""
    row = np.asarray(vector, np.float64)
    return at_unit_length(row) if text and np.isfinite(row).all() else None
