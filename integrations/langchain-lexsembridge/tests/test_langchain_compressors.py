"""The rerank as a document compressor, over any retriever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_chroma import Chroma
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_lexsembridge import LexSemBridgeRerank, LexSemBridgeRetriever

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import FingerprintMismatchError, InvalidInputError, InvalidTypeError

from .conftest import DOCUMENTS, QUERY
from .test_langchain_providers import WordEmbeddings


@pytest.fixture(params=["chroma", "faiss"])
def vectorstore(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "faiss":
        return FAISS.from_documents(DOCUMENTS, WordEmbeddings())
    return Chroma.from_documents(DOCUMENTS, WordEmbeddings(), persist_directory=str(tmp_path / "db"))


def test_over_a_vector_store_it_scores_as_the_retriever(vectorstore: Any) -> None:
    rerank = LexSemBridgeRerank.from_vectorstore(vectorstore, top_n=3)
    compression = ContextualCompressionRetriever(
        base_compressor=rerank, base_retriever=vectorstore.as_retriever(search_kwargs={"k": 5})
    )
    compression.invoke("lunch")  # which counts the words, and compares a few vectors
    calls = vectorstore.embeddings.calls
    expected = LexSemBridgeRetriever.from_vectorstore(vectorstore, k=3).invoke(QUERY)
    calls.clear()
    found = compression.invoke(QUERY)
    assert [one.id for one in found] == [one.id for one in expected]
    assert [one.metadata["score"] for one in found] == pytest.approx([one.metadata["score"] for one in expected])
    assert all(side == "query" for side, _ in calls)


async def test_over_any_retriever(vectorstore: Any) -> None:
    ensemble = EnsembleRetriever(
        retrievers=[RunnableLambda(lambda query: DOCUMENTS[::-1]), vectorstore.as_retriever()], weights=[0.5, 0.5]
    )
    for rerank in (
        LexSemBridgeRerank.from_vectorstore(vectorstore, top_n=2),
        LexSemBridgeRerank(embeddings=WordEmbeddings(), top_n=2),
    ):
        compression = ContextualCompressionRetriever(base_compressor=rerank, base_retriever=ensemble)
        best = compression.invoke(QUERY)
        assert best[0].page_content.startswith("E-4012")
        assert [one.metadata["rank"] for one in best] == [1, 2]
        assert await compression.ainvoke(QUERY) == best


def test_the_documents_given_stay_as_they_are() -> None:
    documents = [Document("E-4012: blocked.", metadata={"page": 7}), Document(""), Document("Lunch at noon.")]
    found = LexSemBridgeRerank(embeddings=WordEmbeddings(), top_n=None).compress_documents(documents, QUERY)
    assert [one.page_content for one in found] == ["E-4012: blocked.", "Lunch at noon."]
    assert set(found[0].metadata) == {"page", "score", "confidence", "rank"}
    assert documents[0].metadata == {"page": 7}
    assert LexSemBridgeRerank(embeddings=WordEmbeddings()).compress_documents([], QUERY) == []


def test_by_default_the_embedded_model(encoder: LexSemBridgeEncoder) -> None:
    found = [LexSemBridgeRerank(embeddings=one).compress_documents(DOCUMENTS, QUERY) for one in (None, encoder)]
    assert found[0][0].id == found[1][0].id == "pump"


def test_mistakes(vectorstore: Any, tmp_path: Path) -> None:
    store = LexSemBridgeRetriever.from_vectorstore(vectorstore).store
    with pytest.raises(ValueError, match="Give embeddings= or store=, not both"):
        LexSemBridgeRerank(embeddings=WordEmbeddings(), store=store)
    with pytest.raises(InvalidTypeError, match=r"A vector store goes to from_vectorstore\(\)"):
        LexSemBridgeRerank(store=vectorstore)
    with pytest.raises(InvalidTypeError, match="takes a hub name or path, a LexSemBridgeEncoder or LangChain"):
        LexSemBridgeRerank(embeddings=7)
    with pytest.raises(InvalidTypeError, match="not the class WordEmbeddings"):
        LexSemBridgeRerank(embeddings=WordEmbeddings)
    with pytest.raises(InvalidTypeError, match="Give a list of documents, then the query"):
        LexSemBridgeRerank(store=store).compress_documents(QUERY, DOCUMENTS)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        LexSemBridgeRerank(store=store).compress_documents(DOCUMENTS, " ")
    with pytest.raises(FingerprintMismatchError):
        LexSemBridgeRerank.from_vectorstore(vectorstore, model=WordEmbeddings(32)).compress_documents(DOCUMENTS, QUERY)
    assert "embeddings" not in repr(LexSemBridgeRerank(embeddings=WordEmbeddings()))
