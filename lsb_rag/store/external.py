"""Passages in a vector store of another kind than Chroma, with statistics of ours beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..backbones.base import Fingerprint, Matrix
from ..bridge.corpus import CorpusBridge
from ..encoder import LexSemBridgeEncoder
from ..errors import (
    CorruptFileError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    LsbRagError,
    ReadError,
    StoreError,
)
from ..passage import Hit, Passage
from ..rerank import LexicalRerank
from ..sentences.table import SentenceFile, SentenceTable
from ..statistics.base import Record, at_unit_length
from ..statistics.on_disk import FORMAT, StatisticsFile
from ..statistics.sqlite_file import kept_value
from ..utils.arguments import Instead, Positive, checked
from ..utils.batches import batched
from ..utils.closing import Closable
from ..utils.digests import text_digest
from ..utils.progress import Progress
from .records import VectorRecord, checked_k, distinct_passages
from .verification import SAMPLE_TEXTS, sample_differences

logger = logging.getLogger(__name__)

PAGE = 1000
"""Passages that are read and counted at once."""
BATCH = 128
"""Passages that are embedded and added at once."""
FOR_FRAMEWORKS = (
    "A vector store of LangChain's goes to LexSemBridgeRetriever.from_vectorstore() of langchain-lexsembridge, an "
    "index of LlamaIndex's to LexSemBridgeRetriever.from_index() of llama-index-lexsembridge."
)
FOR_STORES = (
    "A folder, an address or a client goes to PassageStore(database, name), a Chroma collection to "
    "PassageStore.from_collection(collection); for another vector store see ExternalStore."
)
"""What to do with what is given in place of a store."""


@runtime_checkable
class VectorIndex(Protocol):
    """A vector store of any kind, as :class:`ExternalStore` reads and changes it.

    A class that derives from it is one that cannot list its passages, until it overrides :attr:`lists`, :meth:`ids` and
    :meth:`count`.
    """

    @property
    def name(self) -> str:
        """What it is, for messages and for its statistics."""
        ...

    @property
    def lists(self) -> bool:
        """Whether it can list what it holds; else neither :meth:`ids` nor :meth:`count` is called."""
        return False

    def ids(self) -> Sequence[str]:
        """Return the ids of all passages."""
        return []

    def count(self) -> int:
        """Return the number of passages."""
        return 0

    def id_of(self, id: str) -> str:
        """Return an id as the store spells it.

        :raises InvalidInputError: For one that it cannot have.
        """
        return id

    def search(self, vector: Matrix, k: int, where: Any) -> Sequence[VectorRecord]:
        """Return the `k` passages nearest to `vector`, nearest first, with their vectors where those are at hand.

        :param where: A filter in the store's own language, or None.
        """
        ...

    def rows(self, ids: Sequence[str]) -> Sequence[VectorRecord]:
        """Return those of `ids` that are stored, with their vectors where those are at hand."""
        ...

    def add(self, passages: Sequence[Passage]) -> None:
        """Embed and store passages, replacing those of the same id."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove passages; unknown ids are passed over."""
        ...


@checked
class ExternalStore(Closable):
    """Passages in a vector store that is searched by vector, with statistics, bridge and sentences beside it.

    What :class:`~lsb_rag.PassageStore` is to Chroma, this is to any other vector store. Nothing stored there is
    changed; the statistics hold units and a float16 vector of each passage.

    A store that can be listed is followed: when it holds more or fewer passages than were counted, the new ones are
    counted before the next search. For one that cannot, :meth:`sync` is given its passages once. A passage that a
    search brings with a text that was not counted is counted then. Threads may share an instance.

    :param index: The vector store.
    :param encoder: What its vectors were made with.
    :param statistics: File for the statistics, so that they are counted once; None keeps them in memory.
    :raises CorruptFileError: When `statistics` is a file of another kind.
    :raises InvalidInputError: When they are another store's.
    :raises FingerprintMismatchError: When the statistics, or the vectors, come from another backbone.
    """

    def __init__(
        self,
        index: Annotated[VectorIndex, Instead(FOR_FRAMEWORKS)],
        encoder: LexSemBridgeEncoder,
        *,
        statistics: str | Path | None = None,
    ) -> None:
        self.index = index
        self.encoder = encoder
        self.name = index.name
        self._path = None if statistics is None else Path(statistics)
        if self._path is not None:
            _check_own(self._path, self.name, encoder)
        about = {"collection": self.name, "units": encoder.units}
        self._file = StatisticsFile(self._path, encoder.dimension, about)
        self._check_fingerprint()
        self._bridge = CorpusBridge(
            self._file,
            units=encoder.units,
            background=encoder.background,
            spread=encoder.spread,
            fingerprint=encoder.fingerprint.to_json(),
        )
        self._rerank = LexicalRerank(encoder.analyze, self._file, encoder.background, encoder.spread)
        self._sentences: SentenceTable | None = None
        self._sentence_file: SentenceFile | None = None
        self._warned = self._said_embedding = False
        self._counting = threading.RLock()

    def __len__(self) -> int:
        self._up_to_date()
        return self._file.n_passages

    def __repr__(self) -> str:
        return f"ExternalStore({self.name!r})"

    def __copy__(self) -> ExternalStore:
        return self  # one vector store, one set of statistics

    def __deepcopy__(self, memo: object) -> ExternalStore:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError(
            f"A retriever over {self.name} cannot be pickled, as it holds the open vector store; make it in the "
            "process that uses it, with statistics= so that nothing is counted twice."
        )

    def close(self) -> None:
        """Close the files of the statistics; the vector store stays open."""
        self._file.close()
        if self._sentence_file is not None:
            self._sentence_file.close()

    # -- searching ------------------------------------------------------------------------------------------------

    def query(
        self,
        vector: Matrix,
        k: Positive = 5,
        where: Any = None,
        where_document: Any = None,
    ) -> list[Hit]:
        """Return the `k` passages nearest to a query vector, or fewer where there are fewer.

        :param vector: float32, shape ``[d]``; its length does not matter.
        :param where: A filter in the store's own language.
        :param where_document: For Chroma alone; refused here.
        :return: Hits by descending cosine similarity; equal ones by id.
        :raises InvalidInputError: For a k below 1, a vector of another width or one that is not finite.
        :raises StoreError: When the vector store fails, for instance at a filter it does not understand.
        """
        k = checked_k(k)
        if where_document is not None:
            raise InvalidInputError(f"where_document= is a filter of Chroma's, which {self.name} does not have.")
        vector = np.asarray(vector, np.float32)
        if vector.shape != (self.encoder.dimension,) or not np.isfinite(vector).all():
            raise InvalidInputError(f"A query vector has {self.encoder.dimension} finite numbers, shape [d].")
        self._up_to_date()
        unit = at_unit_length(vector)
        # By Euclidean distance, a vector of another length than the stored ones would be near to the wrong ones.
        with self._failing("The search of"):
            found = self.index.search(np.asarray(unit * self.encoder.passage_length, np.float32), k, where)
        rows = {row.id: row for row in found if row.embedded_text and row.embedded_text.strip()}
        vectors = self._vectors_of(list(rows.values()))
        hits = [row.hit(float(unit @ vectors[id])) for id, row in rows.items() if id in vectors]
        return sorted(hits, key=lambda hit: (-hit.cosine, hit.id))[:k]

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """Return the vectors of passages at length 1 in the order of `ids`, float32 of shape ``[n, d]``.

        :raises InvalidInputError: For an id that is not stored.
        """
        ids = list(map(self.index.id_of, ids))
        rows = {row.id: row for row in self._rows(ids)}
        vectors = self._vectors_of(list(rows.values()))
        if missing := [id for id in ids if id not in vectors]:
            raise self._no_passage(missing[0])
        return np.asarray([vectors[id] for id in ids], np.float32).reshape(len(ids), self.encoder.dimension)

    def known_vectors(self, hits: Sequence[Hit]) -> dict[str, NDArray[np.float64]]:
        """Return the vectors at length 1, by id, of those `hits` that are stored with their text."""
        self._up_to_date()
        rows: dict[str, VectorRecord] = {}
        for hit in hits:
            with suppress(InvalidInputError):  # an id that the store cannot have
                if self.index.id_of(hit.id) == hit.id:
                    rows[hit.id] = VectorRecord(hit.id, hit.text, hit.metadata)
        stored = [row for row in self._rows(list(rows)) if row.vector is not None]
        found = {
            row.id: at_unit_length(row.vector)
            for row in stored
            if row.id in rows and row.embedded_text == rows[row.id].embedded_text
        }
        keys = {id: self._key(rows[id]) for id in self._same([row for id, row in rows.items() if id not in found])}
        kept = self._file.vectors_by_id(list(keys.values()))
        return {**found, **{id: kept[key] for id, key in keys.items() if key in kept}}

    def hit(self, id: str) -> Hit:
        """Return one passage as a hit without a score.

        :raises InvalidInputError: When it is not stored, or the store does not give passages by id.
        """
        if row := next(iter(self._rows([self.index.id_of(id)])), None):
            return row.hit()
        raise self._no_passage(id)

    def get(self, ids: Sequence[str]) -> list[Passage]:
        """Return those of `ids` that are stored, in that order, where the store gives passages by id."""
        rows = {row.id: row for row in self._rows(self._spelled(ids))}
        return [rows[id].passage() for id in self._spelled(ids) if id in rows]

    def _rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        with self._failing("Reading"):
            return list(self.index.rows(ids))

    def _spelled(self, ids: Sequence[str]) -> list[str]:
        """Return ids as the store spells them, each once; those that it cannot have are left out."""
        spelled: dict[str, None] = {}
        for id in ids:
            with suppress(InvalidInputError):
                spelled[self.index.id_of(id)] = None
        return list(spelled)

    @contextmanager
    def _failing(self, doing: str) -> Iterator[None]:
        """Raise what the vector store's client raises as an error of ours."""
        try:
            yield
        except LsbRagError:
            raise
        except Exception as error:
            raise StoreError(f"{doing} {self.name} failed: {error}") from error

    def _no_passage(self, id: str) -> InvalidInputError:
        why = "" if self.index.lists else ", or it does not give passages by id"
        return InvalidInputError(f"There is no passage {id!r} in {self.name}{why}.")

    # -- fitted ---------------------------------------------------------------------------------------------------

    @property
    def bridge(self) -> CorpusBridge:
        """The bridge over current statistics."""
        self._up_to_date()
        return self._bridge

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over current statistics."""
        self._up_to_date()
        return self._rerank

    @property
    def sentences(self) -> SentenceTable:
        """The vectors of the passages' sentences, see :attr:`lsb_rag.PassageStore.sentences`."""
        with self._counting:
            if self._sentences is None:
                about = {"collection": self.name, "backbone": self.encoder.identity}
                path = None if self._path is None else self._path.with_name(f"{self._path.name}-sentences")
                self._sentence_file = SentenceFile(path, self.encoder.dimension, about)
                self._sentences = SentenceTable(
                    self._sentence_file, self.encoder.encode_sentences, on_demand=self.encoder.runs_here
                )
            return self._sentences

    def fit(self, *, progress: Progress | None = None) -> CorpusBridge:
        """Bring the statistics up to date with the store, and return the bridge."""
        self._up_to_date(progress)
        return self._bridge

    def embed_sentences(self, *, progress: Progress | None = None) -> int:
        """Embed the sentences of all passages that have none yet, so that no search has to.

        :return: The number of passages whose sentences were embedded.
        :raises InvalidInputError: When the store cannot be listed.
        """
        ids, table = self._listed(), self.sentences
        table.forget(table.ids().difference(ids))
        embedded = done = 0
        for batch in batched(ids, BATCH):
            embedded += table.add([row.hit() for row in self._rows(batch) if row.document])
            done += len(batch)
            if progress:
                progress(done, len(ids))
        table.checkpoint()
        return embedded

    # -- following ------------------------------------------------------------------------------------------------

    def sync(self, passages: Iterable[str | Passage] | None = None, *, progress: Progress | None = None) -> int:
        """Compare everything that is stored with what is counted of it, and count the differences.

        :param passages: All passages of the store, where it cannot list them. Those not counted yet are embedded, in
            batches; an interrupted call continues from there.
        :return: The number of passages that were counted anew or taken out.
        :raises InvalidInputError: Without passages, when the store cannot be listed.
        """
        with self._counting:
            if passages is None:
                return self._synced(self._listed(), compare=True, progress=progress)
            given = distinct_passages((one for one in passages if not _is_blank(one)), storable=False)
            rows = [VectorRecord.of(passage) for passage in given]
            changed, done = 0, 0
            for batch in batched(rows, BATCH):
                changed += len(self._counted(batch))
                done += len(batch)
                if progress:
                    progress(done, len(rows))
            self._file.verified_with = self.encoder.fingerprint.to_json()
            gone = self._file.ids().difference(self._key(row) for row in rows)
            self._file.count([], sorted(gone), fitted=True)
            self._file.checkpoint()
            return changed + len(gone)

    def refresh(self, *, progress: Progress | None = None) -> CorpusBridge:
        """:meth:`sync` for a store that can be listed, for changes that left the number of its passages as it was."""
        self.sync(progress=progress)
        return self._bridge

    def add(self, passages: Iterable[str | Passage], *, progress: Progress | None = None) -> int:
        """Embed and store passages in batches, and count them. What is stored as it is given is passed by.

        :return: The number of passages embedded.
        :raises InvalidInputError: For a blank passage, or an id given twice with different content.
        :raises StoreError: When the vector store cannot be read.
        """
        distinct = [replace(one, id=self.index.id_of(one.id)) for one in distinct_passages(passages, storable=False)]
        with self._counting:
            self._up_to_date()
            embedded = done = 0
            for batch in batched(distinct, BATCH):
                stored = {row.id: row for row in self._rows([passage.id for passage in batch])}
                given = {passage.id: VectorRecord.of(passage) for passage in batch}
                new = [passage for passage in batch if not _is_stored(given[passage.id], stored.get(passage.id))]
                if new:
                    self.index.add(new)
                    before = {self._key(stored[passage.id]) for passage in new if passage.id in stored}
                    self._counted([given[passage.id] for passage in new])
                    self._file.count([], sorted(before.difference(map(self._key, given.values()))))
                embedded += len(new)
                done += len(batch)
                if progress:
                    progress(done, len(distinct))
            self._file.count([], fitted=True)
            return embedded

    def delete(self, ids: Sequence[str]) -> int:
        """Remove passages by id, from the store and from the statistics; unknown ids are passed over.

        :return: The number of passages removed, as far as the store tells.
        """
        ids = self._spelled(ids)
        if not ids:
            return 0
        with self._counting:
            rows = self._rows(ids)
            self.index.delete(ids)
            self._file.count([], [self._key(row) for row in rows])
            self.sentences.forget(row.id for row in rows)
        return len(rows)

    def _up_to_date(self, progress: Progress | None = None) -> None:
        """Count what is new in a store that can be listed, and take out what is gone."""
        if self._file.damaged:
            self._file.empty("damaged")
        if not self.index.lists or (self._file.fitted and self._file.n_records == self.index.count()):
            return
        with self._counting:
            self._synced(self.index.ids(), compare=False, progress=progress)

    def _synced(self, ids: Sequence[str], *, compare: bool, progress: Progress | None) -> int:
        if not self._file.fitted:
            self._check_sample(ids)
        known = self._file.ids()
        gone = known.difference(ids)
        wanted = ids if compare else [id for id in ids if id not in known]
        changed = done = 0
        for batch in batched(wanted, PAGE):
            rows = self._rows(batch)
            changed += len(self._counted(rows))
            # Known, and not counted: the record would be read again at every search.
            blank = set(batch).difference(self._file.digests(batch))
            self._file.count([Record(id, text_digest(None), (), None) for id in sorted(blank)])
            done += len(batch)
            if progress:
                progress(done, len(wanted))
        self._file.count([], sorted(gone), fitted=True)
        self._file.checkpoint()
        if gone and self._sentences is not None:
            self._sentences.forget(gone)
        return changed + len(gone)

    def _listed(self) -> Sequence[str]:
        if not self.index.lists:
            raise InvalidInputError(f"{self.name} cannot be listed; give all its passages.")
        return self.index.ids()

    # -- counting -------------------------------------------------------------------------------------------------

    def _key(self, row: VectorRecord) -> str:
        """The id that a passage is counted under; its text's where ids cannot be listed, as it may come without."""
        return row.id if self.index.lists else text_digest(row.embedded_text).hex()

    def _same(self, rows: Sequence[VectorRecord]) -> set[str]:
        """Return the ids of the rows that are counted with their text."""
        keys = {row.id: self._key(row) for row in rows}
        digests = self._file.digests(list(keys.values()))
        return {row.id for row in rows if digests.get(keys[row.id]) == text_digest(row.embedded_text)}

    def _vectors_of(self, rows: Sequence[VectorRecord]) -> dict[str, Matrix]:
        """Return the vectors of passages at length 1 by id; those not counted with their text are counted."""
        same = self._same(rows)
        new = [row for row in rows if row.id not in same]
        fresh: dict[str, Matrix] = {}
        if new:
            with self._counting:
                fresh = self._counted(new)
            if not self.index.lists and not self._warned:
                self._warned = True
                logger.warning(
                    "A search of %s brought passages that were not counted, which are now; sync(passages) counts all "
                    "others.",
                    self.name,
                )
        keys = {row.id: self._key(row) for row in rows}
        without = [row for row in rows if row.id not in fresh and row.vector is None]
        kept = self._file.vectors_by_id([keys[row.id] for row in without])
        given: dict[str, Any] = {row.id: at_unit_length(row.vector) for row in rows if row.vector is not None}
        return {**{row.id: kept[keys[row.id]] for row in without if keys[row.id] in kept}, **given, **fresh}

    def _counted(self, rows: Sequence[VectorRecord]) -> dict[str, Matrix]:
        """Count those rows that are not counted with their text; return their vectors at length 1 by id."""
        rows = [row for row in rows if row.embedded_text and row.embedded_text.strip()]
        same = self._same(rows)
        new = [row for row in rows if row.id not in same]
        if not new:
            return {}
        missing = [row.id for row in new if row.vector is None]
        stored = {row.id: row.vector for row in (self._rows(missing) if missing else ()) if row.vector is not None}
        vectors: dict[str, Any] = {row.id: row.vector if row.vector is not None else stored.get(row.id) for row in new}
        embed = [row for row in new if vectors[row.id] is None]
        if embed:
            if self.index.lists and len(embed) > SAMPLE_TEXTS and not self._said_embedding:
                self._said_embedding = True
                logger.warning(
                    "%s does not give its vectors, so its passages are embedded for the statistics; statistics= names "
                    "a file that keeps them.",
                    self.name,
                )
            made = self.encoder.encode_document([row.embedded_text or "" for row in embed])
            vectors |= {row.id: vector for row, vector in zip(embed, made, strict=True)}
        finite = [row for row in new if np.isfinite(vectors[row.id]).all() and np.any(vectors[row.id])]
        if not finite:
            return {}
        units = at_unit_length(np.asarray([vectors[row.id] for row in finite], np.float64))
        self._count(finite, units)
        return {row.id: unit for row, unit in zip(finite, units, strict=True)}

    def _count(self, rows: Sequence[VectorRecord], vectors: NDArray[Any]) -> None:
        records = {}
        for row, vector in zip(rows, vectors, strict=True):
            text = row.embedded_text or ""
            key = self._key(row)
            records[key] = Record(key, text_digest(text), self.encoder.analyze(text), vector)
        self._file.count(list(records.values()))

    # -- whose vectors --------------------------------------------------------------------------------------------

    def _check_fingerprint(self) -> None:
        kept = None
        try:
            kept = Fingerprint.from_json(self._file.verified_with) if self._file.verified_with else None
        except CorruptFileError:  # to be emptied when it is next used
            return
        differences = self.encoder.differences(kept) if kept else None
        if kept and differences:
            raise FingerprintMismatchError(
                f"The statistics in {self._path} were counted with {kept.backbone}, which is not the backbone at hand, "
                f"{self.encoder.name} ({'; '.join(differences)}). Give that one, or another file."
            )

    def _check_sample(self, ids: Sequence[str]) -> None:
        """Embed a few stored texts again and compare, before the store is first counted."""
        if not self._file.verified_with:
            chosen = ids[:: max(1, len(ids) // SAMPLE_TEXTS)][:SAMPLE_TEXTS]
            rows = [row for row in self._rows(chosen) if row.vector is not None and row.document]
            if rows and len(rows[0].vector) != self.encoder.dimension:
                raise self._other_backbone([f"dimension: {len(rows[0].vector)} against {self.encoder.dimension}"])
            if rows:
                texts = [row.embedded_text or "" for row in rows]
                _, differences = sample_differences(
                    texts, np.asarray([row.vector for row in rows], np.float64), self.encoder
                )
                if differences:
                    raise self._other_backbone(differences)
            self._file.verified_with = self.encoder.fingerprint.to_json()

    def _other_backbone(self, differences: Sequence[str]) -> FingerprintMismatchError:
        return FingerprintMismatchError(
            f"The vectors in {self.name} were made with another model than {self.encoder.name} "
            f"({'; '.join(differences)}). Give the model that made them; nothing was changed."
        )


def _check_own(path: Path, name: str, encoder: LexSemBridgeEncoder) -> None:
    """Refuse a file that is not the statistics of this store, before it is opened and emptied.

    :raises CorruptFileError: For a file of another kind.
    :raises FingerprintMismatchError: For statistics of vectors of another width.
    :raises InvalidInputError: For those of another store.
    :raises ReadError: For a folder.
    """
    if path.is_dir():
        raise ReadError(f"{path} is a folder; statistics= names a file in one.")
    if not path.exists() or not path.stat().st_size:
        return
    if not kept_value(path, "format").startswith(FORMAT.rstrip(" 0123456789")):
        raise CorruptFileError(f"{path} is no statistics file, or damaged; name another for statistics=, or delete it.")
    if (kept := kept_value(path, "collection")) != name:
        raise InvalidInputError(f"{path} has the statistics of {kept}; give {name} a file of its own.")
    if (width := kept_value(path, "dimension")) != str(encoder.dimension):
        raise FingerprintMismatchError(
            f"The statistics in {path} are of vectors of {width} dimensions, and {encoder.name} has "
            f"{encoder.dimension}. Give the backbone that they were counted with, or another file."
        )


def _is_stored(given: VectorRecord, stored: VectorRecord | None) -> bool:
    """Whether a passage is stored as it is given, with its metadata; what the store adds does not count."""
    if stored is None or stored.document != given.document:
        return False
    wanted, kept = dict(given.metadata or {}), dict(stored.metadata or {})
    return all(key in kept and kept[key] == value for key, value in wanted.items()) and all(
        key in wanted or key.startswith("_") or value is None for key, value in kept.items()
    )


def _is_blank(passage: object) -> bool:
    text = passage.content if isinstance(passage, Passage) else passage
    return isinstance(text, str) and not text.strip()
