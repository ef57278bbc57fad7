"""The table of docs/vector-stores.md: of each vector store in each framework, what works."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import chromadb
import pytest
from langchain_chroma import Chroma
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRerank, LexSemBridgeRetriever
from langchain_qdrant import QdrantVectorStore
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.postprocessor.lexsembridge import LexSemBridgeRerank as Postprocessor
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as LlamaIndexRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore as LlamaIndexQdrant
from qdrant_client import QdrantClient, models

from ..conftest import MANUAL
from ..embedding_server import vector

WIDTH = 64
IDS = {passage.id: str(UUID(int=number)) for number, passage in enumerate(MANUAL, start=1)}
KINDS = {passage.id: str(passage.metadata.get("kind", "fault")) for passage in MANUAL}
NEW_ID, NEW_TEXT = str(UUID(int=99)), "E-4107: the belt slips. Tighten it."
QUERY = "what does E-4012 mean"
COLUMNS = ("embeddings", "retriever", "rerank", "filters", "follows changes")


class Words(Embeddings):
    """LangChain embeddings of which texts that share words are near."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [vector(text, WIDTH, "document") for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return vector(text, WIDTH, "query")


class WordsModel(BaseEmbedding):
    """The same for LlamaIndex."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return vector(text, WIDTH, "document")

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector(query, WIDTH, "query")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


def follow(store: Any, df: int) -> None:
    """The statistics count the new word; of Chroma, which gives no sign of changes, after a moment."""
    until = time.monotonic() + 30
    while store.bridge.statistics.df("4107") != df:
        assert time.monotonic() < until
        time.sleep(0.1)


@dataclass
class LangChain:
    """A vector store of LangChain's, filled by LangChain."""

    fill: Callable[[list[Document], Embeddings], Any]
    notices: Any

    def made(self, embeddings: Embeddings) -> Any:
        documents = [
            Document(id=IDS[passage.id], page_content=passage.content, metadata={"kind": KINDS[passage.id]})
            for passage in MANUAL
        ]
        return self.fill(documents, embeddings)

    def embeddings(self) -> None:
        store = self.made(LexSemBridgeEmbeddings(embeddings=Words()))
        assert store.similarity_search(QUERY, k=1)[0].page_content.startswith("E-4012")

    def retriever(self) -> None:
        found = LexSemBridgeRetriever.from_vectorstore(self.made(Words()), k=3).invoke(QUERY)
        assert found[0].id == IDS["pump"]
        assert len(found) == 3

    def rerank(self) -> None:
        store = self.made(Words())
        found = store.similarity_search(QUERY, k=len(MANUAL))
        for document in found:  # Qdrant keeps it there
            document.id = document.id or document.metadata["_id"]
        best = LexSemBridgeRerank.from_vectorstore(store, top_n=3).compress_documents(found, QUERY)
        expected = LexSemBridgeRetriever.from_vectorstore(store, k=3).invoke(QUERY)
        assert [one.id for one in best] == [one.id for one in expected]
        scores = [[one.metadata["score"] for one in documents] for documents in (best, expected)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)

    def filters(self) -> None:
        retriever = LexSemBridgeRetriever.from_vectorstore(self.made(Words()), k=9, filter=self.notices)
        assert {one.id for one in retriever.invoke(QUERY)} == {IDS["office"], IDS["lunch"]}

    def follows(self) -> None:
        store = self.made(Words())
        retriever = LexSemBridgeRetriever.from_vectorstore(store, k=1)
        assert retriever.invoke(QUERY)
        store.add_documents([Document(id=NEW_ID, page_content=NEW_TEXT)], ids=[NEW_ID])
        assert retriever.invoke("E-4107")[0].id == NEW_ID
        follow(retriever.store, 1)
        store.delete([NEW_ID])
        assert retriever.invoke("E-4107")[0].id != NEW_ID
        follow(retriever.store, 0)


@dataclass
class LlamaIndex:
    """An index of LlamaIndex's on a vector store."""

    vector_store: Callable[[], Any]

    def made(self, embed_model: BaseEmbedding) -> VectorStoreIndex:
        nodes = [
            TextNode(id_=IDS[passage.id], text=passage.content, metadata={"kind": KINDS[passage.id]})
            for passage in MANUAL
        ]
        store = self.vector_store()
        context = None if store is None else StorageContext.from_defaults(vector_store=store)
        return VectorStoreIndex(nodes, embed_model=embed_model, storage_context=context)

    def embeddings(self) -> None:
        index = self.made(LexSemBridgeEmbedding(embed_model=WordsModel()))
        assert index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0].text.startswith("E-4012")

    def retriever(self) -> None:
        found = LlamaIndexRetriever.from_index(self.made(WordsModel()), similarity_top_k=3).retrieve(QUERY)
        assert found[0].node_id == IDS["pump"]
        assert len(found) == 3

    def rerank(self) -> None:
        index = self.made(WordsModel())
        found = index.as_retriever(similarity_top_k=len(MANUAL)).retrieve(QUERY)
        best = Postprocessor.from_index(index, top_n=3).postprocess_nodes(found, query_str=QUERY)
        expected = LlamaIndexRetriever.from_index(index, similarity_top_k=3).retrieve(QUERY)
        assert [one.node_id for one in best] == [one.node_id for one in expected]
        assert [one.score for one in best] == pytest.approx([one.score for one in expected], abs=1e-5)

    def filters(self) -> None:
        filters = MetadataFilters(filters=[MetadataFilter(key="kind", value="notice")])
        retriever = LlamaIndexRetriever.from_index(self.made(WordsModel()), similarity_top_k=9, filters=filters)
        assert {one.node_id for one in retriever.retrieve(QUERY)} == {IDS["office"], IDS["lunch"]}

    def follows(self) -> None:
        index = self.made(WordsModel())
        retriever = LlamaIndexRetriever.from_index(index, similarity_top_k=1)
        assert retriever.retrieve(QUERY)
        index.insert_nodes([TextNode(id_=NEW_ID, text=NEW_TEXT)])
        assert retriever.retrieve("E-4107")[0].node_id == NEW_ID
        follow(retriever.store, 1)
        index.delete_nodes([NEW_ID], delete_from_docstore=True)
        assert retriever.retrieve("E-4107")[0].node_id != NEW_ID
        follow(retriever.store, 0)


def qdrant(documents: list[Document], embeddings: Embeddings) -> QdrantVectorStore:
    return QdrantVectorStore.from_documents(documents, embeddings, location=":memory:", collection_name="manual")


def in_memory(documents: list[Document], embeddings: Embeddings) -> InMemoryVectorStore:
    store = InMemoryVectorStore(embeddings)
    store.add_documents(documents)
    return store


def new_collection() -> Any:
    client = chromadb.EphemeralClient()
    name = f"table-{len(client.list_collections())}"
    return client.create_collection(name, metadata={"hnsw:space": "cosine"}, embedding_function=None)


def chroma(documents: list[Document], embeddings: Embeddings) -> Chroma:
    return Chroma.from_documents(documents, embeddings, collection_name=new_collection().name)


NOTICES = models.Filter(must=[models.FieldCondition(key="metadata.kind", match=models.MatchValue(value="notice"))])
STORES: dict[str, LangChain | LlamaIndex] = {
    "LangChain: `Chroma`": LangChain(chroma, {"kind": "notice"}),
    "LangChain: `FAISS`": LangChain(FAISS.from_documents, {"kind": "notice"}),
    "LangChain: `QdrantVectorStore`": LangChain(qdrant, NOTICES),
    "LangChain: `InMemoryVectorStore`": LangChain(in_memory, lambda document: document.metadata["kind"] == "notice"),
    "LlamaIndex: `ChromaVectorStore`": LlamaIndex(lambda: ChromaVectorStore(chroma_collection=new_collection())),
    "LlamaIndex: `SimpleVectorStore`": LlamaIndex(lambda: None),
    "LlamaIndex: `QdrantVectorStore`": LlamaIndex(lambda: LlamaIndexQdrant("manual", client=QdrantClient(":memory:"))),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("store", STORES)
def test_a_cell_of_the_table(store: str, column: str) -> None:
    getattr(STORES[store], column.split()[0])()


def test_the_table_has_the_cells_that_are_tested() -> None:
    page = (Path(__file__).parents[2] / "docs" / "vector-stores.md").read_text(encoding="utf-8")
    header, *rows = [line for line in page.splitlines() if re.match(r"\| (vector store|Lang|Llama)", line)]
    assert [cell.strip() for cell in header.split("|")[2:-1]] == list(COLUMNS)
    cells = {row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]] for row in rows}
    tested = {store: cells[store] for store in STORES}
    assert all(cell.startswith("yes") for row in tested.values() for cell in row)
    assert {name.partition(":")[2] for name in cells.keys() - STORES.keys()} == {" another one"}
