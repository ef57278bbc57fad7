"""Batches of passages into and out of a collection, with its statistics kept in step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .chroma import ask
from .embedded_text import embedded_text
from .encoder import LexSemBridgeEncoder
from .fitting import FittedStatistics
from .passage import Passage
from .records import metadata_of
from .stored import stored_vectors

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

BATCH = 256
"""Passages embedded, written and counted in one go: the most that an interruption costs."""


def batch_size(collection: Collection) -> int:
    """:data:`BATCH`, or as many as the database takes in one call."""
    return min(BATCH, ask("Asking for the largest batch", collection._client.get_max_batch_size))


def add_batch(
    collection: Collection, encoder: LexSemBridgeEncoder, fitted: FittedStatistics, batch: Sequence[Passage]
) -> int:
    """Store passages; those stored already with the same content are not embedded again.

    :return: How many were embedded.
    :raises StoreError: When Chroma fails.
    """
    found = ask(
        "Reading the stored passages", collection.get, [p.id for p in batch], include=["documents", "metadatas"]
    )
    rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
    stored = {id: (document or "", dict(metadata or {})) for id, document, metadata in rows}
    embedded = {passage.id: embedded_text(passage.content, metadata_of(passage)) for passage in batch}
    fresh = [p for p in batch if p.id not in stored or embedded_text(*stored[p.id]) != embedded[p.id]]
    fresh_ids = {passage.id for passage in fresh}
    relabelled = [p for p in batch if p.id not in fresh_ids and stored[p.id] != (p.content, metadata_of(p))]
    old_metadata = {id: metadata for id, (_, metadata) in stored.items()}
    if fresh:
        ids = [passage.id for passage in fresh]
        texts = [embedded[id] for id in ids]
        vectors = encoder.encode_document(texts)
        with fitted.changing(ids) as change:
            _upsert(collection, fresh, vectors, old_metadata)
            change.add(ids, texts, vectors)
    if relabelled:
        with fitted.file.writing():
            kept = stored_vectors(collection, [passage.id for passage in relabelled])
            relabelled = [passage for passage in relabelled if passage.id in kept]
            _upsert(collection, relabelled, [kept[passage.id] for passage in relabelled], old_metadata)
    return len(fresh)


def delete_batch(collection: Collection, fitted: FittedStatistics, ids: Sequence[str]) -> int:
    """Remove passages by id; unknown ids are passed over.

    :return: How many were removed.
    :raises StoreError: When Chroma fails.
    """
    present = ask("Deleting passages", collection.get, list(ids), include=[])["ids"]
    if present:
        with fitted.changing(present):
            ask("Deleting passages", collection.delete, present)
    return len(present)


def _upsert(
    collection: Collection, passages: Sequence[Passage], vectors: Any, old: Mapping[str, Mapping[str, object]]
) -> None:
    # Chroma merges metadata into what is there, and refuses {}: a key goes when it is set to None.
    metadatas: list[Any] = [
        {**dict.fromkeys(old.get(passage.id, ())), **metadata_of(passage)} or None for passage in passages
    ]
    ask(
        "Storing passages",
        collection.upsert,
        ids=[passage.id for passage in passages],
        embeddings=vectors,
        documents=[passage.content for passage in passages],
        metadatas=metadatas,
    )
