"""LangChain's vector stores other than Chroma, as the library searches, lists and changes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from threading import Lock, RLock
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_lexsembridge.backbones import refused
from langchain_lexsembridge.documents import to_passages
from lsb_rag import Passage, VectorIndex, VectorRecord
from lsb_rag.errors import InvalidInputError

PAGE = 1000
_locks: WeakKeyDictionary[object, Any] = WeakKeyDictionary()
"""By FAISS vector store, so that all retrievers over it take turns."""
_making_locks = Lock()


def index_of(vectorstore: VectorStore | Any) -> VectorIndex:
    """A vector store as the library takes it.

    Raises:
        InvalidTypeError: For anything but a vector store that can be searched by vector.
    """
    kinds = {kind.__name__ for kind in type(vectorstore).__mro__}
    if not isinstance(vectorstore, VectorStore):
        hint = "A folder, a server or a client of Chroma goes to from_chroma()."
        raise refused(vectorstore, "from_vectorstore() takes a vector store of LangChain's", hint)
    if isinstance(vectorstore, InMemoryVectorStore):
        return InMemoryIndex(vectorstore)
    if "FAISS" in kinds:
        return FaissIndex(vectorstore)
    if "QdrantVectorStore" in kinds:
        return QdrantIndex(vectorstore)
    if type(vectorstore).similarity_search_by_vector is VectorStore.similarity_search_by_vector:
        hint = "Give its documents and embeddings to from_documents()."
        raise refused(vectorstore, "from_vectorstore() takes a vector store that can be searched by vector", hint)
    return SearchedIndex(vectorstore)


class SearchedIndex(VectorIndex):
    """A vector store that can be searched by vector; whether it can do more is not known.

    Args:
        vectorstore: The store.
    """

    def __init__(self, vectorstore: Any) -> None:
        self.vectorstore = vectorstore

    @property
    def name(self) -> str:
        """Its class, and its collection or table where it has one."""
        names = (getattr(self.vectorstore, field, None) for field in ("collection_name", "index_name", "table_name"))
        named = next((f" {name!r}" for name in names if isinstance(name, str) and name), "")
        return f"{type(self.vectorstore).__name__}{named}"

    def search(self, vector: Any, k: int, where: Any) -> list[VectorRecord]:
        """By `similarity_search_by_vector`, with `where` as its `filter`."""
        options = {} if where is None else {"filter": where}
        found = self.vectorstore.similarity_search_by_vector(vector.tolist(), k=k, **options)
        return [_record(document) for document in found]

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """By `get_by_ids`; none where the store does not have it."""
        with suppress(NotImplementedError):
            return [_record(document) for document in self.vectorstore.get_by_ids(list(ids))]
        return []

    def add(self, passages: Sequence[Passage]) -> None:
        """By `add_documents`; the store embeds them."""
        documents = [Document(p.content, id=p.id, metadata=dict(p.metadata)) for p in passages]
        self.vectorstore.add_documents(documents, ids=[self._stored_id(passage.id) for passage in passages])

    def delete(self, ids: Sequence[str]) -> None:
        """By `delete`."""
        self.vectorstore.delete(list(map(self._stored_id, ids)))

    def _stored_id(self, id: str) -> Any:
        return id


class InMemoryIndex(SearchedIndex):
    """LangChain's `InMemoryVectorStore`."""

    @property
    def lists(self) -> bool:
        """It does."""
        return True

    def ids(self) -> list[str]:
        """Those of its dictionary."""
        return list(self.vectorstore.store)

    def count(self) -> int:
        """The size of its dictionary."""
        return len(self.vectorstore.store)

    def search(self, vector: Any, k: int, where: Any) -> list[VectorRecord]:
        """By `similarity_search_by_vector`; `where` is a function from a document to a bool."""
        return self.rows([found.id for found in super().search(vector, k, where)])

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """From its dictionary."""
        stored = [self.vectorstore.store[id] for id in ids if id in self.vectorstore.store]
        return [VectorRecord(one["id"], one["text"], one["metadata"], one["vector"]) for one in stored]


class FaissIndex(SearchedIndex):
    """LangChain's `FAISS`. Its places shift with every deletion, so one thread at a time reads or changes it."""

    def __init__(self, vectorstore: Any) -> None:
        super().__init__(vectorstore)
        self._known: tuple[Any, int, dict[str, int]] = (None, 0, {})
        with _making_locks:
            self._lock = _locks.setdefault(vectorstore, RLock())

    @property
    def lists(self) -> bool:
        """It does."""
        return True

    def ids(self) -> list[str]:
        """Those of its docstore."""
        with self._lock:
            return list(self._places())

    def count(self) -> int:
        """The number of its vectors."""
        return len(self.vectorstore.index_to_docstore_id)

    def search(self, vector: Any, k: int, where: Any) -> list[VectorRecord]:
        """By `similarity_search_with_score_by_vector`; a filter is applied to all passages, not to its first 20."""
        with self._lock:
            found = self.vectorstore.similarity_search_with_score_by_vector(
                vector.tolist(), k=k, filter=where, fetch_k=max(k, self.count())
            )
            documents = [document for document, _ in found]
            if any(document.id is None for document in documents):  # of an older version of LangChain
                known = {id(self.vectorstore.docstore.search(key)): key for key in self._places()}
                return self.rows([known[id(document)] for document in documents])
            return self.rows([document.id for document in documents])

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """From its docstore, with the vectors that the index keeps as they were."""
        with self._lock:
            places = self._places()
            found = [(id, self.vectorstore.docstore.search(id)) for id in ids if id in places]
            return [
                _record(document, id, self._vector(places[id]))
                for id, document in found
                if isinstance(document, Document)  # else a message that it is not there
            ]

    def add(self, passages: Sequence[Passage]) -> None:
        """By `add_embeddings`; those of the same ids are removed when the new ones are embedded."""
        texts = [passage.content for passage in passages]
        vectors = self.vectorstore.embeddings.embed_documents(texts)
        with self._lock:
            self.delete([passage.id for passage in passages])
            self.vectorstore.add_embeddings(
                zip(texts, vectors, strict=True),
                [dict(passage.metadata) for passage in passages],
                ids=[passage.id for passage in passages],
            )

    def delete(self, ids: Sequence[str]) -> None:
        """By `delete`, which refuses unknown ids."""
        with self._lock:
            places = self._places()
            if known := [id for id in ids if id in places]:
                self.vectorstore.delete(known)

    def _places(self) -> dict[str, int]:
        """The place of each id in the index."""
        ids = self.vectorstore.index_to_docstore_id
        if self._known[0] is not ids or self._known[1] != len(ids):
            self._known = (ids, len(ids), {id: place for place, id in sorted(ids.items())})
        return self._known[2]

    @cached_property
    def _keeps_vectors(self) -> bool:
        """Whether the index can give its vectors, and as they were: product quantization does not."""
        import faiss

        index = faiss.downcast_index(self.vectorstore.index)
        if "PQ" in type(index).__name__ or "LSH" in type(index).__name__:
            return False
        if hasattr(index, "make_direct_map"):
            with suppress(RuntimeError):
                index.make_direct_map()  # else an inverted file does not tell where a vector is
        return True

    def _vector(self, place: int) -> Any:
        if self._keeps_vectors:
            with suppress(RuntimeError):
                return self.vectorstore.index.reconstruct(place)
        return None


class QdrantIndex(SearchedIndex):
    """LangChain's `QdrantVectorStore`, by its dense vectors."""

    @property
    def lists(self) -> bool:
        """It does."""
        return True

    def id_of(self, id: str) -> str:
        """As Qdrant spells it, which takes whole numbers and UUIDs.

        Raises:
            InvalidInputError: For another.
        """
        return str(self._stored_id(id))

    def ids(self) -> list[str]:
        """By scrolling through the collection."""
        return [str(point.id) for page in self._pages() for point in page]

    def count(self) -> int:
        """As Qdrant counts."""
        return int(self._client.count(self._collection, exact=True).count)

    def search(self, vector: Any, k: int, where: Any) -> list[VectorRecord]:
        """By `query_points`; `where` is a `qdrant_client.models.Filter`."""
        found = self._client.query_points(
            self._collection,
            query=vector.tolist(),
            using=self._vector_name,
            query_filter=where,
            limit=k,
            with_payload=True,
            with_vectors=True,
        )
        return [self._of_point(point) for point in found.points]

    def rows(self, ids: Sequence[str]) -> list[VectorRecord]:
        """By `retrieve`."""
        wanted = [self._stored_id(id) for id in ids]
        points = self._client.retrieve(self._collection, wanted, with_payload=True, with_vectors=True)
        return [self._of_point(point) for point in points]

    @property
    def _client(self) -> Any:
        return self.vectorstore.client

    @property
    def _collection(self) -> str:
        return str(self.vectorstore.collection_name)

    @property
    def _vector_name(self) -> str | None:
        return self.vectorstore.vector_name or None

    def _pages(self) -> Iterator[list[Any]]:
        offset = None
        while True:
            options: Any = {"limit": PAGE, "offset": offset, "with_payload": False, "with_vectors": False}
            points, offset = self._client.scroll(self._collection, **options)
            yield points
            if offset is None:
                return

    def _stored_id(self, id: str) -> str | int:
        if id.isdecimal():
            return int(id)
        try:
            return str(UUID(id))
        except ValueError:
            msg = f"Qdrant takes whole numbers and UUIDs as ids, not {id!r}; leave ids out to have them made."
            raise InvalidInputError(msg) from None

    def _of_point(self, point: Any) -> VectorRecord:
        payload, vector = point.payload or {}, point.vector
        if isinstance(vector, dict):
            vector = vector.get(self._vector_name or "")
        text = payload.get(self.vectorstore.content_payload_key, "")
        return VectorRecord(str(point.id), text, payload.get(self.vectorstore.metadata_payload_key) or {}, vector)


def _record(document: Document, id: str | None = None, vector: Any = None) -> VectorRecord:
    id = id or document.id or to_passages([document], None)[0].id
    return VectorRecord(id, document.page_content, document.metadata, vector)
