"""Passages and their vectors: one Chroma collection, with its statistics fitted and kept beside it."""

from __future__ import annotations

import weakref
from collections import abc
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ..backbones.base import DEFAULT_BACKBONE, Fingerprint, Matrix
from ..bridge.corpus import CorpusBridge
from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError, InvalidTypeError
from ..lexical.analyzer import UnitKind
from ..lexical.unread import UnreadPassages
from ..passage import Hit, Passage
from ..rerank import LexicalRerank
from ..sentences.table import SentenceTable
from ..statistics.base import at_unit_length
from ..utils.arguments import UNCHECKED, Natural, Positive, checked
from ..utils.batches import batched
from ..utils.closing import Closable
from ..utils.progress import Progress
from ..utils.threads import passages_in_background
from .client import Database, delete_collection, is_server, open_collection
from .collection import PAGE, ChromaCollection, is_collection, raw_collection
from .filters import Where, as_filter
from .fitted import FittedStatistics
from .records import VectorRecord, check_passages, distinct_passages, warn_of_equal_ones
from .spaces import Space, check_takes_vectors
from .statistics_folder import bytes_of_statistics, delete_statistics
from .verification import (
    Verification,
    attached_with,
    check_verified,
    kept_fingerprint,
    kept_units,
    made_with,
    verified_encoder,
)
from .writer import PassageWriter

if TYPE_CHECKING:
    from .collection import Collection

GivenEncoder: TypeAlias = Annotated[LexSemBridgeEncoder | str | None, UNCHECKED]
"""An encoder, or a backbone by path or hub name. What else is given is taken, or refused, by the encoder."""


@checked
class PassageStore(Closable):
    """One Chroma collection of passages.

    :param database: Folder of an embedded database, made if it is not there; the address of a server,
        ``http[s]://host:port``, see :func:`lsb_rag.store.client.open_server`; a Chroma client; None for a database in
        memory.
    :param name: Name of the collection; made, in cosine space, if it is not there.
    :param encoder: What embeds the passages: an encoder, or a backbone by path or hub name. By default the backbone the
        collection was made with, for a new one the embedded all-MiniLM-L6-v2; loaded when first needed.
    :param create: False refuses a collection that does not exist.
    :raises CollectionNotFoundError: With ``create=False``, when there is no such collection.
    :raises FingerprintMismatchError: When the collection's vectors come from another backbone than `encoder`'s; from
        the first use of the encoder.
    :raises StoreError: When Chroma cannot open the database or refuses the name.
    """

    def __init__(
        self,
        database: Database | None,
        name: str,
        encoder: GivenEncoder = None,
        *,
        create: bool = True,
    ) -> None:
        opened = _opened(encoder)

        def about() -> dict[str, str]:
            nonlocal opened
            opened = opened or LexSemBridgeEncoder(DEFAULT_BACKBONE)
            return made_with(opened)

        collection = open_collection(database, name, about if create else None)
        self._attach(collection, opened, str(database) if is_server(database) else None)

    @classmethod
    def attach(
        cls,
        database: Database,
        name: str,
        encoder: GivenEncoder = None,
        *,
        progress: Progress | None = None,
    ) -> PassageStore:
        """Open a collection that another program filled: verify its backbone, and fit its bridge.

        No stored record is changed, and only a sample of the documents is embedded again.

        :raises CollectionNotFoundError: When there is no such collection.
        :raises FingerprintMismatchError: When its vectors are not `encoder`'s, with what was found.
        """
        store = cls(database, name, encoder, create=False)
        store.fit(progress=progress)
        return store

    @classmethod
    def from_collection(cls, collection: Collection | object, encoder: GivenEncoder = None) -> PassageStore:
        """Return the store of an open Chroma collection, no matter who made it.

        :param collection: The collection, or a framework's vector store on one.
        :raises InvalidTypeError: For anything else.
        """
        raw: Any = raw_collection(collection)
        if not is_collection(raw):
            raise InvalidTypeError(
                f"A store takes a Chroma collection, or a vector store backed by one, not {type(collection).__name__}."
            )
        store = cls.__new__(cls)
        store._attach(ChromaCollection(raw), _opened(encoder))
        return store

    @classmethod
    def from_source(
        cls,
        source: Database | Collection | object,
        name: str | None = None,
        encoder: GivenEncoder = None,
        *,
        default_name: str,
    ) -> PassageStore:
        """Open an existing collection and verify its backbone. No stored record is changed.

        :param source: Where it is: a folder, an address or a client, with its `name`; or the collection itself, open or
            behind a framework's vector store.
        :param default_name: Its name in a database, where none is given.
        :raises CollectionNotFoundError: When it is not there.
        :raises FingerprintMismatchError: When its vectors come from another backbone.
        :raises InvalidInputError: For a name that is not the open collection's.
        :raises InvalidTypeError: For a source that is none of these.
        """
        if not cls.opens(source):
            raise InvalidTypeError(
                "A store takes a folder, an address, a client, a Chroma collection, or a vector store backed by one, "
                f"not {type(source).__name__}."
            )
        if not isinstance(name, str | None):
            raise InvalidTypeError(f"The name of a collection is a string, not {type(name).__name__}.")
        raw: Any = raw_collection(source)
        if not is_collection(raw):
            store = cls(raw, name or default_name, encoder, create=False)
        elif name not in (None, raw.name):
            raise InvalidInputError(f"The source is the collection {raw.name!r}; leave collection_name={name!r} out.")
        else:
            store = cls.from_collection(raw, encoder)
        store.verify()
        return store

    @staticmethod
    def opens(source: object) -> bool:
        """Whether :meth:`from_source` can open `source`: a folder, an address, a client, or a collection itself."""
        raw = raw_collection(source)
        return isinstance(raw, str | Path) or hasattr(raw, "list_collections") or is_collection(raw)

    @classmethod
    def for_passages(
        cls,
        passages: abc.Collection[str | Passage],
        database: Database | None = None,
        name: str | None = None,
        encoder: GivenEncoder = None,
        *,
        default_name: str,
    ) -> PassageStore:
        """Return a store to add `passages` to, opened or made after they have been checked.

        :param database: Without a database and a name, a new store in memory.
        :param default_name: Name of the collection, where none is given.
        :raises InvalidInputError: As :meth:`add`; no collection is made then.
        :raises InvalidTypeError: As :meth:`add`, and for an iterator, which could not be added afterwards.
        """
        check_passages(passages)
        if database is None and name is None:
            return cls.in_memory(encoder)
        return cls(database, name or default_name, encoder)

    @classmethod
    def in_memory(cls, encoder: GivenEncoder = None) -> PassageStore:
        """Return a new, empty store in memory. Its collection is deleted with the last reference to it."""
        store = cls(None, f"lsb-rag-{uuid4().hex}", encoder)
        weakref.finalize(store.chroma.raw, delete_collection, store.name).atexit = False
        return store

    def _attach(
        self, collection: ChromaCollection, encoder: LexSemBridgeEncoder | None, url: str | None = None
    ) -> None:
        self.chroma = collection
        """The collection, its calls made again while a server does not answer."""
        self.name = collection.name
        self.path = collection.folder
        """Folder of the database; None in memory or on a server."""
        self.given_encoder = encoder
        """The encoder as it was given, not verified yet; None where the collection finds its own."""
        self.url = url
        """Address of the server it was opened by; None elsewhere, and for a client's."""

    def __len__(self) -> int:
        return self.chroma.count()

    def __repr__(self) -> str:
        where = repr(self.url or str(self.path)) if self.url or self.path else "in memory or on a server"
        return f"PassageStore({where}, {self.name!r})"  # without a count, which would ask the database

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as a reference: the database stays where it is, and the backbone is loaded again.
        where = self.url or (self.path and str(self.path.resolve()))
        if not where or not self.chroma.in_default_database:
            raise InvalidTypeError(
                f"The collection {self.name!r} is in memory, on a server or under a tenant, where another process "
                "cannot find it by a path; pickle one in a folder or opened by the server's address, or make the store "
                "in the process that uses it."
            )
        return partial(PassageStore, create=False), (where, self.name, self.given_encoder)

    # -- what it was made with ----------------------------------------------------------------------------------

    @property
    def collection(self) -> Collection:
        """The Chroma collection itself."""
        return self.chroma.raw

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The fingerprint the collection was made with; None for one that another program made."""
        return kept_fingerprint(self.chroma)

    @property
    def attached_with(self) -> Fingerprint | None:
        """The fingerprint that a collection of another program's was attached with; None before that."""
        return attached_with(self.chroma)

    @property
    def units(self) -> UnitKind | None:
        """The lexical units the collection was made with; None for one that another program made."""
        return kept_units(self.chroma)

    @cached_property
    def _verified(self) -> tuple[LexSemBridgeEncoder, Verification]:
        return verified_encoder(self.chroma, self.given_encoder)

    @property
    def encoder(self) -> LexSemBridgeEncoder:
        """The encoder, checked against the collection.

        :raises FingerprintMismatchError: When the collection's vectors come from another backbone.
        """
        return self._verified[0]

    def verify(self) -> Verification:
        """Check the encoder against the collection now, not at its first use.

        :raises FingerprintMismatchError: When the collection's vectors come from another backbone.
        """
        return self._verified[1]

    @property
    def verification(self) -> Verification:
        """How :attr:`encoder` was checked."""
        return self.verify()

    @property
    def space(self) -> Space:
        """How the collection measures distance."""
        return self.chroma.space

    # -- writing ------------------------------------------------------------------------------------------------

    def add(
        self, passages: Iterable[str | Passage], *, sentences: bool = False, progress: Progress | None = None
    ) -> int:
        """Embed and store passages, in batches. What is stored already with the same content is not embedded again.

        An id that is stored with other content is replaced. An interrupted call keeps its finished batches; the
        same call again continues from there.

        :param passages: Passages, or texts that get an id from their content.
        :param sentences: Embed their sentences too, see :attr:`sentences`. Otherwise the first search that considers a
            passage does.
        :return: The number of passages embedded.
        :raises InvalidInputError: For a blank passage, or an id given twice with different content, or a collection
            whose vectors are compared by their length; nothing is stored.
        :raises InvalidTypeError: For anything but strings and passages; nothing is stored.
        :raises StoreError: When Chroma fails; the batches before are stored.
        """
        distinct = self.addable(passages)
        unread = UnreadPassages(self.encoder.unread)
        writer = PassageWriter(self.chroma, self.encoder, self.fitted.changing)
        embedded = done = 0
        for batch in batched(distinct, self.chroma.batch_size):
            new = writer.add(batch, unread.look)
            embedded += new
            if sentences:
                new += self.sentences.add([VectorRecord.of(passage).hit() for passage in batch])
            done += len(batch)
            if progress and (new or done == len(distinct)):  # what is there already would falsify the rate
                progress(done, len(distinct))
        unread.warn()
        return embedded

    def addable(self, passages: Iterable[str | Passage]) -> list[Passage]:
        """Return the passages that :meth:`add` would add, each id once, after all its checks.

        :raises InvalidInputError: As :meth:`add`.
        :raises InvalidTypeError: As :meth:`add`.
        :raises FingerprintMismatchError: When the collection holds vectors of unknown origin.
        """
        distinct = distinct_passages(passages)
        warn_of_equal_ones(distinct)
        check_takes_vectors(self.space, self.name, self.encoder.passage_length)
        check_verified(self.verification, self.name)
        return distinct

    def delete(
        self, ids: Sequence[str] | None = None, *, where: Where | None = None, where_document: Where | None = None
    ) -> int:
        """Remove passages by id, by filter, or those of `ids` that the filters select. Unknown ids are ignored.

        :return: The number of passages removed.
        :raises InvalidInputError: Without ids and filters, which would be everything.
        :raises InvalidTypeError: For a single string in place of a list.
        :raises StoreError: When Chroma fails, for instance at a filter it does not understand.
        """
        chosen = self._chosen(None if ids is None else list(dict.fromkeys(ids)), where, where_document)
        return sum(map(self._delete_batch, batched(chosen, self.chroma.batch_size)))

    def _chosen(self, ids: list[str] | None, where: Where | None, where_document: Where | None) -> list[str]:
        if as_filter(where) or as_filter(where_document):
            selected, wanted = self.chroma.ids(where, where_document), None if ids is None else set(ids)
            return [id for id in selected if wanted is None or id in wanted]
        if ids is None:
            raise InvalidInputError("Give a list of ids or a filter; delete(store.ids()) removes everything.")
        return ids

    def _delete_batch(self, ids: Sequence[str]) -> int:
        present = self.chroma.ids(among=ids)
        if present:
            with self.fitted.changing(present):
                self.chroma.delete(present)
        return len(present)

    def close(self) -> None:
        """Let go of the database: of its files, its threads and the connection to its server.

        A client or a collection that was given stays open, and so does the database while other stores or clients of
        this process use it. Nothing can be done with the store afterwards. A store that is dropped closes by itself.
        """
        if fitted := self.__dict__.get("fitted"):
            fitted.close()
        self.chroma.close()

    def drop(self) -> None:
        """Delete the collection with all its passages and its statistics; nothing can be done with it afterwards.

        :raises StoreError: When Chroma fails.
        """
        self.chroma.drop()
        delete_statistics(self.chroma)

    async def aadd(
        self, passages: Iterable[str | Passage], *, sentences: bool = False, progress: Progress | None = None
    ) -> int:
        """:meth:`add` in a thread, so that the event loop goes on."""
        return await passages_in_background(self.add, passages, sentences=sentences, progress=progress)

    async def adelete(
        self, ids: Sequence[str] | None = None, *, where: Where | None = None, where_document: Where | None = None
    ) -> int:
        """:meth:`delete` in a thread."""
        return await passages_in_background(self.delete, ids, where=where, where_document=where_document)

    # -- reading ------------------------------------------------------------------------------------------------

    def ids(self, where: Where | None = None, where_document: Where | None = None) -> list[str]:
        """Return the ids of all passages, or of those that the filters select."""
        return self.chroma.ids(where, where_document)

    def get(
        self,
        ids: Sequence[str] | None = None,
        *,
        where: Where | None = None,
        where_document: Where | None = None,
        limit: Natural | None = None,
        offset: Natural | None = None,
    ) -> list[Passage]:
        """Return passages as they were added: all of them, or those of `ids` that are stored, in that order.

        :param where: Metadata filter in Chroma's language.
        :param where_document: Filter of the texts, such as ``{"$contains": "E-4012"}``.
        :param limit: The most to return, after the first `offset` passages.
        :raises StoreError: When Chroma fails, for instance at a filter it does not understand.
        """
        wanted = slice(offset, None if limit is None else (offset or 0) + limit)
        if ids is None and limit is not None and limit <= PAGE:
            return [row.passage() for row in self.chroma.page(limit, offset, where, where_document)]
        if ids is None:
            return [row.passage() for row in self.chroma.rows(self.chroma.ids(where, where_document)[wanted])]
        rows = self.chroma.rows(list(dict.fromkeys(ids)), where, where_document)
        passages = {row.id: row.passage() for row in rows}
        return [passages[id] for id in ids if id in passages][wanted]

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """Return the stored vectors in the order of `ids`, float32 of shape ``[n, d]``.

        :raises InvalidInputError: For an id that is not stored.
        """
        by_id = self.chroma.vectors(ids)
        if missing := [id for id in ids if id not in by_id]:
            raise self._no_passage(missing[0])
        return np.asarray([by_id[id] for id in ids], np.float32).reshape(len(ids), self.encoder.dimension)

    def known_vectors(self, hits: Sequence[Hit]) -> dict[str, NDArray[np.float64]]:
        """Return the vectors at length 1, by id, of those `hits` that are stored with their text."""
        texts = {hit.id: hit.embedded_text for hit in hits}
        records = self.chroma.records(list(texts))
        return {one.id: at_unit_length(one.vector) for one in records if one.embedded_text == texts[one.id]}

    def text(self, id: str) -> str:
        """Return the text of one passage as it was embedded, see :func:`lsb_rag.passage.embedded_text`.

        :raises InvalidInputError: When it is not stored.
        """
        return self.hit(id).embedded_text

    def hit(self, id: str) -> Hit:
        """Return one passage as a hit without a score.

        :raises InvalidInputError: When it is not stored.
        """
        if row := next(self.chroma.rows([id]), None):
            return row.hit()
        raise self._no_passage(id)

    def _no_passage(self, id: str) -> InvalidInputError:
        return InvalidInputError(f"There is no passage {id!r} in the collection {self.name!r}.")

    def query(
        self, vector: Matrix, k: Positive = 5, where: Where | None = None, where_document: Where | None = None
    ) -> list[Hit]:
        """Return the `k` passages nearest to a query vector, or fewer where there are fewer.

        :param vector: float32, shape ``[d]``; its length does not matter.
        :param where: Metadata filter in Chroma's language.
        :param where_document: Filter of the texts, such as ``{"$contains": "E-4012"}``.
        :return: Hits by descending cosine similarity; equal ones by id.
        :raises InvalidInputError: For a k below 1, a vector of another width or one that is not finite.
        :raises StoreError: When Chroma fails.
        """
        return self.chroma.nearest(vector, k, where, where_document)

    # -- fitted -------------------------------------------------------------------------------------------------

    @cached_property
    def fitted(self) -> FittedStatistics:
        """The collection's statistics and what keeps them current."""
        return FittedStatistics(self.chroma, self.encoder)

    def fit(self, *, progress: Progress | None = None) -> CorpusBridge:
        """Bring the statistics up to date, from their file or from what is stored, and return the bridge."""
        return self.fitted.bridge(progress)

    def refresh(self, *, progress: Progress | None = None) -> CorpusBridge:
        """Compare every stored record with what is counted of it, to find changes in place by another program."""
        self.fitted.refresh(progress)
        return self.fit()

    @property
    def sentences(self) -> SentenceTable:
        """The vectors of the passages' sentences, which the rerank and answers go by.

        They are kept beside the statistics and follow the collection. Those of a passage are made when they are first
        needed, or before by :meth:`add` or :meth:`embed_sentences`; where the backbone costs requests, by these alone.
        """
        return self.fitted.sentences

    def embed_sentences(self, *, progress: Progress | None = None) -> int:
        """Embed the sentences of all passages that have none yet, so that no search has to.

        An interrupted call keeps its finished batches; the same call again continues from there.

        :return: The number of passages whose sentences were embedded.
        :raises StoreError: When Chroma fails, or the disk is full.
        """
        return self.fitted.embed_sentences(progress)

    async def aembed_sentences(self, *, progress: Progress | None = None) -> int:
        """:meth:`embed_sentences` in a thread."""
        return await passages_in_background(self.embed_sentences, progress=progress)

    @property
    def statistics_bytes(self) -> int:
        """Size of the statistics files kept for this collection; 0 before the first fit."""
        return bytes_of_statistics(self.chroma)

    @property
    def bridge(self) -> CorpusBridge:
        """The corpus-fitted bridge; :meth:`fit` without progress."""
        return self.fit()

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over the collection's statistics."""
        self.fit()
        return self.fitted.rerank


def _opened(encoder: object) -> LexSemBridgeEncoder | None:
    """Return the encoder that was given, or the one over the backbone that was given."""
    if encoder is None or isinstance(encoder, LexSemBridgeEncoder):
        return encoder
    return LexSemBridgeEncoder.open(encoder) if isinstance(encoder, str) else LexSemBridgeEncoder(cast(Any, encoder))
