"""Batches of passages into and out of a collection, with its statistics kept in step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .chroma import chroma_errors
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder
from .fitting import FittedStatistics
from .passage import Passage
from .records import metadata_of

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

PAGE = 2000


def add_batch(
    collection: Collection, encoder: LexSemBridgeEncoder, fitted: FittedStatistics, batch: Sequence[Passage]
) -> int:
    """Store passages; those stored already with the same content are not embedded again.

    :return: How many were embedded.
    :raises StoreError: When Chroma fails.
    """
    with chroma_errors("Reading the stored passages"):
        found = collection.get([passage.id for passage in batch], include=["documents", "metadatas"])
    rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
    stored = {id: (document or "", dict(metadata or {})) for id, document, metadata in rows}
    embedded = {passage.id: embedded_text(passage.content, metadata_of(passage)) for passage in batch}
    fresh = [p for p in batch if p.id not in stored or embedded_text(*stored[p.id]) != embedded[p.id]]
    relabelled = [p for p in batch if p not in fresh and stored[p.id] != (p.content, metadata_of(p))]
    old_metadata = {id: metadata for id, (_, metadata) in stored.items()}
    if fresh:
        texts = [embedded[passage.id] for passage in fresh]
        vectors = encoder.encode_document(texts)
        replaced = [passage.id for passage in fresh if passage.id in stored]
        with fitted.changing(len(fresh) - len(replaced)) as change:
            change.remove(replaced)
            _upsert(collection, fresh, vectors, old_metadata)
            change.add(texts, vectors)
    if relabelled:
        kept = stored_vectors(collection, [passage.id for passage in relabelled])
        _upsert(collection, relabelled, [kept[passage.id] for passage in relabelled], old_metadata)
    return len(fresh)


def delete_batch(collection: Collection, fitted: FittedStatistics, ids: Sequence[str]) -> int:
    """Remove passages by id; unknown ids are passed over.

    :return: How many were removed.
    :raises StoreError: When Chroma fails.
    """
    with chroma_errors("Deleting passages"):
        present = collection.get(list(ids), include=[])["ids"]
    if present:
        with fitted.changing(-len(present)) as change:
            change.remove(present)
            with chroma_errors("Deleting passages"):
                collection.delete(present)
    return len(present)


def stored_vectors(collection: Collection, ids: Sequence[str]) -> dict[str, Any]:
    """The stored vectors of those `ids` that are there."""
    vectors: dict[str, Any] = {}
    for part in parts(ids, PAGE):
        with chroma_errors("Reading vectors"):
            found = collection.get(part, include=["embeddings"])
        vectors.update(zip(found["ids"], cast(Any, found["embeddings"]), strict=True))
    return vectors


def stored_documents(collection: Collection, ids: Sequence[str]) -> dict[str, str]:
    """The stored texts of those `ids` that are there."""
    documents: dict[str, str] = {}
    for part in parts(ids, PAGE):
        with chroma_errors("Reading passages"):
            found = collection.get(part, include=["documents"])
        documents.update((id, text or "") for id, text in zip(found["ids"], found["documents"] or [], strict=True))
    return documents


def parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    """Consecutive parts of `items`: SQLite takes no more than some 32,000 at once."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _upsert(
    collection: Collection, passages: Sequence[Passage], vectors: Any, old: Mapping[str, Mapping[str, object]]
) -> None:
    # Chroma merges metadata into what is there, and refuses {}: a key goes when it is set to None.
    metadatas: list[Any] = [
        {**dict.fromkeys(old.get(passage.id, ())), **metadata_of(passage)} or None for passage in passages
    ]
    with chroma_errors("Storing passages"):
        collection.upsert(
            ids=[passage.id for passage in passages],
            embeddings=vectors,
            documents=[passage.content for passage in passages],
            metadatas=metadatas,
        )
