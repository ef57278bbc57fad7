"""Promises of every integration: passages plain, queries modulated, and the core retriever's ids and scores."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from llama_index.core import Document as LlamaIndexDocument
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as LlamaIndexRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.evaluation import build_arms
from lsb_rag.evaluation.arms import VANILLA_RERANK_WEIGHT

from ..conftest import MANUAL

QUERIES = [
    "what does E-4012 mean",
    "E-4013",
    "which flag warms a frozen valve --defrost",
    "TMP_117 calib.offset",
    "zx81",
    "when is lunch",
    "is the office open on holidays",
    "مرحبا",
    *(f"{first} {second}" for first, second in pairwise(" ".join(passage.content for passage in MANUAL).split())),
][:50]
MANY = 6000
"""More than Chroma takes in one call."""
LATE_SECONDS = 0.1


@pytest.fixture(scope="module")
def tiny(tiny_backbone: Path) -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_backbone, device="cpu")


def many_documents(first: int = 0) -> list[Document]:
    return [
        Document(f"part P-{number} of pump {number % 97}", id=f"id{number}", metadata={"number": number})
        for number in range(first, first + MANY)
    ]


def langchain_embedding(**options: Any) -> tuple[Callable[[str], Any], Callable[[str], Any], Any]:
    """How LangChain embeds a query and a passage, and the object that does."""
    embeddings = LexSemBridgeEmbeddings(**options)
    return embeddings.embed_query, lambda text: embeddings.embed_documents([text])[0], embeddings


def llama_index_embedding(**options: Any) -> tuple[Callable[[str], Any], Callable[[str], Any], Any]:
    """The same for LlamaIndex."""
    embedding = LexSemBridgeEmbedding(**options)
    return embedding.get_query_embedding, lambda text: embedding.get_text_embedding_batch([text])[0], embedding


def llama_index_embedding_with_cache(**options: Any) -> tuple[Callable[[str], Any], Callable[[str], Any], Any]:
    return llama_index_embedding(**options, embeddings_cache=SimpleKVStore())


@pytest.mark.parametrize(
    ("framework", "ours"),
    [
        ("langchain_core.embeddings, langchain_core.retrievers", "langchain_lexsembridge"),
        ("llama_index.core", "llama_index.embeddings.lexsembridge, llama_index.retrievers.lexsembridge"),
    ],
)
def test_an_import_loads_nothing_heavy_beside_the_framework(framework: str, ours: str) -> None:
    heavy = {"torch", "transformers", "sentence_transformers", "chromadb"}
    code = (
        f"import sys, {framework}; before = set(sys.modules); import {ours};"
        f"print(sorted({heavy} & set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("made_by", [langchain_embedding, llama_index_embedding, llama_index_embedding_with_cache])
def test_embeddings_are_asymmetric_once_fitted(
    store: PassageStore, encoder: LexSemBridgeEncoder, made_by: Callable[..., Any]
) -> None:
    texts = [passage.content for passage in MANUAL]
    fitted = made_by(encoder=encoder)
    fitted[2].fit(texts)
    for embed_query, embed_passage, _ in (fitted, made_by(collection=store)):
        for text in [*texts, *texts]:
            passage, query = np.array(embed_passage(text)), np.array(embed_query(text))
            np.testing.assert_allclose(passage, encoder.encode_document(text), atol=1e-6)
            np.testing.assert_allclose(query, encoder.encode_query(text, bridge=store.bridge), atol=1e-5)
            assert passage @ query < 0.999
            np.testing.assert_allclose(np.linalg.norm([passage, query], axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rerank": 0.3},
        {"rerank": 0.0},
        {"strength": 0.2},
        {"vanilla": True},
        {"candidates": 2},
        {"sentences": False},
    ],
)
async def test_every_framework_gives_the_core_retrievers_ids_and_scores(
    store: PassageStore, options: dict[str, Any]
) -> None:
    core = Retriever(store, **options)
    langchain = LexSemBridgeRetriever(store=store, k=5, **options)
    llama_index = LlamaIndexRetriever(store, similarity_top_k=5, **options)
    for query in QUERIES:
        expected = [(hit.id, hit.score, hit.text) for hit in core.search(query, 5)]
        for documents in (langchain.invoke(query), await langchain.ainvoke(query)):
            assert [(d.id, d.metadata["score"], d.page_content) for d in documents] == expected
        for nodes in (llama_index.retrieve(query), await llama_index.aretrieve(query)):
            assert [(one.node.node_id, one.score, one.text) for one in nodes] == expected


@pytest.mark.parametrize(
    ("arm", "options"),
    [
        ("vanilla", {"vanilla": True}),
        ("vanilla+rerank", {"vanilla": True, "rerank": VANILLA_RERANK_WEIGHT}),
        ("lsb-vector", {"rerank": False}),
        ("lsb", {}),
    ],
)
def test_every_framework_gives_the_ids_and_scores_of_the_evaluations_arms(
    store: PassageStore, arm: str, options: dict[str, Any]
) -> None:
    search = build_arms(store, [arm])[arm]
    langchain = LexSemBridgeRetriever(store=store, k=5, **options)
    llama_index = LlamaIndexRetriever(store, similarity_top_k=5, **options)
    for query in QUERIES[:10]:
        expected = [(hit.id, pytest.approx(hit.score, abs=1e-6)) for hit in search([query], 5)[0]]
        assert [(d.id, d.metadata["score"]) for d in langchain.invoke(query)] == expected
        assert [(one.node.node_id, one.score) for one in llama_index.retrieve(query)] == expected


def test_six_thousand_documents_in_one_call(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    retriever = LexSemBridgeRetriever.from_documents(many_documents(), persist_directory=tmp_path, model=tiny)
    assert len(retriever.store) == MANY
    added = retriever.add_documents(many_documents(MANY))
    assert len(added) == MANY
    assert len(retriever.store) == 2 * MANY
    assert retriever.store.bridge.statistics.n_passages == 2 * MANY
    assert retriever.store.text("id11999") == "part P-11999 of pump 68"
    assert len(retriever.invoke("part P-11999")) == 4
    with pytest.raises(Exception, match="max batch size"):  # what the README says of langchain-chroma
        Chroma("theirs", LexSemBridgeEmbeddings(encoder=tiny)).add_texts([d.page_content for d in many_documents()])


def test_six_thousand_nodes_in_one_call(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    documents = [LlamaIndexDocument(text=d.page_content, id_=str(d.id)) for d in many_documents()]
    collection = chromadb.PersistentClient(tmp_path).create_collection("index", embedding_function=None)
    vector_store = ChromaVectorStore(chroma_collection=collection)
    embed_model = LexSemBridgeEmbedding(encoder=tiny, collection=vector_store)
    storage = StorageContext.from_defaults(vector_store=vector_store)
    VectorStoreIndex.from_documents(documents, embed_model=embed_model, storage_context=storage)
    assert collection.count() == MANY
    nodes = [TextNode(text=document.text, id_=f"node-{document.id_}") for document in documents]
    retriever = LlamaIndexRetriever.from_nodes(nodes, persist_dir=tmp_path, model=tiny)
    assert len(retriever.store) == MANY
    assert retriever.store.bridge.statistics.n_passages == MANY
    assert len(retriever.retrieve("part P-11999")) == 2


async def latest_tick(stop: asyncio.Event) -> float:
    """By how much a timer of 5 ms on this event loop is late at most."""
    late = 0.0
    while not stop.is_set():
        due = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        late = max(late, time.perf_counter() - due)
    return late


async def test_twenty_concurrent_queries_leave_the_event_loop_responsive(
    store: PassageStore, encoder: LexSemBridgeEncoder
) -> None:
    langchain, embeddings = LexSemBridgeRetriever(store=store, k=1), LexSemBridgeEmbeddings(collection=store)
    llama_index, embedding = LlamaIndexRetriever(store), LexSemBridgeEmbedding(collection=store)
    twenty = QUERIES[:20]
    texts = [f"passage {number} about part P-{number}" for number in range(64)]
    await langchain.ainvoke("E-4012")  # loaded and fitted
    for call in (embeddings.aembed_query, embedding.aget_query_embedding):
        await call("E-4012")
    works: list[Callable[[], Awaitable[Any]]] = [
        *(
            partial(_all, call, twenty)
            for call in (
                langchain.ainvoke,
                embeddings.aembed_query,
                llama_index.aretrieve,
                embedding.aget_query_embedding,
            )
        ),
        partial(embeddings.aembed_documents, texts),
        partial(embedding.aget_text_embedding_batch, texts),
    ]
    for work in works:
        stop = asyncio.Event()
        timer = asyncio.create_task(latest_tick(stop))
        await work()
        stop.set()
        assert await timer < LATE_SECONDS, work


async def _all(call: Callable[[str], Awaitable[Any]], queries: list[str]) -> None:
    await asyncio.gather(*map(call, queries))
