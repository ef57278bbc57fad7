from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_classic.chains import create_history_aware_retriever
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_openai import ChatOpenAI
from llama_index.core import VectorStoreIndex
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms import ChatMessage, CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding

from lsb_rag import PassageStore
from lsb_rag.errors import InvalidInputError, InvalidTypeError, ReadError
from lsb_rag.evaluation import Dataset, Message, Query, evaluate, read_beir, read_questions, write_beir, write_report
from lsb_rag.evaluation.reports.wording import notes
from lsb_rag.generation import ExtractiveGenerator

from ..chat_server import ChatServer, chat_server
from .test_custom_arm import OfLangChain

HISTORY = (Message("user", "what does E-4012 mean"), Message("assistant", "The inlet is blocked."))
CONVERSATIONS = Dataset(
    "conversations",
    [
        Query("alone", "when is lunch"),
        Query("later", "and the one that comes next?", answers=("the outlet is blocked",), history=HISTORY),
    ],
    {"alone": {"lunch": 1}, "later": {"drain": 1}},
)
STANDALONE = "what does E-4013 mean"


def condense(history: list[dict[str, str]], question: str) -> str:
    assert history == [
        {"role": "user", "content": "what does E-4012 mean"},
        {"role": "assistant", "content": "The inlet is blocked."},
    ]
    assert question == "and the one that comes next?"
    return STANDALONE


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with chat_server(STANDALONE) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield server


def test_what_stands_alone_is_searched_for_and_answered(store: PassageStore, tmp_path: Path) -> None:
    generator = ExtractiveGenerator(store.encoder)
    found = evaluate(store, CONVERSATIONS, arms=["bm25", "lsb"], k=3, generator=generator, condense=condense)
    assert found.arms["lsb"].hits["later"][0].id == "drain"
    assert found.arms["bm25"].values["hit@1"] == {"alone": 1, "later": 1}
    answer = found.arms["lsb"].answers["later"]
    assert answer
    assert "outlet is blocked" in answer.text
    assert found.heaviness["later"] > 0
    assert "1 queries continue a conversation and were made to stand alone" in " ".join(notes(found))
    write_report(found, store, tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()]
    later = next(row for row in rows if row["query_id"] == "later")
    assert (later["question"], later["searched"]) == ("and the one that comes next?", STANDALONE)
    assert later["history"][1] == {"role": "assistant", "content": "The inlet is blocked."}
    assert "history" not in next(row for row in rows if row["query_id"] == "alone")


def test_without_condense_they_are_searched_for_as_they_are(store: PassageStore) -> None:
    found = evaluate(store, CONVERSATIONS, arms=["lsb"], k=3)
    assert "1 queries continue a conversation and were searched for as they are" in " ".join(notes(found))


def test_what_condense_may_return(store: PassageStore) -> None:
    async def later(history: list[dict[str, str]], question: str) -> str:
        return STANDALONE

    def failing(history: list[dict[str, str]], question: str) -> str:
        raise ConnectionError("no route")

    found = evaluate(store, CONVERSATIONS, arms=["lsb"], k=3, condense=later)
    assert found.arms["lsb"].values["hit@1"]["later"] == 1
    with pytest.raises(InvalidTypeError, match="condense must return a question, not 7"):
        evaluate(store, CONVERSATIONS, arms=[], condense=lambda history, question: 7)
    with pytest.raises(InvalidInputError, match=r"failed on all 1 questions.*ConnectionError: no route"):
        evaluate(store, CONVERSATIONS, arms=[], condense=failing)
    more = Dataset(
        "more",
        [*CONVERSATIONS.queries, Query("odd", "and then?", history=HISTORY)],
        {**CONVERSATIONS.qrels, "odd": {"pump": 1}},
    )
    found = evaluate(store, more, arms=["lsb"], condense=condense)  # which takes one question alone
    assert "but for 1 where that failed" in " ".join(notes(found))


def test_langchains_history_aware_retriever(store: PassageStore, chat: ChatServer) -> None:
    prompt = ChatPromptTemplate.from_messages(
        [("system", "Make the question stand alone."), MessagesPlaceholder("chat_history"), ("human", "{input}")]
    )
    model = ChatOpenAI(model="m", base_url=chat.url)
    asked: list[str] = []

    class Recording(OfLangChain):
        def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
            asked.append(query)
            return super()._get_relevant_documents(query, run_manager=run_manager)

    own = create_history_aware_retriever(model, Recording(ids=["drain"]), prompt)
    chain = prompt | model | StrOutputParser()

    def by_langchain(history: list[dict[str, str]], question: str) -> str:
        return chain.invoke({"chat_history": history, "input": question})

    found = evaluate(store, CONVERSATIONS, arms=["lsb"], k=3, retrievers={"mine": own}, condense=by_langchain)
    assert asked == ["when is lunch", STANDALONE]
    assert found.arms["mine"].values["hit@1"] == {"alone": 0, "later": 1}
    assert found.arms["lsb"].values["hit@1"] == {"alone": 1, "later": 1}
    said = [message["content"] for message in chat.requests[-1]["body"]["messages"]]
    assert said[1:] == ["what does E-4012 mean", "The inlet is blocked.", "and the one that comes next?"]
    again = evaluate(store, CONVERSATIONS, arms=[], k=3, retrievers={"mine": OfLangChain(ids=["drain"])})
    assert again.arms["mine"].values["hit@1"]["later"] == 1


class Rewriting(CustomLLM):
    """LlamaIndex's interface of a language model, which always says the same."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **given: Any) -> CompletionResponse:
        return CompletionResponse(text=STANDALONE)

    def stream_complete(self, prompt: str, formatted: bool = False, **given: Any) -> Any:
        raise NotImplementedError


def test_llamaindexs_chat_engine(store: PassageStore) -> None:
    nodes = [TextNode(text=hit.text, id_=hit.id) for hit in map(store.hit, store.ids())]
    index = VectorStoreIndex(nodes, embed_model=LexSemBridgeEmbedding(strength=0))
    model = Rewriting()
    engine = CondenseQuestionChatEngine.from_defaults(index.as_query_engine(llm=model, similarity_top_k=3), llm=model)

    def mine(query: str, k: int, history: list[dict[str, str]]) -> list[NodeWithScore]:
        return engine.chat(query, chat_history=[ChatMessage(**message) for message in history]).source_nodes

    found = evaluate(store, CONVERSATIONS, arms=[], k=3, retrievers={"mine": mine})
    assert found.arms["mine"].values["recall@10"]["later"] == 1


def test_conversations_from_files(tmp_path: Path, store: PassageStore) -> None:
    write_beir(CONVERSATIONS, store.get(), tmp_path / "beir")
    assert read_beir(tmp_path / "beir").queries == CONVERSATIONS.queries
    row = {"question": "and then?", "reference_ids": ["a"], "history": [{"role": "human", "content": "E-1?"}]}
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row))
    assert read_questions(path).queries[0].history == (Message("user", "E-1?"),)
    for wrong in ("a text", [{"role": "system", "content": "x"}], [{"role": "user"}], [7], {"role": "user"}):
        path.write_text(json.dumps({**row, "history": wrong}))
        with pytest.raises(ReadError, match="line 1: the history must be a list of messages"):
            read_questions(path)


def test_the_same_words_after_another_conversation_are_another_question() -> None:
    other = (Message("user", "what does E-5100 mean"),)
    queries = [
        Query("a", "why?", history=HISTORY),
        Query("b", "Why?", history=other),
        Query("c", "why?", history=other),
    ]
    dataset = Dataset("set", queries, {id: {"pump": 1} for id in "abc"}).distinct()
    assert [query.id for query in dataset.queries] == ["a", "b"]
    assert dataset.repeated == 1
