"""Records read back from a collection: by id, by filter, by the nearness of their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backbones.base import Matrix
from .chroma_calls import ask
from .errors import InvalidInputError, InvalidTypeError
from .passage import Hit, Passage
from .records import checked_k, hit_of, passage_of
from .spaces import Space
from .statistics.base import at_unit_length

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

Where = Mapping[str, Any]
"""A filter in Chroma's language: ``where`` over the metadata, ``where_document`` over the texts."""

EXACT_LIMIT = 50_000
SUSPICIOUS = 50
"""So many hits with one and the same cosine are no accident: an HNSW index does not find its way out of a heap of equal
vectors. Up to :data:`EXACT_LIMIT` records it is then done without."""

MANY = 100_000
"""Above this, a number of hits is cut down to the number of records: Chroma's integers end somewhere."""

PAGE = 2000
"""Records read, and counted, in one go. SQLite takes no more than some 32,000 ids at once."""


def parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    """Consecutive parts of `items`."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def stored_ids(collection: Collection, where: Where | None = None, where_document: Where | None = None) -> list[str]:
    """Ids of all records, or of those that the filters select."""
    filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
    return ask("Listing the collection", collection.get, include=[], **filters)["ids"]


def chosen_ids(
    collection: Collection, ids: Sequence[str] | None, where: Where | None, where_document: Where | None
) -> list[str]:
    """Each of `ids` once, those that the filters select, or both."""
    if isinstance(ids, str) or not isinstance(ids, Iterable | None):
        raise InvalidTypeError("Give a list of ids; put a single one in brackets.")
    wanted = None if ids is None else dict.fromkeys(ids)
    if as_filter(where) or as_filter(where_document):
        selected = stored_ids(collection, where, where_document)
        return [id for id in selected if wanted is None or id in wanted]
    if wanted is None:
        raise InvalidInputError("Give a list of ids or a filter; delete(store.ids()) removes everything.")
    return list(wanted)


def no_passage(id: str, name: str) -> InvalidInputError:
    """The error for an id that is not stored."""
    return InvalidInputError(f"There is no passage {id!r} in the collection {name!r}.")


def stored_vectors(collection: Collection, ids: Sequence[str]) -> dict[str, Any]:
    """The stored vectors of those `ids` that are there."""
    vectors: dict[str, Any] = {}
    for part in parts(ids, PAGE):
        found = ask("Reading vectors", collection.get, part, include=["embeddings"])
        vectors.update(zip(found["ids"], cast(Any, found["embeddings"]), strict=True))
    return vectors


def stored_passages(
    collection: Collection,
    ids: Sequence[str] | None,
    where: Where | None = None,
    where_document: Where | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> list[Passage]:
    """Passages as they were added; by id in the order of `ids`, without those that are not there."""
    if isinstance(ids, str):
        raise InvalidTypeError("Give a list of ids; put a single one in brackets.")
    filters: dict[str, Any] = {"where": as_filter(where), "where_document": as_filter(where_document)}
    for name, number in (("limit", limit), ("offset", offset)):
        if number is not None and (not isinstance(number, int) or number < 0):
            raise InvalidInputError(f"{name} must be a whole number of at least 0, not {number!r}.")
    wanted = slice(offset, None if limit is None else (offset or 0) + limit)
    if ids is None and limit is not None and limit <= PAGE:
        found: Any = ask("Reading passages", collection.get, limit=limit, offset=offset, **filters)
        return [passage_of(*row) for row in zip(found["ids"], found["documents"], found["metadatas"], strict=True)]
    if ids is None:
        listed = stored_ids(collection, where, where_document)[wanted]
        return [passage_of(*row) for row in stored_rows(collection, listed)]
    passages = {row[0]: passage_of(*row) for row in stored_rows(collection, list(dict.fromkeys(ids)), **filters)}
    return [passages[id] for id in ids if id in passages][wanted]


def stored_rows(
    collection: Collection, ids: Sequence[str], **filters: Any
) -> Iterator[tuple[str, str | None, dict[str, Any] | None]]:
    """Id, document and metadata of records, page by page: Chroma gives no more than some 32,000 at once."""
    for part in parts(ids, PAGE):
        found: Any = ask("Reading passages", collection.get, part, **filters)
        rows = dict(zip(found["ids"], zip(found["documents"], found["metadatas"], strict=True), strict=True))
        yield from ((id, *rows[id]) for id in part if id in rows)


def nearest(
    collection: Collection, space: Space, vector: Matrix, k: int, where: Where | None, where_document: Where | None
) -> list[Hit]:
    """The `k` records nearest to a query vector, see :meth:`lsb_rag.store.PassageStore.query`."""
    k = checked_k(k)
    if k > MANY:
        k = min(k, max(1, ask("Counting the passages", collection.count)))
    try:
        vector = np.asarray(vector, np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"A query vector must be one row of numbers ({error}).") from error
    if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
        raise InvalidInputError("A query vector must be one row of finite numbers, not all of them 0.")
    vector = vector / np.linalg.norm(vector)
    hits = _by_index(collection, space, vector, k, where, where_document)
    if not where and not where_document and _may_lack_some(hits, k):
        count = ask("Counting the passages", collection.count)
        if count <= EXACT_LIMIT and (len(hits) < min(k, count) or len(hits) == k < count):
            return _exactly(collection, vector, k)
    return hits


def _may_lack_some(hits: Sequence[Hit], k: int) -> bool:
    """Whether the index gave too few, or stayed among equal vectors, out of which it does not find."""
    return len(hits) < k or (k >= SUSPICIOUS and hits[0].cosine - hits[-1].cosine < 1e-6)


def _exactly(collection: Collection, vector: Matrix, k: int) -> list[Hit]:
    """The nearest of all records, without the index."""
    ids = stored_ids(collection)
    cosines: dict[str, float] = {}
    for part in parts(ids, PAGE):
        vectors = stored_vectors(collection, part)
        if not vectors:  # deleted meanwhile
            continue
        cosines.update(zip(vectors, (at_unit_length(list(vectors.values())) @ vector).tolist(), strict=True))
    best = sorted(cosines, key=lambda id: (-cosines[id], id))[:k]
    hits: list[Hit] = []
    for part in parts(best, PAGE):
        found: Any = ask("Reading passages", collection.get, part)
        rows = zip(found["ids"], found["documents"], found["metadatas"], strict=True)
        hits += [hit_of(id, cosines[id], document, metadata) for id, document, metadata in rows]
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def _by_index(
    collection: Collection, space: Space, vector: Matrix, k: int, where: Where | None, where_document: Where | None
) -> list[Hit]:
    include: list[Any] = ["distances", "documents", "metadatas"]
    if not space.unit:
        include.append("embeddings")
    found = ask(
        f"Searching the collection {collection.name!r}",
        collection.query,
        query_embeddings=space.query_vector(vector)[None],
        n_results=k,
        where=as_filter(where),
        where_document=as_filter(where_document),
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


def as_filter(where: Where | None) -> Any:
    """A filter as Chroma takes it, which refuses an empty one.

    :raises InvalidTypeError: For anything but a mapping.
    """
    if not isinstance(where, Mapping | None):
        raise InvalidTypeError(f'A filter is a mapping such as {{"kind": "manual"}}, not {type(where).__name__}.')
    return dict(where) if where else None
