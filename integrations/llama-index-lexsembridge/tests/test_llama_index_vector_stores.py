"""Over an index on SimpleVectorStore, on Qdrant, and on a vector store that cannot list what it holds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import chromadb
import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    MetadataFilter,
    MetadataFilters,
    SimpleVectorStore,
    VectorStoreQuery,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore
from llama_index.vector_stores.qdrant import QdrantVectorStore
from pydantic import PrivateAttr
from qdrant_client import QdrantClient

from lsb_rag.errors import FingerprintMismatchError, InvalidInputError, InvalidTypeError
from tests.embedding_server import vector

from .conftest import QUERY, manual_nodes

IDS = {node.node_id: str(UUID(int=number)) for number, node in enumerate(manual_nodes(), start=1)}


class Words(BaseEmbedding):
    """Texts that share words are near."""

    width: int = 64
    _embedded: list[str] = PrivateAttr(default_factory=list)

    def _get_text_embedding(self, text: str) -> list[float]:
        self._embedded.append(text)
        return vector(text, self.width, "document")

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector(query, self.width, "query")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class Unlisted(BasePydanticVectorStore):
    """A vector store that keeps nodes and cannot list them."""

    stores_text: bool = True
    _simple: SimpleVectorStore = PrivateAttr(default_factory=SimpleVectorStore)
    _nodes: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def client(self) -> None:
        return None

    def add(self, nodes: list[Any], **kwargs: Any) -> list[str]:
        self._nodes |= {node.node_id: node.model_copy(update={"embedding": None}) for node in nodes}
        return self._simple.add(nodes)

    def delete(self, ref_doc_id: str, **kwargs: Any) -> None:
        self._simple.delete(ref_doc_id)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        result = self._simple.query(query)
        result.nodes = [self._nodes[id] for id in result.ids or ()]
        return result


def nodes() -> list[TextNode]:
    """The manual's, with ids that Qdrant takes."""
    return [node.model_copy(update={"id_": IDS[node.node_id]}) for node in manual_nodes()]


def new_node() -> TextNode:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="belt")}
    text = "E-4107: the belt slips. Tighten it."
    return TextNode(id_=str(UUID(int=9)), text=text, metadata={"kind": "fault"}, relationships=source)


def on_simple(embed_model: BaseEmbedding) -> VectorStoreIndex:
    return VectorStoreIndex(nodes(), embed_model=embed_model)


def on_qdrant(embed_model: BaseEmbedding) -> VectorStoreIndex:
    store = QdrantVectorStore("manual", client=QdrantClient(":memory:"))
    return VectorStoreIndex(
        nodes(), embed_model=embed_model, storage_context=StorageContext.from_defaults(vector_store=store)
    )


def on_chroma(embed_model: BaseEmbedding) -> VectorStoreIndex:
    collection = chromadb.EphemeralClient().create_collection(f"twin-{uuid4()}", metadata={"hnsw:space": "cosine"})
    store = ChromaVectorStore(chroma_collection=collection)
    index = VectorStoreIndex(
        nodes(), embed_model=embed_model, storage_context=StorageContext.from_defaults(vector_store=store)
    )
    return index


def on_unlisted(embed_model: BaseEmbedding) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=Unlisted())
    return VectorStoreIndex(nodes(), embed_model=embed_model, storage_context=context)


INDICES: dict[str, Callable[[BaseEmbedding], VectorStoreIndex]] = {"simple": on_simple, "qdrant": on_qdrant}


@pytest.fixture(params=INDICES)
def index(request: pytest.FixtureRequest) -> VectorStoreIndex:
    return INDICES[request.param](Words())


def found(retriever: LexSemBridgeRetriever, query: str) -> list[tuple[str, float]]:
    return [(one.node_id, pytest.approx(one.score, abs=1e-5)) for one in retriever.retrieve(query)]


def top(retriever: LexSemBridgeRetriever, query: str) -> str:
    return retriever.retrieve(query)[0].node_id


# -- the same as over Chroma ----------------------------------------------------------------------------------------


def test_it_finds_what_it_finds_over_chroma(index: VectorStoreIndex) -> None:
    over_chroma = LexSemBridgeRetriever.from_index(on_chroma(Words()), similarity_top_k=5)
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=5)
    for query in (QUERY, "when is lunch", "worn spring ZX81", "kind notice"):
        assert found(retriever, query) == found(over_chroma, query)
    expected, node = over_chroma.retrieve(QUERY)[0].node, retriever.retrieve(QUERY)[0].node
    assert node.text == expected.text
    assert node.ref_doc_id == expected.ref_doc_id == "document-pump"
    assert node.metadata == {**expected.metadata, "confidence": pytest.approx(expected.metadata["confidence"])}
    over_chroma.store.drop()


async def test_asynchronous_and_vanilla(index: VectorStoreIndex) -> None:
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=3)
    assert [one.node_id for one in await retriever.aretrieve(QUERY)] == [id for id, _ in found(retriever, QUERY)]
    vanilla = LexSemBridgeRetriever.from_index(index, vanilla=True, similarity_top_k=3)
    plain = index.as_retriever(similarity_top_k=3).retrieve(QUERY)
    assert [one.node_id for one in vanilla.retrieve(QUERY)] == [one.node_id for one in plain]


def test_filters_are_llama_indexs(index: VectorStoreIndex) -> None:
    filters = MetadataFilters(filters=[MetadataFilter(key="kind", value="notice")])
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=5, filters=filters)
    assert {one.node_id for one in retriever.retrieve(QUERY)} == {IDS["office"], IDS["lunch"]}
    with pytest.raises(InvalidInputError, match="where_document= is a filter of Chroma's"):
        LexSemBridgeRetriever.from_index(index, where_document={"$contains": "E"}).retrieve(QUERY)


def test_one_that_cannot_list_is_given_its_nodes(caplog: pytest.LogCaptureFixture) -> None:
    index = on_unlisted(Words())
    with pytest.raises(InvalidInputError, match="Unlisted cannot list what it holds; give its nodes as nodes="):
        LexSemBridgeRetriever.from_index(index)
    retriever = LexSemBridgeRetriever.from_index(index, nodes=nodes(), similarity_top_k=1)
    assert top(retriever, QUERY) == IDS["pump"]
    index.insert_nodes([new_node()])
    with caplog.at_level(logging.WARNING, "lsb_rag"):
        assert top(retriever, "E-4107 belt slips") == new_node().node_id
    assert "sync(passages) counts all others" in caplog.text
    retriever.sync(nodes())
    assert retriever.store.bridge.statistics.df("4107") == 0
    assert retriever.add_nodes([TextNode(id_="torn", text="E-4108: the belt is torn.")]) == ["torn"]
    assert top(retriever, "E-4108 belt torn") == "torn"


# -- following ------------------------------------------------------------------------------------------------------


def test_what_is_added_through_the_retriever_or_the_index_is_found(index: VectorStoreIndex) -> None:
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=1)
    id = new_node().node_id
    assert top(retriever, "E-4107") != id
    assert retriever.add_nodes([new_node()]) == [id]
    assert top(retriever, "E-4107") == id
    retriever.delete_nodes([id])
    assert top(retriever, "E-4107") != id
    index.insert_nodes([new_node()])  # by the application
    assert top(retriever, "E-4107") == id
    retriever.delete_ref_doc("belt")
    assert top(retriever, "E-4107") != id
    assert retriever.store.bridge.statistics.df("4107") == 0
    index.insert(Document(text="E-4108: the belt is torn."))
    assert retriever.retrieve("E-4108")[0].text == "E-4108: the belt is torn."


def test_adding_again_embeds_nothing(index: VectorStoreIndex) -> None:
    retriever = LexSemBridgeRetriever.from_index(index)
    retriever.retrieve(QUERY)
    embedded = index._embed_model._embedded
    embedded.clear()
    retriever.add_nodes(nodes())
    assert embedded == []


def test_a_changed_node(index: VectorStoreIndex) -> None:
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=1)
    retriever.retrieve(QUERY)
    changed = TextNode(id_=IDS["lunch"], text="E-9000: the fuse is blown.", metadata={"kind": "fault"})
    retriever.add_nodes([changed])
    assert top(retriever, "E-9000") == IDS["lunch"]
    assert retriever.store.bridge.statistics.df("noon") == 0


# -- statistics, mistakes -------------------------------------------------------------------------------------------


def test_a_persisted_index_with_its_statistics(tmp_path: Path) -> None:
    embed_model = Words()
    index = on_simple(embed_model)
    index.storage_context.persist(str(tmp_path))
    expected = found(LexSemBridgeRetriever.from_index(index, statistics=tmp_path / "statistics"), QUERY)
    context = StorageContext.from_defaults(persist_dir=str(tmp_path))
    again = load_index_from_storage(context, embed_model=embed_model)
    embed_model._embedded.clear()
    retriever = LexSemBridgeRetriever.from_index(again, statistics=str(tmp_path / "statistics"))
    assert found(retriever, QUERY) == expected
    assert len(embed_model._embedded) < len(IDS)


def test_another_model_than_the_indexs(index: VectorStoreIndex) -> None:
    with pytest.raises(FingerprintMismatchError, match="dimension: 64 against 32"):
        LexSemBridgeRetriever.from_index(index, model=Words(width=32)).retrieve(QUERY)


def test_what_is_no_index(tmp_path: Path) -> None:
    for wrong in ("./db", SimpleVectorStore(), [new_node()], VectorStoreIndex):
        with pytest.raises(InvalidTypeError, match=r"from_index\(\) takes a VectorStoreIndex, not"):
            LexSemBridgeRetriever.from_index(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="leave statistics= out"):
        LexSemBridgeRetriever.from_index(on_chroma(Words()), statistics=tmp_path / "file")


def test_an_empty_index() -> None:
    empty = VectorStoreIndex([], embed_model=Words())
    retriever = LexSemBridgeRetriever.from_index(empty)
    assert retriever.retrieve(QUERY) == []
    retriever.add_nodes([new_node()])
    assert top(retriever, "E-4107") == new_node().node_id


def test_ids_of_qdrant() -> None:
    retriever = LexSemBridgeRetriever.from_index(on_qdrant(Words()))
    with pytest.raises(InvalidInputError, match="Qdrant takes UUIDs as the ids of nodes, not 'pump'"):
        retriever.add_nodes(manual_nodes())
