"""Inside LlamaIndex's own engines, with our generators as the language model, or its mock."""

from __future__ import annotations

import re
from typing import Any

import pytest
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.postprocessor import KeywordNodePostprocessor, SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever, RouterRetriever
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool, RetrieverTool
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever

from lsb_rag import Hit, LexSemBridgeEncoder
from lsb_rag.generation import ExtractiveGenerator

from .conftest import QUERY, TEXTS, manual_nodes


class Extractive(CustomLLM):
    """Our extractive generator as a language model: it reads LlamaIndex's default question prompt."""

    generator: Any

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="extractive")

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        context, question = re.findall(r"-{5,}\n(.*?)-{5,}.*?(?:Query|user): (.*?)\n", prompt + "\n", re.DOTALL)[0]
        passages = [passage for passage in context.split("\n\n") if not passage.startswith("kind:")]
        hits = [Hit(str(n), 0.0, passage.strip()) for n, passage in enumerate(passages)]
        return CompletionResponse(text=self.generator.answer(question, hits).text)

    def stream_complete(self, prompt: str, formatted: bool = False, **_: Any) -> Any:
        yield self.complete(prompt)


@pytest.fixture
def llm(encoder: LexSemBridgeEncoder) -> Extractive:
    return Extractive(generator=ExtractiveGenerator(encoder))


async def test_a_query_engine(retriever: LexSemBridgeRetriever, llm: Extractive) -> None:
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    answer = engine.query(QUERY)
    assert "the inlet is blocked" in str(answer)
    assert answer.source_nodes[0].node.node_id == "pump"
    assert "the inlet is blocked" in str(await engine.aquery(QUERY))


def test_node_postprocessors(retriever: LexSemBridgeRetriever, llm: Extractive) -> None:
    best = retriever.retrieve(QUERY)[0].score
    cut = SimilarityPostprocessor(similarity_cutoff=best - 1e-6)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, node_postprocessors=[cut])
    assert [one.node.node_id for one in engine.query(QUERY).source_nodes] == ["pump"]

    class ByWords(KeywordNodePostprocessor):
        """LlamaIndex's own needs spaCy; the same by plain words."""

        def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
            return [one for one in nodes if all(word in one.node.get_content() for word in self.required_keywords)]

    engine = RetrieverQueryEngine.from_args(
        retriever, llm=llm, node_postprocessors=[ByWords(required_keywords=["outlet"])]
    )
    assert [one.node.node_id for one in engine.query(QUERY).source_nodes] == ["drain"]


async def test_query_fusion(retriever: LexSemBridgeRetriever) -> None:
    vanilla = LexSemBridgeRetriever(retriever.store, similarity_top_k=3, vanilla=True)
    for mode in ("reciprocal_rerank", "relative_score", "simple"):
        fusion = QueryFusionRetriever(
            [retriever, vanilla], llm=MockLLM(), mode=mode, num_queries=1, similarity_top_k=2, use_async=False
        )
        assert fusion.retrieve(QUERY)[0].node.node_id == "pump"
        assert (await fusion.aretrieve(QUERY))[0].node.node_id == "pump"


class Choosing(MockLLM):
    """Answers a selector's prompt with the second choice."""

    def complete(self, prompt: str, formatted: bool = False, **_: Any) -> CompletionResponse:
        return CompletionResponse(text='[{"choice": 2, "reason": "it is about faults"}]')


def test_a_router_and_tools(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, llm: Extractive) -> None:
    notices = LexSemBridgeRetriever.from_nodes(manual_nodes()[3:], model=encoder)
    tools = [
        RetrieverTool.from_defaults(notices, description="notices of the office"),
        RetrieverTool.from_defaults(retriever, description="faults of pumps and valves"),
    ]
    router = RouterRetriever(selector=LLMSingleSelector.from_defaults(llm=Choosing()), retriever_tools=tools, llm=llm)
    assert router.retrieve(QUERY)[0].node.node_id == "pump"
    assert "the inlet is blocked" in str(tools[1](QUERY))
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    tool = QueryEngineTool.from_defaults(engine, name="manual", description="the manual")
    assert "the inlet is blocked" in str(tool(QUERY))


def test_a_chat_engine(retriever: LexSemBridgeRetriever) -> None:
    chat = ContextChatEngine.from_defaults(retriever=retriever, llm=MockLLM())
    response = chat.chat(QUERY)
    assert response.source_nodes[0].node.node_id == "pump"
    assert TEXTS["pump"] in str(response)  # the mock repeats its prompt


def test_hyde(retriever: LexSemBridgeRetriever, llm: Extractive) -> None:
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm)
    transformed = TransformQueryEngine(engine, HyDEQueryTransform(llm=MockLLM()))
    assert transformed.query(QUERY).source_nodes[0].node.node_id == "pump"
