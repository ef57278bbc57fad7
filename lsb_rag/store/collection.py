"""One Chroma collection, with retries, and with errors of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..backbones.base import Matrix
from ..errors import InvalidInputError, InvalidTypeError
from ..passage import Hit
from ..statistics.base import at_unit_length
from ..utils.batches import batched
from ..utils.endpoints import is_trusted
from .calls import call
from .records import Row, checked_k, hit_of
from .spaces import PLACES, SAMPLE_PER_PLACE, SPACES, Space, measured_space

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection as Collection
    from chromadb.config import Settings

Where = Mapping[str, Any]
"""A filter in Chroma's language: ``where`` over the metadata, ``where_document`` over the texts."""

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


class ChromaCollection:
    """What the store needs of one Chroma collection. Threads may share an instance.

    Every method raises :class:`~lsb_rag.errors.StoreError` when Chroma fails, and
    :class:`~lsb_rag.errors.CollectionNotFoundError` when the collection has been deleted.

    :param raw: The collection as Chroma's client gives it.
    """

    def __init__(self, raw: Collection) -> None:
        self.raw = raw
        self._space: Space | None = None

    # -- what it is -----------------------------------------------------------------------------------------------

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

    def state(self) -> tuple[object, ...] | None:
        """Return a value that changes with every write; None where only Chroma could tell.

        Two writes within the resolution of the file system's times may leave it unchanged.
        """
        return state_of_files(self.folder)

    # -- reading --------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of records."""
        return call("Counting the passages", self.raw.count)

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
        found = call("Listing the collection", self.raw.get, wanted, limit=limit, offset=offset, include=[], **filters)
        return found["ids"]

    def rows(
        self, ids: Sequence[str], where: Where | None = None, where_document: Where | None = None
    ) -> Iterator[Row]:
        """Yield those records of `ids` that are there, in their order, without vectors."""
        filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
        for batch in batched(ids, PAGE):
            found: Any = call("Reading passages", self.raw.get, batch, **filters)
            rows = {row.id: row for row in _rows(found)}
            yield from (rows[id] for id in batch if id in rows)

    def page(
        self,
        limit: int,
        offset: int | None = None,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> list[Row]:
        """Return at most `limit` records after the first `offset` ones, without vectors."""
        filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
        return _rows(call("Reading passages", self.raw.get, limit=limit, offset=offset, **filters))

    def records(self, ids: Sequence[str]) -> list[Row]:
        """Return those records of `ids` that are there, with their vectors; at most 2,000 at once."""
        return _rows(call("Reading the collection", self.raw.get, list(ids), include=_WITH_VECTORS))

    def vectors(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the vectors of those `ids` that are there, float32 of shape ``[d]`` each."""
        vectors: dict[str, Any] = {}
        for batch in batched(ids, PAGE):
            found = call("Reading vectors", self.raw.get, batch, include=_VECTORS)
            vectors.update(zip(found["ids"], cast(Any, found["embeddings"]), strict=True))
        return vectors

    def sample(self, total: int, places: int, size: int, *, texts: bool = True) -> Iterator[list[Row]]:
        """Yield `size` records, with their vectors, at each of `places` spread evenly from the first to the last.

        :param total: Number of records; with less than `size`, all come once.
        :param texts: False leaves text and metadata out.
        """
        for offset in sorted({max(0, total - size) * place // (places - 1) for place in range(places)}):
            yield self.first(size, offset, texts=texts)

    def first(self, limit: int, offset: int = 0, *, texts: bool = True) -> list[Row]:
        """Return the first records after `offset`, with their vectors."""
        include = _WITH_VECTORS if texts else _VECTORS
        found = call("Reading a sample of the collection", self.raw.get, offset=offset, limit=limit, include=include)
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
            vector = np.asarray(vector, np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"A query vector must be one row of numbers ({error}).") from error
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise InvalidInputError("A query vector must be one row of finite numbers, not all of them 0.")
        vector = vector / np.linalg.norm(vector)
        hits = self._by_index(vector, k, where, where_document)
        if not where and not where_document and _may_lack_some(hits, k):
            count = self.count()
            if count <= EXACT_LIMIT and (len(hits) < min(k, count) or len(hits) == k < count):
                return self._exactly(vector, k)
        return hits

    def _by_index(self, vector: Matrix, k: int, where: Where | None, where_document: Where | None) -> list[Hit]:
        space = self.space
        include: list[Any] = ["distances", "documents", "metadatas"]
        if not space.unit:
            include.append("embeddings")
        found: Any = call(
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

    def _exactly(self, vector: Matrix, k: int) -> list[Hit]:
        """Return the nearest of all records, without the index."""
        cosines: dict[str, float] = {}
        for batch in batched(self.ids(), PAGE):
            vectors = self.vectors(batch)
            if not vectors:  # deleted meanwhile
                continue
            cosines.update(zip(vectors, (at_unit_length(list(vectors.values())) @ vector).tolist(), strict=True))
        best = sorted(cosines, key=lambda id: (-cosines[id], id))[:k]
        hits = [hit_of(row.id, cosines[row.id], row.document, row.metadata) for row in self.rows(best)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))

    # -- writing --------------------------------------------------------------------------------------------------

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Any],
        documents: Sequence[str],
        metadatas: Sequence[Mapping[str, Any] | None],
    ) -> None:
        """Write records; those that are there already are replaced. Chroma merges metadata: None removes a key."""
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
        call("Deleting passages", self.raw.delete, list(ids))


_VECTORS: list[Any] = ["embeddings"]
_WITH_VECTORS: list[Any] = ["documents", "metadatas", "embeddings"]


def _rows(found: Mapping[str, Any]) -> list[Row]:
    """Return the rows of what Chroma found."""
    ids = found["ids"]
    documents, metadatas = found.get("documents") or [None] * len(ids), found.get("metadatas") or [None] * len(ids)
    vectors = found.get("embeddings")
    columns = zip(ids, documents, metadatas, [None] * len(ids) if vectors is None else vectors, strict=True)
    return [Row(*row) for row in columns]


def _may_lack_some(hits: Sequence[Hit], k: int) -> bool:
    """Whether the index gave too few, or got stuck among equal vectors."""
    return len(hits) < k or (k >= SUSPICIOUS and hits[0].cosine - hits[-1].cosine < 1e-6)


def raw_collection(source: object) -> object:
    """Return the Chroma collection behind a framework's vector store; anything else as it is."""
    return getattr(source, "_collection", source)


def as_filter(where: Where | None) -> Any:
    """Return a filter as Chroma takes it, which refuses an empty one.

    :raises InvalidTypeError: For anything but a mapping.
    """
    if not isinstance(where, Mapping | None):
        raise InvalidTypeError(f'A filter is a mapping such as {{"kind": "manual"}}, not {type(where).__name__}.')
    return dict(where) if where else None


def folder_of(settings: Settings) -> Path | None:
    """Return the folder of an embedded database; None for one in memory or on a server."""
    # A server's client is persistent too where the environment says so. Resolved: the program may change its folder.
    embedded = settings.is_persistent and not is_on_server(settings)
    return Path(settings.persist_directory).resolve() if embedded else None


def is_on_server(settings: Settings) -> bool:
    """Whether a client's settings are those of a server's client."""
    return str(settings.chroma_api_impl).endswith("FastAPI")


def state_of_files(folder: Path | None) -> tuple[object, ...] | None:
    """Return inode, size and time of the files of the embedded database in `folder`; None where there are none."""
    if folder is None:
        return None
    # Asked for, never opened: closing a file lets go of all locks that this process, so Chroma too, holds on it.
    database = (folder / "chroma.sqlite3").resolve()  # where SQLite keeps its log beside
    log = database.with_name(f"{database.name}-wal")
    try:
        found = [file.stat() for file in (database, log) if file.exists()]
    except OSError:
        return None
    return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found) or None


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
