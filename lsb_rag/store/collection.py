"""One Chroma collection, with retries, and with errors of ours."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import numpy as np

from ..backbones.base import Matrix
from ..errors import InvalidInputError, StoreError
from ..passage import Hit
from ..utils.batches import batched
from ..utils.endpoints import is_trusted
from .calls import call, call_catching_up, chroma_errors
from .embedded import EmbeddedDatabase, FileState, folder_of, is_on_server, state_of_files
from .exact import EXACT_BYTES, HeldVectors, VectorTable
from .filters import Where, as_filter
from .records import VectorRecord, checked_k, hit_of
from .spaces import PLACES, SAMPLE_PER_PLACE, SPACES, Space, measured_space

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection as Collection

logger = logging.getLogger(__name__)

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

EXACT_LIMIT = 50_000
SUSPICIOUS = 50
"""This many hits with one and the same cosine are no accident: a search in an HNSW index can get stuck among equal
vectors. In collections of up to :data:`EXACT_LIMIT` records it is then repeated without the index."""

MANY = 100_000
"""Larger numbers of hits are capped at the number of records, as Chroma's integers are limited."""

PAGE = 2000
"""Records read in one call. SQLite takes no more than some 32,000 ids at once."""

CHROMA_DEFAULT, OURS, LOCAL = "default", "lexsembridge", "sentence_transformer"
"""Names of embedding functions: Chroma's default, which is the embedded backbone, the one of this library, and Chroma's
over a sentence-transformers model."""

BATCH = 256
"""Passages embedded, written and counted in one go: the most that an interruption costs."""

LOOK_SECONDS = 1.0
"""Least time between two looks of a search for what other processes wrote. One that takes long makes it longer: looking
takes a tenth of the time at most."""


class ChromaCollection:
    """What the store needs of one Chroma collection. Threads may share an instance.

    Every method raises :class:`~lsb_rag.errors.StoreError` when Chroma fails, and
    :class:`~lsb_rag.errors.CollectionNotFoundError` when the collection has been deleted.

    :param raw: The collection as Chroma's client gives it.
    :param close_client: Closes its client; called by :meth:`close`, or when `raw` is dropped. None leaves a client open
        that somebody else has opened.
    """

    def __init__(self, raw: Collection, close_client: Callable[[], object] | None = None) -> None:
        self._raw: Collection | None = raw
        self._close_client = weakref.finalize(raw, close_client) if close_client else None
        if self._close_client:
            self._close_client.atexit = False
        self._space: Space | None = None
        self._database = EmbeddedDatabase.of(raw._client)
        """The embedded database it is in; None elsewhere, where Chroma shows all that was written."""
        self._looked_at: tuple[FileState, ...] | None = None
        """State of the database's files at the last look."""
        self._rests_until = float("-inf")
        """Time at which a search looks again."""
        self._reopens_from = float("-inf")
        """Time from which on hits that are deleted may lead to the database being opened anew."""
        self._warned = False
        self._held = HeldVectors.of(self._database, self.id) if self._database else None

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def raw(self) -> Collection:
        """The collection as Chroma's client gives it.

        :raises StoreError: After :meth:`close`.
        """
        if self._raw is None:
            raise StoreError("The store is closed; open it again.")
        return self._raw

    def close(self) -> None:
        """Let go of the collection, and close a client that was opened for it."""
        self._raw = self._held = self._database = None
        if self._close_client:
            self._close_client()

    @property
    def name(self) -> str:
        """Name of the collection."""
        return self.raw.name

    @property
    def id(self) -> str:
        """Id of the collection, which stays when it is renamed."""
        return str(self.raw.id)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of the collection."""
        return self.raw.metadata or {}

    @property
    def own_backbone(self) -> Any:
        """What embeds it by its own account: an embedding function, or a backbone by name; None where that is Chroma's
        default or not said.
        """
        described = (self.raw.configuration_json or {}).get("embedding_function") or {}
        name, config = described.get("name"), described.get("config") or {}
        if name == OURS:
            inner = config.get("embedding_function")
            return _made(inner["name"], inner["config"]) if inner else config.get("backbone")
        function = getattr(self.raw, "_embedding_function", None)
        if function is None:
            return _made(str(name), config) if described.get("type") == "known" else None
        named = getattr(function, "name", None)
        if callable(named) and named() in (CHROMA_DEFAULT, OURS, LOCAL):
            return _made(named(), function.get_config()) if named() == LOCAL else None
        return function

    @property
    def distance(self) -> str:
        """The distance it measures, as Chroma calls it: ``cosine``, ``l2`` or ``ip``."""
        configured = self.raw.configuration_json
        index = configured.get("hnsw") or configured.get("spann") or {}
        return str(index.get("space") or "l2")  # Chroma's default

    @property
    def space(self) -> Space:
        """How it measures distance; outside cosine space the lengths of a few vectors are looked at.

        :raises InvalidInputError: For a space that Chroma did not have when this was written.
        """
        if self._space is None or not self._space.measured:
            self._space = self._measured_space()
        return self._space

    def _measured_space(self) -> Space:
        name = self.distance
        if name not in SPACES:
            raise InvalidInputError(f"The collection {self.name!r} measures {name} distance, which is not known here.")
        if name == "cosine":
            return Space(name)
        total = self.count()
        if not total:
            return Space(name, measured=False)
        pages = self.sample(total, PLACES, SAMPLE_PER_PLACE, texts=False)
        return measured_space(name, [row.vector for page in pages for row in page])

    @property
    def folder(self) -> Path | None:
        """The folder of its database; None in memory and on a server."""
        return folder_of(self.raw._client.get_settings())

    @property
    def on_server(self) -> bool:
        """Whether a server holds it."""
        return is_on_server(self.raw._client.get_settings())

    @property
    def in_default_database(self) -> bool:
        """Whether a path alone leads to it: it is under no tenant or database of its own."""
        from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT

        return (self.raw.tenant, self.raw.database) == (DEFAULT_TENANT, DEFAULT_DATABASE)

    @property
    def batch_size(self) -> int:
        """Records written in one go: 256, or as many as the database takes in one call, if it says so."""
        largest = call("Asking for the largest batch", self.raw._client.get_max_batch_size)
        return min(BATCH, largest) if largest > 0 else BATCH

    def state(self) -> tuple[FileState, ...] | None:
        """Return a value that changes with every write; None where only Chroma could tell.

        Two writes within the resolution of the file system's times may leave it unchanged.
        """
        return state_of_files(self.folder)

    # -- beside other processes -----------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Have Chroma open an embedded database anew, to read the vectors that other processes wrote."""
        if self._database:
            with chroma_errors("Opening the database anew"):
                self._database.reopen(self._database.opened)

    def _read(
        self, doing: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result:
        """Call Chroma to read; where its index lacks what another process wrote, open the database anew."""
        database = self._database
        if database is None:
            return call(doing, function, *args, **kwargs)
        opened = database.opened

        def catch_up() -> None:
            nonlocal opened
            opened = database.reopen(opened)
            self._warn_of_others()

        return call_catching_up(doing, partial(function, *args, **kwargs), catch_up)

    def _warn_of_others(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "Another process has written to the database in %s; it was opened anew, so that %r is searched as it "
                "is now. What another program changes in place is found by refresh() alone. Where several processes "
                "write, run a Chroma server.",
                self.folder,
                self.name,
            )

    def _look(self, *, now: bool) -> None:
        """Look whether the index holds the record that came last; reading it opens the database anew where it does not.

        :param now: False leaves it out where the last look was a moment ago.
        """
        began = time.monotonic()
        state = self.state() if self._database and (now or began >= self._rests_until) else None
        if state is None or state == self._looked_at:
            return
        if self._database and self._database.replaced:
            with chroma_errors("Opening the database anew"):
                self._database.reopen_if_replaced()
        if count := self.count():
            self.first(1, count - 1, texts=False)
        self._looked_at, ended = state, time.monotonic()
        self._rests_until = ended + max(LOOK_SECONDS, 10 * (ended - began))

    # -- reading --------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of records."""
        return self._read("Counting the passages", self.raw.count)

    def ids(
        self,
        where: Where | None = None,
        where_document: Where | None = None,
        *,
        among: Sequence[str] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[str]:
        """Return the ids of all records, in the order they came, or of those that the filters select.

        :param among: Looks at these records alone.
        :param limit: At most this many, after the first `offset` ones.
        """
        filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
        wanted: Any = None if among is None else list(among)
        found = self._read(
            "Listing the collection", self.raw.get, wanted, limit=limit, offset=offset, include=[], **filters
        )
        return found["ids"]

    def rows(
        self, ids: Sequence[str], where: Where | None = None, where_document: Where | None = None
    ) -> Iterator[VectorRecord]:
        """Yield those records of `ids` that are there, in their order, without vectors."""
        filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
        for batch in batched(ids, PAGE):
            found: Any = self._read("Reading passages", self.raw.get, batch, **filters)
            rows = {row.id: row for row in _rows(found)}
            yield from (rows[id] for id in batch if id in rows)

    def page(
        self,
        limit: int,
        offset: int | None = None,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> list[VectorRecord]:
        """Return at most `limit` records after the first `offset` ones, without vectors."""
        filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
        return _rows(self._read("Reading passages", self.raw.get, limit=limit, offset=offset, **filters))

    def metadatas(self, where: Where | None = None) -> list[Mapping[str, Any]]:
        """Return the metadata of all records, or of those that the filter selects."""
        found = self._read("Reading metadata", self.raw.get, where=as_filter(where), include=["metadatas"])
        return [one or {} for one in found["metadatas"] or ()]

    def records(self, ids: Sequence[str]) -> list[VectorRecord]:
        """Return those records of `ids` that are there, with their vectors; at most 2,000 at once."""
        return _rows(self._read("Reading the collection", self.raw.get, list(ids), include=_WITH_VECTORS))

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the vectors of those `ids` that are there, float32 of shape ``[d]`` each."""
        vectors: dict[str, Any] = {}
        for batch in batched(ids, PAGE):
            found = self._read("Reading vectors", self.raw.get, batch, include=_VECTORS)
            vectors.update(zip(found["ids"], cast(Any, found["embeddings"]), strict=True))
        return vectors

    def sample(self, total: int, places: int, size: int, *, texts: bool = True) -> Iterator[list[VectorRecord]]:
        """Yield `size` records, with their vectors, at each of `places` spread evenly from the first to the last.

        :param total: Number of records; with less than `size`, all come once.
        :param texts: False leaves text and metadata out.
        """
        for offset in sorted({max(0, total - size) * place // (places - 1) for place in range(places)}):
            yield self.first(size, offset, texts=texts)

    def first(self, limit: int, offset: int = 0, *, texts: bool = True) -> list[VectorRecord]:
        """Return the first records after `offset`, with their vectors."""
        include = _WITH_VECTORS if texts else _VECTORS
        found = self._read(
            "Reading a sample of the collection", self.raw.get, offset=offset, limit=limit, include=include
        )
        return _rows(found)

    def nearest(
        self,
        vector: Matrix,
        k: int,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> list[Hit]:
        """Return the `k` records nearest to a query vector, see :meth:`lsb_rag.PassageStore.query`."""
        k = checked_k(k)
        if k > MANY:
            k = min(k, max(1, self.count()))
        try:
            vector = np.asarray(vector, np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"A query vector must be one row of numbers ({error}).") from error
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise InvalidInputError("A query vector must be one row of finite numbers, not all of them 0.")
        # By a power of two, which rounds nothing, into the range where float32 holds the squares.
        vector = np.ldexp(vector, -np.frexp(np.abs(vector).max())[1]).astype(np.float32)
        vector = vector / np.linalg.norm(vector)
        self._look(now=False)
        if table := self._held_table(len(vector)):
            found = table.nearest(vector, k, self.space, self._selected(where, where_document))
            hits = _hits(found, table.stored([id for id, _ in found], self.rows))
            if len(hits) == len(found):  # else some were deleted in the meantime
                return hits
        hits = self._stored(lambda: self.by_index(vector, k, where, where_document))
        if not where and not where_document and _may_lack_some(hits, k):
            count = self.count()
            if count <= EXACT_LIMIT and (len(hits) < min(k, count) or len(hits) == k < count):
                found = self._vector_table().nearest(vector, k, self.space, None)
                return _hits(found, self.rows([id for id, _ in found]))
        return hits

    def _selected(self, where: Where | None, where_document: Where | None) -> list[str] | None:
        """Return the ids of the records that the filters select; None for all."""
        return self.ids(where, where_document) if as_filter(where) or as_filter(where_document) else None

    def _held_table(self, dimension: int) -> VectorTable | None:
        """Return the vectors of a small collection in an embedded database as they are now; elsewhere None.

        :param dimension: Width of the query vector; None too where another is stored, which Chroma reports.
        """
        state = self.state()
        if self._held is None or self._database is None or state is None:
            return None

        def read() -> VectorTable | None:
            return self._vector_table() if 0 < self.count() * dimension * 4 <= EXACT_BYTES else None

        table = self._held.table(state, self._database.openings, read)
        return table if table and table.vectors.shape[1:] == (dimension,) else None

    def _vector_table(self) -> VectorTable:
        """Return the vectors of all records."""
        found = self.vectors(self.ids())
        return VectorTable(list(found), np.asarray(list(found.values()), np.float32))

    def _stored(self, search: Callable[[], list[Hit]]) -> list[Hit]:
        """Return the hits of a search that are stored: the index may still hold what another process deleted."""
        hits = search()
        if not self._gone(hits):
            return hits
        hits = search()  # a deletion may have been under way
        if self._gone(hits) and self._database and time.monotonic() >= self._reopens_from:
            self.reopen()
            self._reopens_from = time.monotonic() + LOOK_SECONDS
            self._warn_of_others()
            hits = search()
        gone = self._gone(hits)
        return [hit for hit in hits if hit.id not in gone]

    def _gone(self, hits: Sequence[Hit]) -> set[str]:
        """Return the ids of hits that are not stored; such a hit has neither text nor metadata."""
        bare = [hit.id for hit in hits if not hit.text and not hit.metadata]
        return set(bare).difference(self.ids(among=bare)) if bare else set()

    def by_index(
        self, vector: Matrix, k: int, where: Where | None = None, where_document: Where | None = None
    ) -> list[Hit]:
        """Return what Chroma's index finds, best first.

        :param vector: float32 of length 1, shape ``[d]``.
        """
        space = self.space
        include: list[Any] = ["distances", "documents", "metadatas"]
        if not space.unit:
            include.append("embeddings")
        found: Any = self._read(
            f"Searching the collection {self.name!r}",
            self.raw.query,
            query_embeddings=space.query_vector(vector)[None],
            n_results=k,
            where=as_filter(where),
            where_document=as_filter(where_document),
            include=include,
        )
        stored = None if space.unit else np.asarray(found["embeddings"][0])
        rows = zip(
            found["ids"][0],
            space.cosines(vector, (found["distances"] or [[]])[0], stored),
            (found["documents"] or [[]])[0],
            (found["metadatas"] or [[]])[0],
            strict=True,
        )
        return sorted((hit_of(*row) for row in rows), key=lambda hit: (-hit.score, hit.id))

    # -- writing --------------------------------------------------------------------------------------------------

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Any],
        documents: Sequence[str],
        metadatas: Sequence[Mapping[str, Any] | None],
    ) -> None:
        """Write records; those that are there already are replaced. Chroma merges metadata: None removes a key."""
        with self._writing():
            call(
                "Storing passages",
                self.raw.upsert,
                ids=list(ids),
                embeddings=cast(Any, vectors),
                documents=list(documents),
                metadatas=cast(Any, list(metadatas)),
            )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records; unknown ids are passed over."""
        with self._writing():
            call("Deleting passages", self.raw.delete, list(ids))

    def drop(self) -> None:
        """Remove the collection from its database."""
        raw = self.raw
        call("Deleting the collection", raw._client.delete_collection, raw.name, raw.tenant, raw.database)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Enclose a write: Chroma would replace the index on disk with one that lacks what another process wrote."""
        if self._database is None:
            yield
            return
        with self._database.writing:
            self._look(now=True)
            try:
                yield
            finally:
                if self._held:
                    self._held.forget()


_VECTORS: list[Any] = ["embeddings"]
_WITH_VECTORS: list[Any] = ["documents", "metadatas", "embeddings"]


def _rows(found: Mapping[str, Any]) -> list[VectorRecord]:
    """Return the rows of what Chroma found."""
    ids = found["ids"]
    documents, metadatas = found.get("documents") or [None] * len(ids), found.get("metadatas") or [None] * len(ids)
    vectors = found.get("embeddings")
    columns = zip(ids, documents, metadatas, [None] * len(ids) if vectors is None else vectors, strict=True)
    return [VectorRecord(*row) for row in columns]


def _may_lack_some(hits: Sequence[Hit], k: int) -> bool:
    """Whether the index gave too few, or got stuck among equal vectors."""
    return len(hits) < k or (k >= SUSPICIOUS and hits[0].cosine - hits[-1].cosine < 1e-6)


def is_collection(value: object) -> bool:
    """Whether `value` is a collection of Chroma's client; other databases have an ``upsert`` too."""
    from chromadb.api.models.Collection import Collection

    return isinstance(value, Collection)


def raw_collection(source: object) -> object:
    """Return the Chroma collection behind a framework's vector store; anything else as it is."""
    return getattr(source, "_collection", source)


def _made(name: str, config: Mapping[str, Any]) -> Any:
    """Return an embedding function of Chroma's, or the name of the model behind it where that is all it is.

    None for Chroma's default, for what is not installed or registered here or lacks its key, and for an address that is
    not known here, to which whoever wrote it would have us send queries and a key.
    """
    from chromadb.utils.embedding_functions import known_embedding_functions

    if name == LOCAL:
        return config.get("model_name")
    addresses = [value for value in config.values() if isinstance(value, str) and "://" in value]
    if name == CHROMA_DEFAULT or not all(map(is_trusted, addresses)):
        return None
    with suppress(Exception):  # each raises what it likes
        return known_embedding_functions[name].build_from_config(dict(config))
    return None


def _hits(found: Sequence[tuple[str, float]], rows: Iterable[VectorRecord]) -> list[Hit]:
    """Return records as hits, best first.

    :param found: Their ids and cosines.
    """
    cosines = dict(found)
    hits = [hit_of(row.id, cosines[row.id], row.document, row.metadata) for row in rows]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))
