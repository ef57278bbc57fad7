"""A collection's statistics: counted from what it stores, kept in a file, brought up to date."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import numpy as np

from ..backbones.base import Fingerprint
from ..bridge.adaptation import Adaptation, KeptAdaptation
from ..bridge.corpus import CorpusBridge
from ..encoder import LexSemBridgeEncoder
from ..errors import BusyError, CorruptFileError, FingerprintMismatchError, LsbRagError
from ..rerank import LexicalRerank
from ..sentences.table import SentenceFile, SentenceTable
from ..statistics.base import Record, at_unit_length
from ..statistics.on_disk import StatisticsFile
from ..utils.batches import batched
from ..utils.digests import content_id, text_digest
from ..utils.progress import Progress
from .collection import BATCH, PAGE, ChromaCollection
from .records import VectorRecord
from .statistics_folder import folder_of_statistics, release_file, shared_file
from .verification import kept_fingerprint
from .watch import ChangeWatch

logger = logging.getLogger(__name__)

READER_SECONDS = 1.0
"""Time that a search waits for another process that writes. Then it uses what is counted."""

Reader = TypeVar("Reader", bound="Refittable")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class FittedStatistics:
    """The statistics of one collection, and the bridge and rerank that stand on them.

    What is written through this library is counted as it is written. A note made before each write names the records
    to read again after an interruption. What other programs write is found by comparing ids: when first
    used, and when there are more or fewer than were counted, or the last is unknown. A change in place by another
    program leaves no sign in Chroma; :meth:`refresh` finds it. Threads may share an instance, processes the file.

    :param collection: The collection.
    :param encoder: Its analyzer cuts the units; its fingerprint is kept in the file.
    """

    def __init__(self, collection: ChromaCollection, encoder: LexSemBridgeEncoder) -> None:
        self._collection = collection
        self._encoder = encoder
        folder = folder_of_statistics(collection)
        path = folder and folder / f"{collection.id}-{encoder.units}.sqlite3"
        self.file = shared_file(
            StatisticsFile, path, encoder.dimension, {"collection": collection.id, "units": encoder.units}
        )
        self._released = [weakref.finalize(self, release_file, self.file)]
        of_backbone = content_id(encoder.identity)[:8]
        self._sentences_path = folder and folder / f"{collection.id}-sentences-{of_backbone}.db"
        self._opening = threading.Lock()
        self._sentences: SentenceTable | None = None
        if not kept_fingerprint(collection):
            self._check_fingerprint()
        self._watch = ChangeWatch(collection, self.file)
        self._bridge: CorpusBridge | None = None
        self._adapted: CorpusBridge | None = None
        self.kept_adaptation = KeptAdaptation(folder and folder / f"{collection.id}-{encoder.units}.adapted.json")
        self._rerank: LexicalRerank | None = None

    def close(self) -> None:
        """Close the files, unless others in this process use them."""
        for released in self._released:
            if detached := released.detach():
                release_file(*detached[2], close=True)

    def _check_fingerprint(self) -> None:
        """Refuse another encoder than the one that another program's collection was attached with.

        :raises FingerprintMismatchError: When the encoder differs.
        """
        ours, kept = self._encoder.fingerprint, None
        with suppress(CorruptFileError):  # damaged, it says no more than a missing one
            kept = Fingerprint.from_json(self.file.verified_with)
        # Where the two cannot be compared, a sample of the texts has been.
        differences = self._encoder.differences(kept) if kept else None
        if kept and differences:
            raise FingerprintMismatchError(
                f"The collection {self._collection.name!r} was attached with {kept.backbone}, which is not the "
                f"backbone at hand, {ours.backbone} ({'; '.join(differences)}). Open it with that one; or, if that one "
                f"was wrong, delete {self.file.path or 'the statistics'} first."
            )
        if not kept or (differences is not None and kept.backbone != ours.backbone):  # an endpoint that has moved
            with suppress(CorruptFileError):  # to be emptied when it is next used
                self.file.verified_with = ours.to_json()

    def bridge(self, progress: Progress | None = None) -> CorpusBridge:
        """Return the bridge over current statistics, with what was learned for the collection."""
        plain, adaptation = self.plain_bridge(progress), self.adaptation
        if adaptation is None:
            return plain
        if self._adapted is None or self._adapted.adaptation is not adaptation:
            self._adapted = self._new_bridge(adaptation)
        return self._adapted

    def plain_bridge(self, progress: Progress | None = None) -> CorpusBridge:
        """Return the bridge over current statistics as it is fitted, whatever was learned for the collection."""
        self._up_to_date(progress)
        if self._bridge is None:
            self._bridge = self._new_bridge()
        return self._bridge

    def _new_bridge(self, adaptation: Adaptation | None = None) -> CorpusBridge:
        encoder = self._encoder
        return CorpusBridge(
            self.file,
            units=encoder.units,
            background=encoder.background,
            adaptation=adaptation,
            spread=encoder.spread,
            fingerprint=encoder.fingerprint.to_json(),
        )

    @property
    def adaptation(self) -> Adaptation | None:
        """What ``lsb-rag adapt`` learned for this collection and this encoder; None where it kept nothing.

        :raises CorruptFileError: When its file is damaged.
        """
        encoder = self._encoder
        if (encoder.paradigm, encoder.fusion, encoder.units) != ("slr", "residual", "words"):
            return None
        found = self.kept_adaptation.read()
        return found if found and found.fingerprint == self._encoder.fingerprint.weights else None

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over current statistics."""
        self._up_to_date(None)
        if self._rerank is None:
            self._rerank = LexicalRerank(
                self._encoder.analyze, self.file, self._encoder.background, self._encoder.spread
            )
        return self._rerank

    @property
    def sentences(self) -> SentenceTable:
        """The sentence vectors of the collection's passages; none are made on demand where that costs requests."""
        with self._opening:
            if self._sentences is None:
                encoder, here = self._encoder, self._encoder.runs_here
                about = {"collection": self._collection.id, "backbone": encoder.identity}
                try:
                    file = shared_file(SentenceFile, self._sentences_path, encoder.dimension, about)
                except BusyError as error:  # for now, without what is kept
                    logger.warning("The sentence vectors are not kept: %s", error)
                    file = SentenceFile(None, encoder.dimension, about)
                    return SentenceTable(file, encoder.encode_sentences, on_demand=here)
                self._released.append(weakref.finalize(self, release_file, file))
                self._sentences = SentenceTable(file, encoder.encode_sentences, on_demand=here)
            return self._sentences

    def embed_sentences(self, progress: Progress | None = None) -> int:
        """Embed the sentences of all passages that have none yet, and drop those of passages that are gone.

        :return: The number of passages whose sentences were embedded.
        """
        table = self.sentences
        self._up_to_date(None)
        ids = self._collection.ids()
        table.forget(table.ids().difference(ids))
        embedded = done = 0
        for batch in batched(ids, BATCH):
            embedded += table.add([row.hit() for row in self._collection.rows(batch) if row.document])
            done += len(batch)
            if progress:
                progress(done, len(ids))
        table.checkpoint()
        return embedded

    def recheck(self) -> None:
        """Look at the collection before the next use, no matter how recent the last look was."""
        self._watch.wake()

    def refresh(self, progress: Progress | None = None) -> None:
        """Compare every record with what is counted of it; for changes in place by another program."""
        with self._watch.looking:
            with self.file.writing():
                self._collection.reopen()
            try:
                self._count(self._collection.ids(), progress, compare=True)
            except CorruptFileError:  # to be emptied and counted as a whole
                self._bring_up_to_date(progress)

    def expect(self, ids: Sequence[str]) -> None:
        """Note that these records are about to be written: the next use of the statistics reads them again."""
        with self.file.writing():
            try:
                self.file.expect(ids)
            except CorruptFileError:
                self.file.empty("damaged")
                self.file.expect(ids)

    @contextmanager
    def changing(self, ids: Sequence[str]) -> Iterator[None]:
        """Enclose a write of the records `ids`; afterwards they are counted as they are stored.

        One writer at a time holds it. Where the write fails or is killed, the next use of the statistics reads the
        records again.
        """
        with self.file.writing():
            with suppress(CorruptFileError):  # expect() empties it
                self._follow_others()
            self.expect(ids)
            try:
                yield
                with suppress(CorruptFileError):  # what was written is stored; the next use counts all anew
                    self._count_records(ids)
            except BaseException:
                self.recheck()
                raise

    def _up_to_date(self, progress: Progress | None) -> None:
        try:
            self._bring_up_to_date(progress)
        except CorruptFileError:  # to be emptied now
            self._bring_up_to_date(progress)

    def _bring_up_to_date(self, progress: Progress | None) -> None:
        if self._watch.rests() and not self.file.damaged and self.file.fitted:
            return
        with self._watch.turn(wait=progress is not None) as my_turn:
            if not my_turn:
                return
            self.file.reopen_if_replaced()
            if self.file.damaged:
                self.file.empty("damaged")
            try:
                if self.file.version != self.file.seen_version:
                    with self.file.writing(READER_SECONDS if self.file.fitted else None):
                        self._follow_others()
                if not self._watch.is_current():
                    self._catch_up(progress)
                self._watch.looked()
            except BusyError:  # a search goes on with what is counted
                if not self.file.fitted:
                    raise
                self._watch.put_off()

    def _follow_others(self) -> None:
        """Have Chroma read anew what another process of this library has written, which counted it in the file."""
        version = self.file.version
        if self.file.seen_version not in (None, version):
            self._collection.reopen()
        self.file.seen_version = version

    def _catch_up(self, progress: Progress | None) -> None:
        # After a writer at work, who counts what he writes. A search does not wait for long.
        with self.file.writing(READER_SECONDS if self.file.fitted else None):
            count, pending = self._collection.count(), self.file.pending()
        if count and self.file.is_new and not self.file.n_records and kept_fingerprint(self._collection):
            logger.warning(
                "The statistics of %r in %s are missing; they are fitted again.", self._collection.name, self.file.path
            )
        if self._watch.lists(count) or not self.file.fitted:
            self._count({*self._new(), *pending}, progress)
            return
        self._count(pending, progress)
        if not self._watch.seen and count != self.file.n_records:
            logger.warning(
                "The collection %r holds %d records, of which %d are counted; refresh() counts the rest.",
                self._collection.name,
                count,
                self.file.n_records,
            )

    def _new(self) -> set[str]:
        """Return the ids that are stored and not counted, or counted and not stored."""
        return self.file.ids().symmetric_difference(self._collection.ids())

    def _count(self, ids: Iterable[str], progress: Progress | None, *, compare: bool = False) -> None:
        """Count records as they are stored now; those that are gone are taken out.

        :param compare: Compare all records, and count only those that changed.
        """
        ids, done = sorted({*ids, *self.file.ids()} if compare else ids), 0
        for batch in batched(ids, PAGE):
            with self.file.writing():  # so that nobody changes a record between reading and counting it
                self._count_records(batch, compare)
            done += len(batch)
            if progress:
                progress(done, len(ids))
        if ids or not self.file.fitted:
            self.file.count([], fitted=True)
            self.file.checkpoint()

    def _count_records(self, ids: Sequence[str], compare: bool = False) -> None:
        rows = self._collection.records(ids)
        stored = {row.id: (row.embedded_text, _counted_vector(row)) for row in rows}
        contents = {id: (text_digest(text), vector) for id, (text, vector) in stored.items()}
        same = self.file.unchanged(contents) if compare else set()
        records = [
            Record(id, contents[id][0], self._encoder.analyze(text) if text and vector is not None else (), vector)
            for id, (text, vector) in stored.items()
            if id not in same
        ]
        gone = [*{*ids}.difference(stored)]
        self.file.count(records, gone)
        known = self._sentences is not None or (self._sentences_path is not None and self._sentences_path.exists())
        if gone and known:
            with suppress(LsbRagError):  # rows that nobody looks for do no harm
                self.sentences.forget(gone)


def _counted_vector(row: VectorRecord) -> Any:
    """Return the vector as it is counted; None where the record is not."""
    vector = np.asarray(row.vector, np.float64)
    return at_unit_length(vector) if row.document and np.isfinite(vector).all() else None


class Refittable(Protocol):
    """What reads the statistics of a collection, and can have them fitted again."""

    def _refit(self) -> object: ...


def refits_when_damaged(
    method: Callable[Concatenate[Reader, Arguments], Result],
) -> Callable[Concatenate[Reader, Arguments], Result]:
    """Decorate a method that reads statistics: where they are damaged, fit them again and run it once more."""

    @wraps(method)
    def reading(self: Reader, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(self, *args, **kwargs)
        except CorruptFileError:
            self._refit()
            return method(self, *args, **kwargs)

    return reading
