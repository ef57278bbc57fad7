"""LlamaIndex's indices on other vector stores than Chroma, as the library searches, lists and changes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores import MetadataFilters, SimpleVectorStore, VectorStoreQuery
from llama_index.core.vector_stores.utils import node_to_metadata_dict

from lsb_rag import Passage, VectorIndex, VectorRecord
from lsb_rag.errors import InvalidInputError, InvalidTypeError

from .nodes import to_node

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex

PAGE = 1000


def vector_index(index: VectorStoreIndex) -> VectorIndex:
    """An index as the library takes it.

    Raises:
        InvalidTypeError: When its vector store embeds queries by itself.
    """
    store = index.vector_store
    if not store.is_embedding_query:
        raise InvalidTypeError(f"{type(store).__name__} embeds queries by itself; it cannot be searched by a vector.")
    if "QdrantVectorStore" in {kind.__name__ for kind in type(store).__mro__}:
        return QdrantIndex(index)
    return SearchedIndex(index) if store.stores_text and not index._store_nodes_override else IndexOfNodes(index)


class SearchedIndex(VectorIndex):
    """An index whose vector store holds the nodes; whether it can list them is not known.

    Args:
        index: The index.
    """

    def __init__(self, index: VectorStoreIndex) -> None:
        self.index = index
        self.vector_store: Any = index.vector_store

    @property
    def name(self) -> str:
        """The class of the vector store, and its collection or table where it has one."""
        names = (getattr(self.vector_store, field, None) for field in ("collection_name", "index_name", "table_name"))
        named = next((f" {name!r}" for name in names if isinstance(name, str) and name), "")
        return f"{type(self.vector_store).__name__}{named}"

    def search(self, vector: Any, k: int, where: MetadataFilters | None) -> list[VectorRecord]:
        """By the vector store's `query`, with `where` as its filters."""
        query = VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=k, filters=where)
        result = self.vector_store.query(query)
        if result.nodes:
            return [self._record(node) for node in result.nodes]
        return self.rows([self.index.index_struct.nodes_dict.get(id, id) for id in result.ids or ()])

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """By the vector store's `get_nodes`; none where it does not have it."""
        with suppress(NotImplementedError):
            return [self._record(node) for node in self.vector_store.get_nodes(list(ids))]
        return []

    def add(self, passages: Sequence[Passage]) -> None:
        """By the index's `insert_nodes`; those of the same ids are removed when the new ones are embedded."""
        nodes = [to_node(VectorRecord.of(passage).hit()) for passage in passages]
        texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
        for node, embedding in zip(nodes, self.index._embed_model.get_text_embedding_batch(texts), strict=True):
            node.embedding = embedding
        self.delete([row.id for row in self.rows([passage.id for passage in passages])])
        self.index.insert_nodes(nodes)

    def delete(self, ids: Sequence[str]) -> None:
        """By the index's `delete_nodes`."""
        if ids:
            self.index.delete_nodes(list(ids), delete_from_docstore=True)

    def _record(self, node: BaseNode, vector: Any = None) -> VectorRecord:
        metadata = node_to_metadata_dict(node, remove_text=True)
        text = node.get_content(metadata_mode=MetadataMode.NONE)
        return VectorRecord(node.node_id, text, metadata, node.embedding if vector is None else vector)


class IndexOfNodes(SearchedIndex):
    """An index that keeps its nodes in its docstore, as over `SimpleVectorStore` and `FaissVectorStore`."""

    @property
    def lists(self) -> bool:
        """It does."""
        return True

    def ids(self) -> list[str]:
        """Those of the index."""
        return list(dict.fromkeys(self.index.index_struct.nodes_dict.values()))

    def count(self) -> int:
        """Their number."""
        return len(set(self.index.index_struct.nodes_dict.values()))

    def delete(self, ids: Sequence[str]) -> None:
        """By the index's `delete_nodes`, which refuses unknown ids."""
        listed = set(self.ids())
        if known := [id for id in ids if id in listed]:
            super().delete(known)

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """From the docstore; with the vectors of a `SimpleVectorStore`."""
        listed = set(self.index.index_struct.nodes_dict.values())
        nodes = self.index.docstore.get_nodes([id for id in ids if id in listed], raise_error=False)
        vectors = self.vector_store.data.embedding_dict if isinstance(self.vector_store, SimpleVectorStore) else {}
        return [self._record(node, vectors.get(node.node_id)) for node in nodes]


class QdrantIndex(SearchedIndex):
    """An index over a `QdrantVectorStore`, by its dense vectors."""

    @property
    def lists(self) -> bool:
        """It does."""
        return True

    def id_of(self, id: str) -> str:
        """As Qdrant spells it, which takes UUIDs.

        Raises:
            InvalidInputError: For another.
        """
        try:
            return str(UUID(id))
        except ValueError:
            raise InvalidInputError(f"Qdrant takes UUIDs as the ids of nodes, not {id!r}.") from None

    def ids(self) -> list[str]:
        """By scrolling through the collection."""
        return [str(point.id) for page in self._pages() for point in page]

    def count(self) -> int:
        """As Qdrant counts; none before the collection is made."""
        if not self._is_there:
            return 0
        return int(self.vector_store.client.count(self.vector_store.collection_name, exact=True).count)

    def search(self, vector: Any, k: int, where: MetadataFilters | None) -> list[VectorRecord]:
        """By the vector store's `query`, which leaves the vectors out."""
        if not self._is_there:
            return []
        found = [record.id for record in super().search(vector, k, where)]
        rows = {record.id: record for record in self.rows(found)}
        return [rows[id] for id in found if id in rows]

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """By the vector store's `get_nodes`, which has their vectors."""
        return super().rows(ids) if ids and self._is_there else []

    @property
    def _is_there(self) -> bool:
        return bool(self.vector_store.client.collection_exists(self.vector_store.collection_name))

    def _pages(self) -> Iterator[list[Any]]:
        offset, client = None, self.vector_store.client
        while self._is_there:
            options: Any = {"limit": PAGE, "offset": offset, "with_payload": False, "with_vectors": False}
            points, offset = client.scroll(self.vector_store.collection_name, **options)
            yield points
            if offset is None:
                return
