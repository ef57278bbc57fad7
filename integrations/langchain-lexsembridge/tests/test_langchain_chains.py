"""Inside LangChain's own chains, tools and retrievers, with a chat endpoint on loopback."""

from __future__ import annotations

import json
from typing import Any

from langchain.agents import create_agent
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_classic.retrievers.document_compressors import LLMChainExtractor
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_lexsembridge import LexSemBridgeRetriever
from langchain_openai import ChatOpenAI

from lsb_rag.generation import fenced
from tests.chat_server import ChatServer, chat_server

from .conftest import DOCUMENTS, QUERY, TEXTS


def model_at(server: ChatServer) -> ChatOpenAI:
    return ChatOpenAI(model="any", base_url=server.url, api_key="no-key", max_retries=0)  # type: ignore[arg-type]


def test_an_lcel_chain(retriever: LexSemBridgeRetriever) -> None:
    prompt = ChatPromptTemplate.from_template("{context}\nQuestion: {question}")
    context = retriever | (lambda documents: fenced([document.page_content for document in documents]))
    with chat_server("The inlet is blocked.") as server:
        chain = {"context": context, "question": RunnablePassthrough()} | prompt | model_at(server) | StrOutputParser()
        assert chain.invoke(QUERY) == "The inlet is blocked."
        assert "".join(chain.batch([QUERY])) == "The inlet is blocked."
    asked = server.requests[0]["body"]["messages"][0]["content"]
    assert asked.startswith(f'<passage id="1">\n{TEXTS["pump"]}')
    assert asked.endswith(f"Question: {QUERY}")


def tool_call(query: str) -> tuple[int, dict[str, str], str]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "manual", "arguments": json.dumps({"query": query})},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "any",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body)


def test_a_tool_of_an_agent(retriever: LexSemBridgeRetriever) -> None:
    tool = create_retriever_tool(retriever, "manual", "Searches the manual.", response_format="content_and_artifact")
    with chat_server(tool_call("E-4012"), "The inlet is blocked [1].") as server:
        agent = create_agent(model_at(server), [tool])
        messages: list[Any] = agent.invoke({"messages": [("user", QUERY)]})["messages"]
    assert messages[-1].content == "The inlet is blocked [1]."
    assert messages[-2].artifact[0].id == "pump"
    assert TEXTS["pump"] in server.requests[1]["body"]["messages"][-1]["content"]


class Fixed(BaseRetriever):
    """A retriever that always finds lunch, to be fused with ours."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
        return [document.model_copy(deep=True) for document in DOCUMENTS if document.id == "lunch"]


def test_with_an_ensemble(retriever: LexSemBridgeRetriever) -> None:
    ensemble = EnsembleRetriever(retrievers=[retriever, Fixed()], weights=[0.6, 0.4])
    found = [document.id for document in ensemble.invoke(QUERY)]
    assert found[0] == "pump"
    assert "lunch" in found


def test_with_contextual_compression(retriever: LexSemBridgeRetriever) -> None:
    best = retriever.model_copy(update={"k": 1})
    with chat_server("Clean the filter.") as server:
        extractor = LLMChainExtractor.from_llm(model_at(server))
        compressed = ContextualCompressionRetriever(base_compressor=extractor, base_retriever=best)
        documents = compressed.invoke(QUERY)
    assert [document.page_content for document in documents] == ["Clean the filter."]
    assert documents[0].metadata == best.invoke(QUERY)[0].metadata
    assert TEXTS["pump"] in str(server.requests[0]["body"]["messages"])
