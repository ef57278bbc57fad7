"""Promises over every kind of embeddings: sides apart, passages exact, no record changed, one result everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from langchain_openai import OpenAIEmbeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever as LlamaIndexRetriever

from lsb_rag import LexSemBridgeEmbeddingFunction, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone

from ..conftest import MANUAL
from ..embedding_server import EmbeddingServer, embedding_server, vector
from ..store.test_providers import Registered

TEXTS = [passage.content for passage in MANUAL]
IDS = [passage.id for passage in MANUAL]
QUERIES = ["what does E-4012 mean", "TMP_117", "when is lunch", "--defrost frozen valve", "مرحبا"]
INSTRUCTION = "Represent this sentence for searching relevant passages: "
WIDTH = 64


class TwoSided(Embeddings):
    """LangChain embeddings with sides of their own, and vectors longer than 1."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return (3.0 * np.array([vector(text, WIDTH, "document") for text in texts])).tolist()

    def embed_query(self, text: str) -> list[float]:
        return (3.0 * np.array(vector(text, WIDTH, "query"))).tolist()


class TwoSidedModel(BaseEmbedding):
    """The same for LlamaIndex."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return vector(text, WIDTH, "document")

    def _get_query_embedding(self, query: str) -> list[float]:
        return vector(query, WIDTH, "query")

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


@dataclass
class Provider:
    """Somebody's embeddings: what they give, and the objects that we make of them."""

    passages: Callable[[list[str]], Any]
    query: Callable[[str], Any]
    langchain: Any = None
    llama_index: Any = None
    encoder: Any = None


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with embedding_server(WIDTH) as running:
        yield running


def one_text(function: Callable[[str], Any]) -> Callable[[list[str]], Any]:
    return lambda texts: [function(text) for text in texts]


KINDS = ["functions", "chroma", "endpoint", "langchain", "openai", "huggingface", "llama_index", "instructed"]


@pytest.fixture(scope="module")
def provider(request: pytest.FixtureRequest, server: EmbeddingServer) -> Provider:
    kind = request.param
    if kind == "functions":
        two = TwoSided()
        encoder = LexSemBridgeEncoder(two.embed_documents, embed_query=two.embed_query, name="functions")
        return Provider(two.embed_documents, two.embed_query, encoder=encoder)
    if kind == "chroma":
        function = Registered()
        return Provider(
            function,
            lambda text: function.embed_query([text])[0],
            encoder=LexSemBridgeEncoder(function),  # type: ignore[arg-type]
        )
    if kind == "endpoint":
        encoder = LexSemBridgeEncoder(f"openai:small@{server.url}?input_type=query,document")
        return Provider(
            one_text(lambda text: vector(text, WIDTH, "document")),
            lambda text: vector(text, WIDTH, "query"),
            encoder=encoder,
        )
    if kind in ("langchain", "openai", "huggingface"):
        made: Any = {
            "langchain": TwoSided,
            "openai": lambda: OpenAIEmbeddings(
                model="small", base_url=server.url, api_key="sk-secret", check_embedding_ctx_length=False
            ),
            "huggingface": lambda: HuggingFaceEmbeddings(
                model_name=str(embedded_backbone()), query_encode_kwargs={"prompt": INSTRUCTION}
            ),
        }[kind]()
        return Provider(made.embed_documents, made.embed_query, langchain=made)
    model: Any = (
        TwoSidedModel()
        if kind == "llama_index"
        else HuggingFaceEmbedding(model_name=str(embedded_backbone()), query_instruction=INSTRUCTION)
    )
    return Provider(model.get_text_embedding_batch, model.get_query_embedding, llama_index=model)


every_kind = pytest.mark.parametrize("provider", KINDS, indirect=True)


def own_encoder(provider: Provider) -> LexSemBridgeEncoder:
    if provider.langchain is not None:
        return LexSemBridgeEmbeddings(embeddings=provider.langchain).load_encoder()
    if provider.llama_index is not None:
        return LexSemBridgeEmbedding(embed_model=provider.llama_index).load_encoder()
    return provider.encoder


def unit(vectors: Any) -> Any:
    rows = np.asarray(vectors, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def filled(folder: Path, provider: Provider) -> chromadb.Collection:
    client = chromadb.PersistentClient(folder)
    made = client.create_collection("theirs", metadata={"hnsw:space": "cosine"}, embedding_function=None)
    made.add(ids=IDS, documents=TEXTS, embeddings=np.asarray(provider.passages(TEXTS), np.float32))
    return made


def records(collection: chromadb.Collection) -> Any:
    found = collection.get(include=["embeddings", "documents", "metadatas"])
    return found["ids"], found["documents"], found["metadatas"], np.asarray(found["embeddings"]).tolist()


@every_kind
def test_sides_are_the_providers_own(provider: Provider) -> None:
    encoder = own_encoder(provider)
    np.testing.assert_allclose(encoder.encode_document(TEXTS), provider.passages(TEXTS), atol=1e-6)
    for query in QUERIES:
        np.testing.assert_allclose(encoder.embed_query(query), unit(provider.query(query)), atol=1e-6)
    asymmetric = unit(provider.query(TEXTS[0])) @ unit(provider.passages(TEXTS[:1]))[0] < 0.99
    assert asymmetric == (provider.langchain is None or not isinstance(provider.langchain, OpenAIEmbeddings))


@every_kind
def test_one_result_everywhere_and_no_record_changed(provider: Provider, tmp_path: Path) -> None:
    collection = filled(tmp_path, provider)
    before = records(collection)
    encoder = own_encoder(provider)
    store = PassageStore.from_collection(collection, encoder)
    assert store.verify().by == "sample"
    in_langchain = (
        LexSemBridgeRetriever.from_vectorstore(Chroma("theirs", provider.langchain, str(tmp_path)), k=3)
        if provider.langchain is not None
        else LexSemBridgeRetriever.from_chroma(collection, model=encoder, k=3)
    )
    in_llama_index = LlamaIndexRetriever.from_chroma(
        collection, model=encoder if provider.llama_index is None else provider.llama_index, similarity_top_k=3
    )
    for query in QUERIES:
        expected = [(hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in Retriever(store).search(query, 3)]
        assert [(found.id, found.metadata["score"]) for found in in_langchain.invoke(query)] == expected
        assert [(found.node.node_id, found.score) for found in in_llama_index.retrieve(query)] == expected
        plain = unit(before[3]) @ unit(provider.query(query))
        vanilla = Retriever(store, vanilla=True).search(query, 3)
        assert [hit.cosine for hit in vanilla] == pytest.approx(sorted(plain, reverse=True)[:3], abs=1e-5)
    assert Retriever(store).search("what does E-4012 mean", 1)[0].id == "pump"
    assert records(collection) == before


@every_kind
def test_a_query_is_one_request(provider: Provider, tmp_path: Path, server: EmbeddingServer) -> None:
    store = PassageStore.from_collection(filled(tmp_path, provider), own_encoder(provider))
    retriever = Retriever(store)
    retriever.search("warm up")
    asked: list[str] = []
    backbone: Any = store.encoder.backbone
    for name in ("_embed_query", "_embed_queries"):
        if function := getattr(backbone, name):
            setattr(backbone, name, lambda given, function=function: asked.append(given) or function(given))
    query = "what does E-4013 mean?"
    retriever.search(query)
    Retriever(store, vanilla=True).search(query)
    Retriever(store, vanilla=True, rerank=True).search(query)
    retriever.search_batch([query, query])
    retriever.explain(query, "pump")
    assert len(asked) == 1


def test_chromas_own_interface_gives_the_same(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    function = LexSemBridgeEmbeddingFunction("parts", embedding_function=Registered())
    collection = client.create_collection("parts", embedding_function=function)
    collection.add(ids=IDS, documents=TEXTS)
    store = PassageStore.from_collection(collection, LexSemBridgeEncoder(Registered()))  # type: ignore[arg-type]
    for query in QUERIES:
        found = collection.query(query_texts=[query], n_results=3)
        expected = Retriever(store, rerank=False).search(query, 3)
        assert found["ids"][0] == [hit.id for hit in expected]
        assert found["distances"] is not None
        assert [1 - distance for distance in found["distances"][0]] == pytest.approx(
            [hit.cosine for hit in expected], abs=1e-5
        )
