"""Passages and their vectors: one Chroma collection, with its statistics fitted and kept beside it."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np

from .backbone import EMBEDDED_NAME, Fingerprint
from .bridge import CorpusBridge
from .chroma import (
    chroma_errors,
    create_collection,
    delete_collection,
    existing_collection,
    folder_of,
    is_default_database,
    names_in,
    not_found,
    open_client,
)
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder, Matrix
from .errors import InvalidInputError, InvalidTypeError
from .fitting import FittedStatistics
from .lexical import UnitKind
from .passage import Hit, Passage
from .progress import Progress
from .records import checked_k, distinct_passages, hit_of
from .rerank import LexicalRerank
from .spaces import Space, check_takes_unit_vectors, space_of
from .verification import kept_fingerprint, kept_units, made_with, verified_encoder
from .writing import add_batch, delete_batch, parts, stored_vectors

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

Where = Mapping[str, Any]
"""A metadata filter in Chroma's ``where`` language."""

BATCH = 256
"""Passages embedded, written and counted in one go: the most that an interruption costs."""


class PassageStore:
    """One Chroma collection of passages.

    :param database: Folder of an embedded database, made if it is not there; None for one in memory; or a Chroma
        client, for a server.
    :param name: Name of the collection; made, in cosine space, if it is not there.
    :param encoder: What embeds the passages. By default the backbone the collection was made with, for a new one
        the embedded all-MiniLM-L6-v2; loaded when first needed.
    :param create: False refuses a collection that is not there.
    :raises CollectionNotFoundError: With ``create=False``, when there is no such collection.
    :raises FingerprintMismatchError: When the collection's vectors come from another backbone than `encoder`'s; from
        the first use of the encoder.
    :raises StoreError: When Chroma cannot open the database or refuses the name.
    """

    def __init__(
        self,
        database: str | Path | ClientAPI | None,
        name: str,
        encoder: LexSemBridgeEncoder | None = None,
        *,
        create: bool = True,
    ) -> None:
        if database is None or isinstance(database, str | Path):
            if database is not None and not create and not (Path(database) / "chroma.sqlite3").is_file():
                raise not_found(name, [], str(database))
            client = open_client(database)
        else:
            client = database
        collection = existing_collection(client, name)
        if collection is None:
            if not create:
                raise not_found(name, names_in(client), str(folder_of(client.get_settings()) or "the database"))
            encoder = encoder or LexSemBridgeEncoder(EMBEDDED_NAME)
            collection = create_collection(client, name, made_with(encoder))
        self._attach(collection, encoder)

    @classmethod
    def from_collection(cls, collection: Collection, encoder: LexSemBridgeEncoder | None = None) -> PassageStore:
        """The store of an open Chroma collection, whoever made it."""
        store = cls.__new__(cls)
        store._attach(collection, encoder)
        return store

    @classmethod
    def in_memory(cls, encoder: LexSemBridgeEncoder | None = None) -> PassageStore:
        """A new, empty store in memory; its collection goes when nothing refers to it any more."""
        store = cls(None, f"lsb-rag-{uuid4().hex}", encoder)
        weakref.finalize(store.collection, delete_collection, store.name).atexit = False
        return store

    def _attach(self, collection: Collection, encoder: LexSemBridgeEncoder | None) -> None:
        self.collection = collection
        self.name = collection.name
        self.path = folder_of(collection._client.get_settings())
        """Folder of the database; None in memory or on a server, where no statistics are kept between processes."""
        self.given_encoder = encoder
        """The encoder as it was given, before it is verified; None where the collection finds its own."""
        self._space: Space | None = None

    def __len__(self) -> int:
        with chroma_errors("Counting the passages"):
            return self.collection.count()

    def __repr__(self) -> str:
        where = repr(str(self.path)) if self.path else "in memory or on a server"
        return f"PassageStore({where}, {self.name!r})"  # without a count, which would ask the database

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as a reference: the database stays where it is, and the backbone is loaded again.
        if self.path is None or not is_default_database(self.collection):
            raise InvalidTypeError(
                f"The collection {self.name!r} is in memory, on a server or under a tenant, where another process "
                "cannot find it by a path; pickle one in a folder, or make the store in the process that uses it."
            )
        return partial(PassageStore, create=False), (str(self.path.resolve()), self.name, self.given_encoder)

    # -- what it was made with ----------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The fingerprint the collection was made with; None for one that another program made."""
        return kept_fingerprint(self.collection)

    @property
    def units(self) -> UnitKind | None:
        """The lexical units the collection was made with; None for one that another program made."""
        return kept_units(self.collection)

    @cached_property
    def encoder(self) -> LexSemBridgeEncoder:
        """The encoder, checked against the collection.

        :raises FingerprintMismatchError: When the collection's vectors come from another backbone.
        """
        return verified_encoder(self.collection, self.given_encoder)

    @property
    def space(self) -> Space:
        """How the collection measures distance."""
        if self._space is None or not self._space.measured:
            self._space = space_of(self.collection)
        return self._space

    # -- writing ------------------------------------------------------------------------------------------------

    def add(self, passages: Iterable[str | Passage], *, progress: Progress | None = None) -> int:
        """Embed and store passages, in batches. What is stored already with the same content is not embedded again.

        An id that is stored with other content is replaced. An interrupted call keeps its finished batches, so the
        same call again goes on from there.

        :param passages: Passages, or texts that get an id from their content.
        :return: How many passages were embedded.
        :raises InvalidInputError: For a blank passage, or an id given twice with different content, or a collection
            whose vectors are compared by their length; nothing is stored.
        :raises InvalidTypeError: For anything but strings and passages; nothing is stored.
        :raises StoreError: When Chroma fails; the batches before are stored.
        """
        distinct = distinct_passages(passages)
        check_takes_unit_vectors(self.space, self.name)
        embedded = 0
        for start in range(0, len(distinct), BATCH):
            batch = distinct[start : start + BATCH]
            embedded += add_batch(self.collection, self.encoder, self.fitted, batch)
            if progress:
                progress(start + len(batch), len(distinct))
        return embedded

    def delete(self, ids: Sequence[str]) -> int:
        """Remove passages by id; unknown ids are passed over.

        :return: How many were removed.
        :raises InvalidTypeError: For a single string in place of a list.
        :raises StoreError: When Chroma fails.
        """
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise InvalidTypeError("delete() takes a list of ids; put a single one in brackets.")
        distinct = list(dict.fromkeys(ids))
        return sum(delete_batch(self.collection, self.fitted, batch) for batch in parts(distinct, BATCH))

    # -- reading ------------------------------------------------------------------------------------------------

    def ids(self, where: Where | None = None) -> list[str]:
        """Ids of all passages, or of those that a metadata filter selects."""
        with chroma_errors("Listing passages"):
            return self.collection.get(where=_where(where), include=[])["ids"]

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """Stored vectors in the order of `ids`, float32 of shape ``[n, d]``.

        :raises InvalidInputError: For an id that is not stored.
        """
        by_id = stored_vectors(self.collection, ids)
        missing = [id for id in ids if id not in by_id]
        if missing:
            raise InvalidInputError(f"There is no passage {missing[0]!r} in the collection {self.name!r}.")
        return np.asarray([by_id[id] for id in ids], np.float32).reshape(len(ids), -1)

    def text(self, id: str) -> str:
        """The text of one passage as it was embedded; see :func:`~lsb_rag.embedded_text.embedded_text`.

        :raises InvalidInputError: When it is not stored.
        """
        with chroma_errors("Reading a passage"):
            found = self.collection.get([id], include=["documents", "metadatas"])
        if not found["ids"]:
            raise InvalidInputError(f"There is no passage {id!r} in the collection {self.name!r}.")
        return embedded_text((found["documents"] or [""])[0] or "", (found["metadatas"] or [{}])[0])

    def query(self, vector: Matrix, k: int = 5, where: Where | None = None) -> list[Hit]:
        """The `k` passages nearest to a query vector; fewer where the collection or the filter holds fewer.

        :param vector: float32, shape ``[d]``; its length does not matter.
        :param where: Metadata filter in Chroma's language.
        :return: Hits by falling cosine similarity; equal ones by id.
        :raises InvalidInputError: For a k below 1, a vector of another width or one that is not finite.
        :raises StoreError: When Chroma fails.
        """
        k = checked_k(k)
        vector = np.asarray(vector, np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise InvalidInputError("A query vector must be one row of finite numbers, not all of them 0.")
        vector = vector / np.linalg.norm(vector)
        space = self.space
        include: list[Any] = ["distances", "documents", "metadatas"]
        if not space.unit:
            include.append("embeddings")
        with chroma_errors(f"Searching the collection {self.name!r}"):
            found = self.collection.query(
                query_embeddings=space.query_vector(vector)[None],
                n_results=k,
                where=_where(where),
                include=include,
            )
        stored = None if space.unit else np.asarray(cast(Any, found["embeddings"])[0])
        rows = zip(
            found["ids"][0],
            space.cosines(vector, (found["distances"] or [[]])[0], stored),
            (found["documents"] or [[]])[0],
            (found["metadatas"] or [[]])[0],
            strict=True,
        )
        return sorted((hit_of(*row) for row in rows), key=lambda hit: (-hit.score, hit.id))

    # -- fitted -------------------------------------------------------------------------------------------------

    @cached_property
    def fitted(self) -> FittedStatistics:
        """The collection's statistics and what keeps them current."""
        return FittedStatistics(self.collection, self._statistics_folder, self.encoder)

    def fit(self, *, progress: Progress | None = None) -> CorpusBridge:
        """The bridge, its statistics brought up to date first: read from their file or fitted from what is stored."""
        return self.fitted.bridge(progress)

    def refresh(self, *, progress: Progress | None = None) -> CorpusBridge:
        """Fit again from what is stored, whatever is known; for changes in place by another program."""
        self.fitted.forget()
        return self.fit(progress=progress)

    @property
    def statistics_bytes(self) -> int:
        """Size of the statistics files kept beside this collection; 0 before the first fit."""
        if self._statistics_folder is None:
            return 0
        return sum(file.stat().st_size for file in self._statistics_folder.glob(f"{self.collection.id}-*.safetensors"))

    @property
    def _statistics_folder(self) -> Path | None:
        return self.path / "lsb_rag" if self.path else None

    @property
    def bridge(self) -> CorpusBridge:
        """The corpus-fitted bridge; :meth:`fit` without progress."""
        return self.fit()

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over the collection's statistics."""
        self.fit()
        return self.fitted.rerank


def _where(where: Where | None) -> Any:
    return dict(where) if where else None
