"""Promises of every integration: passages plain, queries modulated, and the core retriever's ids and scores."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.documents import Document
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever

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
]
MANY = 6000
"""More than Chroma takes in one call."""
LATE_SECONDS = 0.05


@pytest.fixture(scope="module")
def tiny(tiny_backbone: Path) -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_backbone, device="cpu")


def many_documents(first: int = 0) -> list[Document]:
    return [
        Document(f"part P-{number} of pump {number % 97}", id=f"id{number}", metadata={"number": number})
        for number in range(first, first + MANY)
    ]


def test_langchain_embeddings_are_asymmetric_once_fitted(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    texts = [passage.content for passage in MANUAL]
    fitted = LexSemBridgeEmbeddings(encoder=encoder)
    fitted.fit(texts)
    for embeddings in (fitted, LexSemBridgeEmbeddings(collection=store)):
        for text in texts:
            passage, query = np.array(embeddings.embed_documents([text])[0]), np.array(embeddings.embed_query(text))
            np.testing.assert_allclose(passage, encoder.encode_document(text), atol=1e-6)
            assert passage @ query < 0.999
            np.testing.assert_allclose(np.linalg.norm([passage, query], axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{}, {"rerank": 0.3}, {"rerank": 0.0}, {"strength": 0.2}, {"vanilla": True}, {"candidates": 2}]
)
async def test_langchain_gives_the_core_retrievers_ids_and_scores(
    store: PassageStore, options: dict[str, float]
) -> None:
    core = Retriever(store, **options)  # type: ignore[arg-type]
    langchain = LexSemBridgeRetriever(store=store, k=5, **options)
    for query in QUERIES:
        expected = [(hit.id, hit.score, hit.text) for hit in core.search(query, 5)]
        for documents in (langchain.invoke(query), await langchain.ainvoke(query)):
            assert [(d.id, d.metadata["score"], d.page_content) for d in documents] == expected


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
    retriever = LexSemBridgeRetriever(store=store, k=1)
    embeddings = LexSemBridgeEmbeddings(collection=store)
    texts = [f"passage {number} about part P-{number}" for number in range(64)]
    await retriever.ainvoke("E-4012")  # loaded and fitted
    await embeddings.aembed_query("E-4012")
    for work in (
        lambda: asyncio.gather(*(retriever.ainvoke(QUERIES[n % len(QUERIES)]) for n in range(20))),
        lambda: asyncio.gather(*(embeddings.aembed_query(QUERIES[n % len(QUERIES)]) for n in range(20))),
        lambda: embeddings.aembed_documents(texts),
    ):
        stop = asyncio.Event()
        timer = asyncio.create_task(latest_tick(stop))
        await work()
        stop.set()
        assert await timer < LATE_SECONDS
