"""LangChain's own standard tests: nothing skipped, nothing expected to fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.integration_tests.indexer import AsyncDocumentIndexTestSuite, DocumentIndexerTestSuite
from langchain_tests.unit_tests import EmbeddingsUnitTests

from lsb_rag import LexSemBridgeEncoder

from .conftest import DOCUMENTS, QUERY


class OurEmbeddings:
    """What both kinds of embeddings tests are about."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LexSemBridgeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "all-MiniLM-L6-v2"}


class TestEmbeddingsUnit(OurEmbeddings, EmbeddingsUnitTests):
    pass


class TestEmbeddingsIntegration(OurEmbeddings, EmbeddingsIntegrationTests):
    pass


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
        made = LexSemBridgeRetriever.from_documents(DOCUMENTS, persist_directory=tmp_path, model=encoder)
        self.store = made.store

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return LexSemBridgeRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"store": self.store}

    @property
    def retriever_query_example(self) -> str:
        return QUERY


class TestChromaWithOurEmbeddings(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, encoder: LexSemBridgeEncoder) -> Iterator[VectorStore]:
        store = Chroma(f"standard-{uuid4().hex}", LexSemBridgeEmbeddings(encoder=encoder))
        yield store
        store.delete_collection()


class TestDocumentIndex(DocumentIndexerTestSuite):
    @pytest.fixture
    def index(self, tmp_path: Path, encoder: LexSemBridgeEncoder) -> LexSemBridgeRetriever:
        return LexSemBridgeRetriever.from_texts([], persist_directory=tmp_path, model=encoder)


class TestDocumentIndexAsynchronous(AsyncDocumentIndexTestSuite):
    @pytest.fixture
    def index(self, tmp_path: Path, encoder: LexSemBridgeEncoder) -> LexSemBridgeRetriever:
        return LexSemBridgeRetriever.from_texts([], persist_directory=tmp_path, model=encoder)
