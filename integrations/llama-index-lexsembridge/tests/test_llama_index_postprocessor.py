"""The rerank as a node postprocessor, over any retriever."""

from __future__ import annotations

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.postprocessor.lexsembridge import LexSemBridgeRerank
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError, InvalidTypeError

from .conftest import QUERY
from .test_llama_index_vector_stores import Words, nodes, on_chroma, on_simple


class Fixed(BaseRetriever):
    """Brings the same nodes for every query."""

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=0.1) for node in reversed(nodes())]


@pytest.fixture(params=[on_simple, on_chroma], ids=["simple", "chroma"])
def index(request: pytest.FixtureRequest) -> VectorStoreIndex:
    return request.param(Words())


async def test_over_an_index_it_scores_as_the_retriever(index: VectorStoreIndex) -> None:
    rerank = LexSemBridgeRerank.from_index(index, top_n=3)
    expected = LexSemBridgeRetriever.from_index(index, similarity_top_k=3).retrieve(QUERY)
    rerank.postprocess_nodes(Fixed().retrieve("lunch"), query_str="lunch")  # counts the words, compares a few vectors
    index._embed_model._embedded.clear()
    found = rerank.postprocess_nodes(Fixed().retrieve(QUERY), query_str=QUERY)
    assert index._embed_model._embedded == []
    assert [one.node_id for one in found] == [one.node_id for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected])
    assert await rerank.apostprocess_nodes(Fixed().retrieve(QUERY), QueryBundle(QUERY)) == found


def test_in_a_query_engine_over_any_retriever() -> None:
    rerank = LexSemBridgeRerank(Words(), top_n=1)
    engine = RetrieverQueryEngine.from_args(Fixed(), llm=MockLLM(), node_postprocessors=[rerank])
    assert [one.node.text for one in engine.query(QUERY).source_nodes] == [nodes()[0].text]


def test_by_default_the_embedded_model(encoder: LexSemBridgeEncoder) -> None:
    for model in (None, encoder):
        [best] = LexSemBridgeRerank(model, top_n=1).postprocess_nodes(Fixed().retrieve(QUERY), query_str=QUERY)
        assert best.node.text == nodes()[0].text


def test_serialised_it_names_its_class() -> None:
    data = LexSemBridgeRerank(Words(), top_n=7).to_dict()
    assert data["class_name"] == "LexSemBridgeRerank"
    assert data["top_n"] == 7


def test_mistakes() -> None:
    store = LexSemBridgeRetriever.from_index(on_simple(Words())).store
    with pytest.raises(InvalidInputError, match="Give model= or store=, not both"):
        LexSemBridgeRerank(Words(), store=store)
    with pytest.raises(InvalidTypeError, match=r"not VectorStoreIndex; an index goes to from_index\(\)"):
        LexSemBridgeRerank(store=on_simple(Words()))  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError):
        LexSemBridgeRerank(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="needs the query"):
        LexSemBridgeRerank(store=store).postprocess_nodes([NodeWithScore(node=TextNode(text="a"))])
    assert LexSemBridgeRerank(store=store).postprocess_nodes([], query_str=QUERY) == []
