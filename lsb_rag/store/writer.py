"""Batches of passages into a collection: what is stored already with the same content is not embedded again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..encoder import LexSemBridgeEncoder
from ..passage import Passage, embedded_text
from .collection import ChromaCollection
from .records import metadata_of


@dataclass(frozen=True)
class Differences:
    """The part of a batch that differs from what is stored.

    :param fresh: Passages to be embedded.
    :param relabelled: Passages of which the metadata alone differs.
    :param metadata: The stored metadata by id.
    """

    fresh: list[Passage]
    relabelled: list[Passage]
    metadata: Mapping[str, Mapping[str, object]]

    @property
    def passages(self) -> list[Passage]:
        """Both, to be written."""
        return [*self.fresh, *self.relabelled]


class PassageWriter:
    """Writes passages into one collection.

    :param collection: The collection.
    :param encoder: What embeds them.
    :param changing: Around each write, given its ids; see :meth:`~lsb_rag.store.fitted.FittedStatistics.changing`.
    """

    def __init__(
        self,
        collection: ChromaCollection,
        encoder: LexSemBridgeEncoder,
        changing: Callable[[Sequence[str]], AbstractContextManager[None]],
    ) -> None:
        self._collection = collection
        self._encoder = encoder
        self._changing = changing

    def add(self, batch: Sequence[Passage], look: Callable[[Sequence[str]], None] | None = None) -> int:
        """Store passages.

        :param look: Called with the texts that are embedded.
        :return: How many were embedded.
        :raises StoreError: When Chroma fails.
        """
        vectors: dict[str, Any] = {}
        while True:
            found = differences(self._collection, batch)
            if not found.passages:
                return len(vectors)
            missing = [passage for passage in found.fresh if passage.id not in vectors]
            texts = [passage.embedded_text for passage in missing]
            vectors.update(zip((passage.id for passage in missing), self._encoder.encode_document(texts), strict=True))
            if look:
                look(texts)
            with self._changing([passage.id for passage in batch]):
                # Read again: while these were embedded, somebody else may have written.
                found = differences(self._collection, batch)
                known = vectors | self._collection.vectors([passage.id for passage in found.relabelled])
                if all(passage.id in known for passage in found.passages):
                    if found.passages:
                        self._upsert(found, known)
                    return len(vectors)

    def _upsert(self, found: Differences, vectors: Mapping[str, Any]) -> None:
        # Chroma merges metadata into what is there, and refuses {}: a key goes when it is set to None.
        metadatas = [
            {**dict.fromkeys(found.metadata.get(passage.id, ())), **metadata_of(passage)} or None
            for passage in found.passages
        ]
        ids = [passage.id for passage in found.passages]
        contents = [passage.content for passage in found.passages]
        self._collection.upsert(ids, [vectors[id] for id in ids], contents, metadatas)


def differences(collection: ChromaCollection, batch: Sequence[Passage]) -> Differences:
    """Compare a batch with what is stored under its ids.

    :raises StoreError: When Chroma fails.
    """
    stored = {row.id: row for row in collection.rows([passage.id for passage in batch])}
    fresh, relabelled = [], []
    for passage in batch:
        row = stored.get(passage.id)
        if row is None or embedded_text(row.document or "", row.metadata) != passage.embedded_text:
            fresh.append(passage)
        elif (row.document or "", dict(row.metadata or {})) != (passage.content, metadata_of(passage)):
            relabelled.append(passage)
    return Differences(fresh, relabelled, {id: row.metadata or {} for id, row in stored.items()})
