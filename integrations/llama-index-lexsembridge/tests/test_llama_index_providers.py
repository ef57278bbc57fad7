"""Over any embed_model of LlamaIndex's: OpenAI's class against a server on loopback, Hugging Face's, and small ones."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import openai
import pytest
from llama_index.core import Settings, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import BaseModel, PrivateAttr
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.schema import MetadataMode, TextNode
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.errors import BackboneError, FingerprintMismatchError, InvalidInputError, InvalidTypeError
from tests.embedding_server import EmbeddingServer, embedding_server, inputs, vector

from .conftest import QUERY, TEXTS, manual_nodes

KEY = "sk-nobody-may-see-this"
DIMENSION = 64
PROBES = 2
"""Requests that tell who a model is."""
SAMPLE = 1


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server(DIMENSION) as running:
        yield running


@pytest.fixture
def of_openai(server: EmbeddingServer) -> OpenAIEmbedding:
    return OpenAIEmbedding(model_name="provider-3", api_key=KEY, api_base=server.url, max_retries=0)


class Small(BaseEmbedding):
    """Gives queries and texts vectors of different sides; synchronous alone, as most small classes are."""

    dimension: int = DIMENSION
    length: float = 1.0
    text_instruction: str = ""
    query_instruction: str = ""
    _asked: list[tuple[str, list[str]]] = PrivateAttr(default_factory=list)
    _threads: list[str] = PrivateAttr(default_factory=list)

    def _vector(self, side: str, texts: list[str]) -> list[list[float]]:
        self._asked.append((side, texts))
        self._threads.append(threading.current_thread().name)
        return [(self.length * np.array(vector(text, self.dimension, side))).tolist() for text in texts]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._vector("query", [self.query_instruction + query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._vector("document", [self.text_instruction + text for text in texts])

    def asked(self, side: str) -> list[str]:
        """What was asked for since the last time, but for the texts that tell who a model is."""
        texts = [text for one, batch in self._asked if one == side for text in batch]
        self._asked.clear()
        return texts


class Awaiting(Small):
    """Asynchronous methods that are."""

    async def _aget_query_embedding(self, query: str) -> list[float]:
        await asyncio.sleep(0)
        return self._vector("query", [query])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        await asyncio.sleep(0)
        return self._vector("document", [text])[0]


LIMITED = "rate_limiter" in BaseEmbedding.model_fields
"""Whether this version of LlamaIndex has limiters."""


class Limiter(import_module("llama_index.core.rate_limiter").BaseRateLimiter if LIMITED else BaseModel):  # type: ignore[misc]
    """Counts."""

    acquired: int = 0

    def acquire(self) -> None:
        self.acquired += 1

    async def async_acquire(self) -> None:
        self.acquired += 1


def chroma(folder: Path, space: str | None = None, name: str = "manual") -> ChromaVectorStore:
    metadata = {"hnsw:space": space} if space else None
    client = chromadb.PersistentClient(folder)
    return ChromaVectorStore(chroma_collection=client.get_or_create_collection(name, metadata=metadata))


def index_on(
    vector_store: ChromaVectorStore, embed_model: Any, nodes: list[TextNode] | None = None
) -> VectorStoreIndex:
    storage = StorageContext.from_defaults(vector_store=vector_store)
    return VectorStoreIndex(
        manual_nodes() if nodes is None else nodes, embed_model=embed_model, storage_context=storage
    )


def records(vector_store: ChromaVectorStore) -> Any:
    kept = vector_store._collection.get(include=["documents", "metadatas", "embeddings"])
    vectors = np.asarray(kept["embeddings"]).tolist()
    return vector_store._collection.metadata, kept["ids"], kept["documents"], kept["metadatas"], vectors


def ids(nodes: list[Any]) -> list[str]:
    return [node.node.node_id for node in nodes]


def unit(values: Any) -> Any:
    return np.asarray(values) / np.linalg.norm(values)


def embedded() -> list[str]:
    return [node.get_content(metadata_mode=MetadataMode.EMBED) for node in manual_nodes()]


# -- an index that is there -------------------------------------------------------------------------------------------


def test_the_index_they_have_whatever_embeds_it(
    tmp_path: Path, server: EmbeddingServer, of_openai: OpenAIEmbedding
) -> None:
    index = index_on(chroma(tmp_path), of_openai)
    before = records(index.vector_store)
    server.requests.clear()
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=3)
    assert ids(retriever.retrieve(QUERY))[0] == "pump"
    assert len(server.requests) == PROBES + SAMPLE + 1
    server.requests.clear()
    for again in (retriever, LexSemBridgeRetriever.from_index(index, rerank=False, similarity_top_k=3)):
        assert len(again.retrieve(QUERY)) == 3
    assert server.requests == []
    assert ids(retriever.retrieve("E-4013"))[0] == "drain"
    assert [inputs(body) for _, body in server.requests] == [["E-4013"]]
    assert records(index.vector_store) == before
    assert retriever.store.encoder.name == "provider-3"


def test_one_encoder_for_an_index_and_none_that_outlives_it(tmp_path: Path) -> None:
    embed_model = Small()
    index = index_on(chroma(tmp_path), embed_model)
    for _ in range(3):  # a retriever for each question
        LexSemBridgeRetriever.from_index(index).retrieve(QUERY)
    assert embed_model.asked("query").count(QUERY) == 1
    one = LexSemBridgeRetriever.from_index(index).store.encoder
    assert LexSemBridgeRetriever.from_chroma(index.vector_store, model=embed_model).store.encoder is one
    gone = weakref.ref(embed_model)
    del index, embed_model, one
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
@pytest.mark.parametrize("length", [1.0, 7.5])
def test_their_vectors_their_scores(tmp_path: Path, space: str, length: float) -> None:
    embed_model = Small(length=length)
    vector_store = chroma(tmp_path, space)
    index = index_on(vector_store, embed_model)
    plain = LexSemBridgeRetriever.from_index(index, vanilla=True, similarity_top_k=5).retrieve(QUERY)
    query = unit(embed_model.get_query_embedding(QUERY))
    for one in plain:
        stored = vector_store._collection.get([one.node.node_id], include=["embeddings"])["embeddings"][0]
        assert one.score == pytest.approx(float(unit(stored) @ query), abs=1e-5)
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=5)
    assert ids(retriever.retrieve(QUERY))[0] == "pump"
    expected = Retriever(PassageStore.from_collection(vector_store, retriever.store.encoder)).search(QUERY, 5)
    assert [(one.node.node_id, one.score) for one in retriever.retrieve(QUERY)] == [(h.id, h.score) for h in expected]
    retriever.add_nodes([TextNode(id_="more", text="E-7070: the belt is torn.")])
    stored = vector_store._collection.get(["more"], include=["embeddings"])["embeddings"][0]
    np.testing.assert_allclose(stored, embed_model.get_text_embedding("E-7070: the belt is torn."), rtol=1e-5)
    assert ids(retriever.retrieve("E-7070"))[0] == "more"


@pytest.mark.parametrize("dimension", [1536, 3072])
def test_wide_vectors(tmp_path: Path, dimension: int) -> None:
    index = index_on(chroma(tmp_path), Small(dimension=dimension))
    assert ids(LexSemBridgeRetriever.from_index(index).retrieve("ZX81"))[0] == "valve"


def test_hugging_face_with_instructions(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    embed_model = HuggingFaceEmbedding(
        str(embedded_backbone()),
        device="cpu",
        query_instruction="Represent this sentence for searching relevant passages: ",
        text_instruction="Represent this passage: ",
    )
    vector_store = chroma(tmp_path)
    index = index_on(vector_store, embed_model)
    retriever = LexSemBridgeRetriever.from_index(index)
    assert ids(retriever.retrieve(QUERY))[0] == "pump"
    over = retriever.store.encoder
    np.testing.assert_allclose(over.embed_query(QUERY), embed_model.get_query_embedding(QUERY), atol=1e-6)
    assert (over.max_length, over.tokenizer is not None) == (256, True)
    by_name = LexSemBridgeEmbedding(encoder=encoder, collection=vector_store)
    with pytest.raises(FingerprintMismatchError, match="an instruction before its texts"):
        by_name.get_query_embedding(QUERY)
    both = LexSemBridgeEmbedding(embed_model=embed_model, collection=vector_store, strength=0)
    np.testing.assert_allclose(both.get_query_embedding(QUERY), embed_model.get_query_embedding(QUERY), atol=1e-6)
    assert both.get_text_embedding_batch(embedded()) == embed_model.get_text_embedding_batch(embedded())


async def test_what_cannot_await_runs_in_threads_and_what_can_on_the_loop(tmp_path: Path) -> None:
    here = threading.current_thread().name
    for number, (embed_model, on_the_loop) in enumerate(((Small(), False), (Awaiting(), True))):
        index = index_on(chroma(tmp_path / str(number)), embed_model)
        retriever = LexSemBridgeRetriever.from_index(index)
        expected = retriever.retrieve(QUERY)
        over = LexSemBridgeEmbedding(embed_model=embed_model, collection=index.vector_store)
        over.load_encoder()
        embed_model._threads.clear()
        await retriever.aretrieve("E-4013")
        await over.aget_query_embedding("E-4012 or E-4013")
        await over.aget_text_embedding_batch(["a text"])
        assert {thread == here for thread in embed_model._threads} == {on_the_loop}
        assert len(embed_model._threads) == 3
        assert await retriever.aretrieve(QUERY) == expected


async def test_the_asynchronous_client_of_openai_is_used(
    tmp_path: Path, server: EmbeddingServer, of_openai: OpenAIEmbedding
) -> None:
    index = index_on(chroma(tmp_path), of_openai)
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=1)
    over = LexSemBridgeEmbedding(embed_model=of_openai, collection=index.vector_store)
    over.load_encoder()
    of_openai._client = None
    server.requests.clear()
    found = await asyncio.gather(retriever.aretrieve("E-4013"), retriever.aretrieve("ZX81"))
    assert [ids(one) for one in found] == [["drain"], ["valve"]]
    vectors = await over.aget_text_embedding_batch(["one", "two"])
    assert len(server.requests) == 3
    assert of_openai._client is None
    assert vectors == of_openai.get_text_embedding_batch(["one", "two"])


@pytest.mark.skipif(not LIMITED, reason="this version of LlamaIndex has no limiters")
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_their_cache_and_their_limiter(tmp_path: Path, asynchronous: bool) -> None:
    limiter, cache = Limiter(), SimpleKVStore()
    embed_model = Awaiting(embeddings_cache=cache, rate_limiter=limiter)
    index = index_on(chroma(tmp_path), embed_model)
    over = LexSemBridgeEmbedding(embed_model=embed_model, collection=index.vector_store, strength=0)
    over.load_encoder()
    text, expected = embedded()[0], unit(vector(embedded()[0], DIMENSION, "query"))
    asked, limited = embed_model._asked, limiter.acquired
    asked.clear()
    if asynchronous:
        query, again = await over.aget_query_embedding(text), await over.aget_text_embedding_batch([text])
    else:
        query, again = over.get_query_embedding(text), over.get_text_embedding_batch([text])
    np.testing.assert_allclose(query, expected, atol=1e-6)  # a text of the same words is in the cache
    np.testing.assert_allclose(again[0], vector(text, DIMENSION, "document"), atol=1e-6)
    assert asked == [("query", [text])]
    assert limiter.acquired > limited
    assert cache.get(text, collection="embeddings") is not None


def test_a_client_made_by_a_query_that_passes_the_cache_is_kept(of_openai: OpenAIEmbedding) -> None:
    of_openai.embeddings_cache = SimpleKVStore()
    over = LexSemBridgeEmbedding(embed_model=of_openai)
    over.get_query_embedding(QUERY)
    client = of_openai._client
    assert client is not None
    over.get_query_embedding("E-4013")
    assert of_openai._client is client


# -- as embed_model ---------------------------------------------------------------------------------------------------


def test_over_openai_texts_are_theirs_and_queries_modulated(
    tmp_path: Path, server: EmbeddingServer, of_openai: OpenAIEmbedding
) -> None:
    vector_store = chroma(tmp_path)
    over = LexSemBridgeEmbedding(embed_model=of_openai, collection=vector_store)
    assert (over.model_name, over.embed_batch_size, over.num_workers) == ("provider-3", 100, None)
    assert "provider-3" in str(over.to_dict())
    assert server.requests == []
    index = index_on(vector_store, over)
    assert over.get_text_embedding_batch(embedded()) == of_openai.get_text_embedding_batch(embedded())
    assert index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0].node.node_id == "pump"
    server.requests.clear()
    assert over.get_query_embedding(QUERY) != of_openai.get_query_embedding(QUERY)
    assert len(server.requests) == 1  # of the plain one
    vanilla = LexSemBridgeEmbedding(embed_model=of_openai, collection=vector_store, vanilla=True)
    np.testing.assert_allclose(vanilla.get_query_embedding(QUERY), of_openai.get_query_embedding(QUERY), atol=1e-6)
    found = LexSemBridgeRetriever.from_index(index, rerank=False)
    assert found.store.encoder is over.load_encoder() is vanilla.load_encoder()
    np.testing.assert_allclose(found._retriever.embed(QUERY), over.get_query_embedding(QUERY), atol=1e-6)


def test_queries_are_asked_anew_where_that_is_said() -> None:
    embed_model = Small()
    for cached, times in ((True, 1), (False, 3)):
        over = LexSemBridgeEmbedding(embed_model=embed_model, cache_queries=cached)
        over.load_encoder()
        embed_model.asked("query")
        for _ in range(3):
            over.get_query_embedding(QUERY)
        assert embed_model.asked("query") == [QUERY] * times


def test_keys_stay_where_they_are(
    server: EmbeddingServer, of_openai: OpenAIEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-environment")
    of_openai.api_base = server.url.replace("://", "://me:hidden-4@") + "?api-key=hidden-5"
    of_openai.default_headers = {"Authorization": "Bearer hidden-1"}
    of_openai.additional_kwargs = {
        "user": "me",
        "extra_headers": {"X-Key": "hidden-2"},
        "extra_body": {"token": "hidden-3"},
    }
    over = LexSemBridgeEmbedding(embed_model=of_openai, strength=0.3)
    written = json.dumps(over.to_dict())
    for secret in (KEY, "hidden", "sk-of-the-environment"):
        assert (
            secret
            not in written + repr(over) + str(over) + str(getattr(over, "to_payload", dict)()) + over.model_dump_json()
        )
    del of_openai.additional_kwargs["extra_headers"]
    rebuilt = LexSemBridgeEmbedding.from_dict(json.loads(written))
    assert isinstance(rebuilt.embed_model, OpenAIEmbedding)
    assert rebuilt.embed_model.api_key == "sk-of-the-environment"
    assert (rebuilt.strength, rebuilt.embed_model.api_base, rebuilt.embed_model.max_retries) == (0.3, server.url, 0)
    assert rebuilt.embed_model.additional_kwargs["user"] == "me"
    assert rebuilt.to_dict() == over.to_dict()
    again = LexSemBridgeEmbedding.from_dict(json.loads(written), embed_model=of_openai, strength=0.1)
    assert (again.embed_model is of_openai, again.strength) == (True, 0.1)
    small = LexSemBridgeEmbedding(embed_model=Small()).to_dict()
    with pytest.raises(InvalidInputError, match=r"from_dict\(data, embed_model=...\)"):
        LexSemBridgeEmbedding.from_dict(small)
    assert server.requests == []


def test_the_ingestion_cache_is_keyed_by_what_changes_texts() -> None:
    def key(embed_model: BaseEmbedding, **options: Any) -> str:
        return get_transformation_hash(manual_nodes(), LexSemBridgeEmbedding(embed_model=embed_model, **options))

    of = key(Small())
    same = [
        key(Small(query_instruction="query: ")),
        key(Small(embed_batch_size=3, num_workers=2, embeddings_cache=SimpleKVStore())),
        *([key(Small(rate_limiter=Limiter()))] if LIMITED else []),
        key(Small(), cache_queries=False, strength=0.1, vanilla=True, embed_batch_size=4),
    ]
    assert set(same) == {of}
    others = [key(Small(text_instruction="text: ")), key(Small(model_name="other")), key(Small(dimension=8))]
    others.append(key(OpenAIEmbedding(model_name="a", api_key=KEY)))
    others.append(key(OpenAIEmbedding(model_name="a", api_key=KEY, dimensions=16)))
    others.append(key(OpenAIEmbedding(model_name="a", api_key=KEY, api_base="http://127.0.0.1:1/v1")))
    assert len({of, *others}) == len(others) + 1
    assert key(OpenAIEmbedding(model_name="a", api_key="sk-other", max_retries=3, timeout=9)) == others[3]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_in_an_ingestion_pipeline(tmp_path: Path, asynchronous: bool) -> None:
    embed_model, vector_store = Small(), chroma(tmp_path)
    over = LexSemBridgeEmbedding(embed_model=embed_model, collection=vector_store)
    pipeline = IngestionPipeline(transformations=[over], vector_store=vector_store)
    made = await pipeline.arun(nodes=manual_nodes()) if asynchronous else pipeline.run(nodes=manual_nodes())
    assert [node.embedding for node in made] == [pytest.approx(vector(t, DIMENSION, "document")) for t in embedded()]
    embed_model._asked.clear()
    again = await pipeline.arun(nodes=manual_nodes()) if asynchronous else pipeline.run(nodes=manual_nodes())
    assert [node.embedding for node in again] == [node.embedding for node in made]
    assert embed_model._asked == []
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=over)
    assert ids(LexSemBridgeRetriever.from_index(index).retrieve("E-4013"))[0] == "drain"


def test_an_index_that_is_saved_and_loaded(tmp_path: Path) -> None:
    embed_model = Small()
    over = LexSemBridgeEmbedding(embed_model=embed_model)
    VectorStoreIndex(manual_nodes(), embed_model=over).storage_context.persist(tmp_path / "index")
    over.save(tmp_path / "bridge")
    storage = StorageContext.from_defaults(persist_dir=str(tmp_path / "index"))
    loaded = LexSemBridgeEmbedding.load(tmp_path / "bridge", embed_model=Small())
    index = load_index_from_storage(storage, embed_model=loaded)
    np.testing.assert_allclose(loaded.get_query_embedding(QUERY), over.get_query_embedding(QUERY), atol=1e-6)
    assert index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0].node.node_id == "pump"
    with pytest.raises(FingerprintMismatchError, match="cosine"):
        LexSemBridgeEmbedding.load(tmp_path / "bridge", embed_model=Small(text_instruction="other: "))


def test_in_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = Small()
    index_on(chroma(tmp_path), None)
    index = VectorStoreIndex.from_vector_store(chroma(tmp_path))
    assert ids(LexSemBridgeRetriever.from_index(index).retrieve("ZX81"))[0] == "valve"
    Settings.embed_model = LexSemBridgeEmbedding(embed_model=Settings.embed_model, collection=chroma(tmp_path))
    index = VectorStoreIndex.from_vector_store(chroma(tmp_path))
    assert index.as_retriever().retrieve("ZX81")[0].node.node_id == "valve"


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_tokens_are_counted_once(tmp_path: Path, asynchronous: bool) -> None:
    tokens = TokenCountingHandler(tokenizer=str.split)
    manager = CallbackManager([tokens])
    embed_model = Awaiting(callback_manager=manager)
    over = LexSemBridgeEmbedding(embed_model=embed_model, callback_manager=manager)
    over.load_encoder()
    tokens.reset_counts()
    if asynchronous:
        await over.aget_text_embedding_batch(["one two", "three"])
        await over.aget_query_embedding("four five")
    else:
        over.get_text_embedding_batch(["one two", "three"])
        over.get_query_embedding("four five")
    assert [event.prompt for event in tokens.embedding_token_counts] == ["one two", "three", "four five"]
    retriever = LexSemBridgeRetriever.from_index(index_on(chroma(tmp_path), embed_model))
    embed_model.callback_manager = manager  # the index gave it that of the Settings
    tokens.reset_counts()
    retriever.retrieve("six seven")  # their own event, of their own request
    assert [event.prompt for event in tokens.embedding_token_counts] == ["six seven"]


def test_pickles_and_copies(tmp_path: Path, server: EmbeddingServer, of_openai: OpenAIEmbedding) -> None:
    index = index_on(chroma(tmp_path), of_openai)
    over = LexSemBridgeEmbedding(embed_model=of_openai, collection="manual", persist_dir=tmp_path)
    over.fit_collection(index.vector_store)
    expected = over.get_query_embedding(QUERY)
    again = pickle.loads(pickle.dumps(over))  # noqa: S301 - our own
    assert again.get_query_embedding(QUERY) == pytest.approx(expected)
    assert again.load_encoder().backbone._embed_texts.__self__._embed_model is again.embed_model
    for copied in (copy.deepcopy(over), over.model_copy(), over.model_copy(deep=True)):
        server.requests.clear()
        assert copied.get_query_embedding(QUERY) == pytest.approx(expected)
        assert copied.embed_model is of_openai
    retriever = LexSemBridgeRetriever.from_index(index)
    elsewhere = pickle.loads(pickle.dumps(retriever))  # noqa: S301 - our own
    assert elsewhere.retrieve(QUERY) == retriever.retrieve(QUERY)

    class Local(Small):
        """Cannot be pickled: nobody else finds it."""

    for unpicklable in (
        LexSemBridgeEmbedding(embed_model=Local()),
        LexSemBridgeEmbedding(embed_model=Local(), strength=0),
    ):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(unpicklable)


def test_an_encoder_over_functions_costs_nothing_to_make() -> None:
    embed_model = Small()
    encoder = LexSemBridgeEncoder(embed_model._get_text_embeddings, name="functions")
    over = LexSemBridgeEmbedding(encoder=encoder, strength=0.2)
    data = over.to_dict()
    assert embed_model._asked == []
    assert data["fingerprint"] == {"backbone": "functions", "kind": "functions"}
    assert get_transformation_hash([], over) != get_transformation_hash([], LexSemBridgeEmbedding("functions"))
    again = LexSemBridgeEmbedding.from_dict(data, encoder=encoder)
    assert (again.strength, again.load_encoder()) == (0.2, encoder)
    assert again.get_query_embedding(QUERY) == over.get_query_embedding(QUERY)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_their_errors_reach_the_caller_and_what_is_stored_stays(
    tmp_path: Path, server: EmbeddingServer, of_openai: OpenAIEmbedding
) -> None:
    retriever = LexSemBridgeRetriever.from_nodes([], persist_dir=tmp_path, model=of_openai)
    server.fail_next(400)
    with pytest.raises(openai.BadRequestError, match="told to fail"):
        retriever.retrieve(QUERY)
    nodes = [TextNode(id_=f"n{number}", text=f"E-{number}: note number {number}.") for number in range(600)]
    real, calls = of_openai._get_client().embeddings.create, iter(range(10_000))
    of_openai._get_client().embeddings.create = (  # type: ignore[method-assign]
        lambda **sent: (server.fail_next(400) if next(calls) == 5 else None) or real(**sent)
    )
    with pytest.raises(openai.BadRequestError, match="told to fail"):
        retriever.add_nodes(nodes)
    stored = len(retriever.store)
    assert 0 < stored < 600
    before = len(server.texts)
    retriever.add_nodes(nodes)
    assert len(retriever.store) == 600
    assert len(server.texts) - before == 600 - stored
    assert ids(retriever.retrieve("E-599"))[0] == "n599"


class Broken(Small):
    """Gives what `broken` makes of the vectors, once it is set."""

    _broken: Callable[[list[list[float]]], Any] | None = PrivateAttr(default=None)

    def _vector(self, side: str, texts: list[str]) -> list[list[float]]:
        vectors = super()._vector(side, texts)
        return self._broken(vectors) if self._broken else vectors


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda vectors: [[float("nan")] * DIMENSION for _ in vectors], "NaN"),
        (lambda vectors: [[0.0] * DIMENSION for _ in vectors], "zeros"),
        (lambda vectors: vectors[:-1], "one vector"),
        (lambda vectors: [one[:-1] for one in vectors], "63 dimensions after 64"),
    ],
)
def test_no_vectors(tmp_path: Path, broken: Any, message: str) -> None:
    embed_model = Broken()
    retriever = LexSemBridgeRetriever.from_nodes(manual_nodes(), persist_dir=tmp_path, model=embed_model)
    embed_model._broken = broken
    with pytest.raises(BackboneError, match=message):
        retriever.add_nodes([TextNode(text="one"), TextNode(text="two")])
    assert len(retriever.store) == len(TEXTS)


def test_a_mock_embedding(tmp_path: Path) -> None:
    index = index_on(chroma(tmp_path), MockEmbedding(8))
    assert len(LexSemBridgeRetriever.from_index(index).retrieve(QUERY)) == 2
    with pytest.raises(FingerprintMismatchError, match="MockEmbedding; the backbone at hand is Small"):
        LexSemBridgeRetriever.from_index(index, model=Small(dimension=8))


class OfLangchain:
    """As LangChain's look."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("local:BAAI/bge-small-en", "model_name='BAAI/bge-small-en'"),
        (Small, r"is a class; give an instance of it, Small\(\)"),
        (OfLangchain(), "an embedding of LangChain's; wrap it in LangchainEmbedding"),
        (3, "not int"),
    ],
)
def test_what_is_no_embed_model(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(InvalidTypeError, match=message):
        LexSemBridgeEmbedding(embed_model=wrong)
    index = index_on(chroma(tmp_path), Small())
    if not isinstance(wrong, str):
        with pytest.raises(InvalidTypeError, match=message):
            LexSemBridgeRetriever.from_index(index, model=wrong)
        index._embed_model = wrong
        with pytest.raises(InvalidTypeError, match=message):
            LexSemBridgeRetriever.from_index(index)


def test_contradictions() -> None:
    for other in ({"model_name": "all-MiniLM-L6-v2"}, {"encoder": LexSemBridgeEncoder(Small()._vector, name="x")}):
        with pytest.raises(InvalidInputError, match="not both"):
            LexSemBridgeEmbedding(embed_model=Small(), **other)
    with pytest.raises(InvalidTypeError, match="embed_model="):
        LexSemBridgeEmbedding(encoder=Small())  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="embed_model="):
        LexSemBridgeEmbedding(Small())  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="a LexSemBridgeEmbedding already"):
        LexSemBridgeEmbedding(embed_model=LexSemBridgeEmbedding(embed_model=Small()))
    with pytest.raises(InvalidInputError, match="cache_queries= goes with embed_model="):
        LexSemBridgeEmbedding(cache_queries=False)
    for call in (LexSemBridgeEmbedding, lambda name: LexSemBridgeRetriever.from_nodes([], model=name)):
        with pytest.raises(InvalidInputError, match="leave 'local:' out"):
            call("local:BAAI/bge-small-en")
