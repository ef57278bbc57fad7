"""Batches of passages into and out of a collection, with its statistics kept in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .chroma_calls import ask
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
    """:data:`BATCH`, or as many as the database takes in one call, if it says so."""
    largest = ask("Asking for the largest batch", collection._client.get_max_batch_size)
    return min(BATCH, largest) if largest > 0 else BATCH


def add_batch(
    collection: Collection,
    encoder: LexSemBridgeEncoder,
    changing: Callable[[Sequence[str]], AbstractContextManager[None]],
    batch: Sequence[Passage],
    look: Callable[[Sequence[str]], None] | None = None,
) -> int:
    """Store passages; those stored already with the same content are not embedded again.

    :param changing: Around each write, given its ids; see :meth:`~lsb_rag.fitting.FittedStatistics.changing`.
    :param look: Called with the texts that are embedded.
    :return: How many were embedded.
    :raises StoreError: When Chroma fails.
    """
    vectors: dict[str, Any] = {}
    while True:
        fresh, relabelled, _ = differing(collection, batch)
        if not fresh and not relabelled:
            return len(vectors)
        missing = [passage for passage in fresh if passage.id not in vectors]
        texts = [embedded_text(passage.content, metadata_of(passage)) for passage in missing]
        vectors.update(zip((passage.id for passage in missing), encoder.encode_document(texts), strict=True))
        if look:
            look(texts)
        with changing([passage.id for passage in batch]):
            # Read again: while these were embedded, somebody else may have written.
            fresh, relabelled, old = differing(collection, batch)
            known = vectors | stored_vectors(collection, [passage.id for passage in relabelled])
            written = [*fresh, *relabelled]
            if all(passage.id in known for passage in written):
                if written:
                    _upsert(collection, written, [known[passage.id] for passage in written], old)
                return len(vectors)


def differing(
    collection: Collection, batch: Sequence[Passage]
) -> tuple[list[Passage], list[Passage], dict[str, dict[str, Any]]]:
    """Passages to be embedded, those of which the metadata alone differs, and the stored metadata."""
    found = ask(
        "Reading the stored passages", collection.get, [p.id for p in batch], include=["documents", "metadatas"]
    )
    rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
    stored = {id: (document or "", dict(metadata or {})) for id, document, metadata in rows}
    fresh, relabelled = [], []
    for passage in batch:
        ours = passage.content, metadata_of(passage)
        if passage.id not in stored or embedded_text(*stored[passage.id]) != embedded_text(*ours):
            fresh.append(passage)
        elif stored[passage.id] != ours:
            relabelled.append(passage)
    return fresh, relabelled, {id: metadata for id, (_, metadata) in stored.items()}


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
