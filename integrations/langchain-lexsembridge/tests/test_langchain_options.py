"""Copies, diversity, ids for an ensemble, batches, and LangChain's `index()`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_classic.retrievers import EnsembleRetriever
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_lexsembridge import LexSemBridgeRetriever

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError

from .conftest import DOCUMENTS, QUERY
from .test_langchain_providers import WordEmbeddings
from .test_langchain_retrievers import ids

COPIES = [
    *(Document(id=f"copy-{n}", page_content="E-4012:  the inlet is blocked." + " " * n) for n in range(6)),
    Document(id="drain", page_content="E-4012 is cleared by opening the drain."),
    Document(id="lunch", page_content="Lunch is served at noon."),
]


def test_copies_are_collapsed_on_request(encoder: LexSemBridgeEncoder) -> None:
    retriever = LexSemBridgeRetriever.from_documents(COPIES, model=encoder, k=5)
    assert sum(str(id).startswith("copy") for id in ids(retriever.invoke(QUERY))) >= 4
    for options in ({}, {"vanilla": True}, {"rerank": False}):
        collapsed = retriever.model_copy(update={"collapse": True, **options})
        assert sorted(map(str, ids(collapsed.invoke(QUERY)))) == ["copy-0", "drain", "lunch"]


def test_maximal_marginal_relevance(encoder: LexSemBridgeEncoder) -> None:
    retriever = LexSemBridgeRetriever.from_documents(COPIES, model=encoder, k=3)
    best = retriever.invoke(QUERY)
    diverse = retriever.model_copy(update={"search_type": "mmr"})
    assert ids(diverse.invoke(QUERY))[0] == best[0].id
    assert sorted(map(str, ids(diverse.invoke(QUERY)))) == ["copy-0", "drain", "lunch"]
    assert ids(diverse.model_copy(update={"lambda_mult": 1.0}).invoke(QUERY)) == ids(best)
    assert set(ids(diverse.model_copy(update={"fetch_k": 3}).invoke(QUERY))) == set(ids(best))
    with pytest.raises(ValueError, match="search_type"):
        LexSemBridgeRetriever(store=retriever.store, search_type="diverse")


def test_ids_for_an_ensemble(retriever: LexSemBridgeRetriever) -> None:
    with_ids = retriever.model_copy(update={"include_id": True})
    assert [one.metadata["id"] for one in with_ids.invoke(QUERY)] == ids(retriever.invoke(QUERY))
    ensemble = EnsembleRetriever(
        retrievers=[with_ids, with_ids.model_copy(update={"vanilla": True})], weights=[0.5, 0.5], id_key="id"
    )
    found = ids(ensemble.invoke(QUERY))
    assert found[0] == "pump"
    assert len(found) == len(set(found))


async def test_the_queries_of_a_batch_are_embedded_once() -> None:
    embeddings = WordEmbeddings()
    retriever = LexSemBridgeRetriever.from_documents(DOCUMENTS, embeddings, k=2)
    queries = [f"E-4012 {n}" for n in range(150)]
    one_by_one = [ids(retriever.invoke(query)) for query in queries[:3]]
    embeddings.calls.clear()
    assert [ids(found) for found in retriever.batch(queries)][:3] == one_by_one
    assert len(embeddings.calls) == 147  # LangChain embeds queries one by one, and each once
    assert [ids(found) for found in await retriever.abatch(queries[:3])] == one_by_one
    with_errors = retriever.batch(["lunch", " "], return_exceptions=True)
    assert ids(with_errors[0])[0] == "lunch"
    assert isinstance(with_errors[1], InvalidInputError)
    with pytest.raises(InvalidInputError):
        retriever.batch(["lunch", " "])
    assert retriever.batch([]) == []


def test_a_batch_over_a_model_that_runs_here(encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever = LexSemBridgeRetriever.from_documents(DOCUMENTS, model=encoder, k=2)
    calls: list[int] = []
    real = type(encoder.backbone).embed_queries

    def counted(self: Any, texts: Any, **options: Any) -> Any:
        calls.append(len(texts))
        return real(self, texts, **options)

    monkeypatch.setattr(type(encoder.backbone), "embed_queries", counted)
    queries = [f"question {n}" for n in range(10)]
    found = retriever.batch(queries)
    assert max(calls) == 10
    assert [ids(one) for one in found] == [ids(retriever.invoke(query)) for query in queries]


def test_langchains_index_writes_into_the_collection(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    retriever = LexSemBridgeRetriever.from_texts([], persist_directory=tmp_path, model=encoder, k=1)
    manager = InMemoryRecordManager("manual")
    manager.create_schema()
    documents = [Document("E-4012: the inlet is blocked.", metadata={"source": "pump"}), DOCUMENTS[-1]]
    options: Any = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    documents[1].metadata["source"] = "lunch"
    counts = index(documents, manager, retriever, **options)
    assert (counts["num_added"], counts["num_deleted"]) == (2, 0)
    assert index(documents, manager, retriever, **options)["num_skipped"] == 2
    assert retriever.invoke("E-4012")[0].metadata["source"] == "pump"
    documents[0] = Document("E-4013: the outlet is blocked.", metadata={"source": "pump"})
    counts = index(documents, manager, retriever, **options)
    assert (counts["num_added"], counts["num_deleted"], counts["num_skipped"]) == (1, 1, 1)
    assert retriever.invoke("E-4013")[0].page_content == documents[0].page_content
    assert len(retriever.store) == 2


def test_what_delete_gives(retriever: LexSemBridgeRetriever) -> None:
    some = retriever.delete(["valve", "never there"])
    assert not some
    assert some == {"num_deleted": 1, "succeeded": ["valve"], "failed": [], "num_failed": 0}
    assert retriever.delete(["lunch"])
    assert [one.id for one in retriever.get(["pump", "lunch"])] == ["pump"]
