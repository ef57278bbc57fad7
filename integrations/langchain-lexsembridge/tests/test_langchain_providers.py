"""Over any LangChain embeddings: a collection stays as it is, passages too, and a query is one request."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import openai
import pytest
from langchain_chroma import Chroma
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import InMemoryByteStore
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.load import dumps
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests
from llama_index.core import MockEmbedding
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lsb_rag import LexSemBridgeEncoder, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.errors import (
    BackboneError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from tests.embedding_server import EmbeddingServer, embedding_server, vector

from .conftest import DOCUMENTS, QUERY, TEXTS
from .test_langchain_retrievers import everything, ids


class WordEmbeddings(Embeddings):
    """Texts that share words are near; queries are embedded otherwise than passages. It counts its calls."""

    def __init__(self, dimension: int = 64, length: float = 1.0) -> None:
        self.model = "words"
        self.dimension = dimension
        self.length = length
        self.calls: list[tuple[str, int]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append(("documents", len(texts)))
        return [self._vector(text, "document") for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.calls.append(("query", 1))
        return self._vector(text, "query")

    def _vector(self, text: str, side: str) -> list[float]:
        return [value * self.length for value in vector(text, self.dimension, side)]


class AsyncEmbeddings(WordEmbeddings):
    """Asynchronous for real: it awaits, and keeps the threads it was called in."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        await asyncio.sleep(0)
        self.threads.add(threading.get_ident())
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        await asyncio.sleep(0)
        self.threads.add(threading.get_ident())
        return self.embed_query(text)


class KeyedEmbeddings(BaseModel, WordEmbeddings):
    """A model of pydantic, as most embeddings are: it cannot be hashed, and holds a key."""

    model_config = ConfigDict(extra="allow")
    model: str = "keyed"
    api_key: SecretStr = SecretStr("sk-secret")
    dimension: int = 64
    length: float = 1.0
    calls: list[Any] = Field(default_factory=list, exclude=True)

    def __init__(self, **fields: Any) -> None:
        BaseModel.__init__(self, **fields)


class OddEmbeddings(WordEmbeddings):
    """False, empty, equal to everything and not to be hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as running:
        yield running


def at(server: EmbeddingServer, **options: Any) -> OpenAIEmbeddings:
    given: dict[str, Any] = {"max_retries": 0, "model": "text-embedding-3-small", **options}
    return OpenAIEmbeddings(base_url=server.url, api_key="sk-secret", check_embedding_ctx_length=False, **given)


def chroma(embeddings: Embeddings | None, folder: Path | None = None, space: str = "l2") -> Chroma:
    """A collection of the manual as LangChain's users have it."""
    store = Chroma(
        f"manual-{uuid4().hex}",
        embeddings,
        persist_directory=None if folder is None else str(folder),
        collection_configuration={"hnsw": {"space": space}},  # type: ignore[arg-type]
    )
    store.add_documents(DOCUMENTS, ids=list(TEXTS))
    return store


def unit(values: Any) -> Any:
    rows = np.asarray(values, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def stored(retriever: LexSemBridgeRetriever, id: str) -> Any:
    return np.asarray(retriever.store.collection.get([id], include=["embeddings"])["embeddings"])[0]


# -- the collection that is there -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1.0, 7.0])
@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
def test_a_vector_store_with_whatever_embeds_it(space: str, length: float) -> None:
    embeddings = WordEmbeddings(length=length)
    vector_store = chroma(embeddings, space=space)
    before = everything(vector_store._collection)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store, k=5)
    documents = retriever.invoke(QUERY)
    assert documents[0].id == "pump"
    assert sorted(ids(documents), key=str) == sorted(TEXTS)
    assert everything(vector_store._collection) == before
    store = retriever.store
    modulated = store.encoder.encode_query(QUERY, bridge=store.bridge)
    only_vector = retriever.model_copy(update={"rerank": False}).invoke(QUERY)
    for document in only_vector:
        expected = float(unit(stored(retriever, str(document.id))) @ modulated)
        assert document.metadata["score"] == pytest.approx(expected, abs=1e-5)
    plain = unit(embeddings.embed_query(QUERY))
    np.testing.assert_allclose(store.encoder.embed_query(QUERY), plain, atol=1e-6)
    assert float(modulated @ plain) < 0.999
    retriever.add_documents([Document("E-9001: the gearbox.", id="gear")])
    passage = embeddings.embed_documents(["E-9001: the gearbox."])[0]
    np.testing.assert_allclose(stored(retriever, "gear"), passage, rtol=1e-5)  # in cosine space Chroma rounds
    assert retriever.invoke("E-9001")[0].id == vector_store.similarity_search("E-9001", k=1)[0].id == "gear"
    assert "E-4012" in str(Retriever(store).explain(QUERY, "pump")).upper()


def test_wide_and_shortened_vectors() -> None:
    with embedding_server(1536) as wide:
        for embeddings, dimension in ((at(wide), 1536), (at(wide, dimensions=256), 256), (WordEmbeddings(3072), 3072)):
            retriever = LexSemBridgeRetriever.from_vectorstore(chroma(embeddings), k=1)
            assert retriever.invoke(QUERY)[0].id == "pump"
            assert retriever.store.encoder.dimension == dimension


def test_other_embeddings_than_those_of_the_collection_are_refused() -> None:
    vector_store = chroma(WordEmbeddings())
    with pytest.raises(FingerprintMismatchError, match="DeterministicFakeEmbedding"):
        LexSemBridgeRetriever.from_vectorstore(vector_store, model=DeterministicFakeEmbedding(size=64))
    with pytest.raises(FingerprintMismatchError, match="dimension: 64 against 32"):
        LexSemBridgeRetriever.from_vectorstore(vector_store, model=WordEmbeddings(32))


def test_without_embeddings_the_collection_finds_its_own(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    made = LexSemBridgeRetriever.from_documents(DOCUMENTS, persist_directory=tmp_path, model=encoder)
    retriever = LexSemBridgeRetriever.from_vectorstore(Chroma(persist_directory=str(tmp_path)), k=1)
    assert retriever.store.encoder.name == "all-MiniLM-L6-v2"
    assert retriever.invoke(QUERY)[0].id == made.invoke(QUERY)[0].id == "pump"


def test_our_own_embeddings_are_not_modulated_twice(encoder: LexSemBridgeEncoder) -> None:
    ours = LexSemBridgeEmbeddings(embeddings=WordEmbeddings())
    cached = CacheBackedEmbeddings.from_bytes_store(ours, InMemoryByteStore(), key_encoder="sha256")
    for embeddings in (ours, cached):
        retriever = LexSemBridgeRetriever.from_vectorstore(chroma(embeddings))
        assert retriever.store.encoder is ours.load_encoder()
        plain = unit(WordEmbeddings().embed_query(QUERY))
        np.testing.assert_allclose(retriever.store.encoder.embed_query(QUERY), plain, atol=1e-6)
    assert LexSemBridgeEmbeddings(embeddings=ours).load_encoder() is ours.load_encoder()
    vector_store = chroma(LexSemBridgeEmbeddings(encoder=encoder))
    assert LexSemBridgeEmbeddings(collection=vector_store).load_encoder() is encoder


# -- what it costs ----------------------------------------------------------------------------------------------------


def test_what_it_costs_in_requests(server: EmbeddingServer, tmp_path: Path) -> None:
    embeddings = at(server)
    vector_store = chroma(embeddings, tmp_path)
    first = len(server.requests)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store, k=2)
    asked = [body["input"] for _, body in server.requests[first:]]
    assert len(asked) == 3  # a probe of each side, and a sample of what is stored
    assert set(asked[2]) == set(TEXTS.values())
    first = len(server.requests)
    for _ in range(2):
        assert retriever.invoke(QUERY)[0].id == "pump"
        assert asyncio.run(retriever.ainvoke(QUERY)) == retriever.invoke(QUERY)
    assert LexSemBridgeEmbeddings(embeddings=embeddings, collection=vector_store).embed_query(QUERY)
    again = LexSemBridgeRetriever.from_vectorstore(vector_store, rerank=False)
    again.invoke(QUERY)
    retriever.model_copy(update={"vanilla": True}).invoke(QUERY)
    assert server.texts[-1:] == [QUERY]
    assert len(server.requests) == first + 1
    assert again.store.encoder is retriever.store.encoder
    LexSemBridgeRetriever.from_vectorstore(vector_store, model=at(server))  # another object: its probes alone
    assert len(server.requests) == first + 3


def test_queries_are_asked_anew_where_the_cache_is_off() -> None:
    embeddings = WordEmbeddings()
    vector_store = chroma(embeddings)
    uncached = LexSemBridgeEmbeddings(embeddings=embeddings, cache_queries=False, collection=vector_store)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store, model=uncached)
    uncached.embed_query(QUERY)
    embeddings.calls.clear()
    for call in (lambda: uncached.embed_query(QUERY), lambda: retriever.invoke(QUERY)):
        call()
        call()
    assert embeddings.calls == [("query", 1)] * 4
    with pytest.raises(ValueError, match="cache_queries=False is for embeddings="):
        LexSemBridgeEmbeddings(cache_queries=False)


def test_one_encoder_for_each_object_while_it_is_in_use() -> None:
    for embeddings in (KeyedEmbeddings(), OddEmbeddings()):
        one, other = (LexSemBridgeEmbeddings(embeddings=embeddings) for _ in range(2))
        assert one.load_encoder() is other.load_encoder()
        assert one.load_encoder() is not LexSemBridgeEmbeddings(embeddings=OddEmbeddings()).load_encoder()
        assert LexSemBridgeRetriever.from_texts(["a b"], embeddings).store.encoder is one.load_encoder()
        assert one.embeddings is embeddings
    from langchain_lexsembridge import backbones

    kept = len(backbones._encoders)
    del one, other, embeddings
    gc.collect()
    assert len(backbones._encoders) < kept


# -- asynchronous -----------------------------------------------------------------------------------------------------


async def test_asynchronous_embeddings_are_awaited_on_the_loop() -> None:
    embeddings = AsyncEmbeddings()
    vector_store = chroma(embeddings)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store)
    ours = LexSemBridgeEmbeddings(embeddings=embeddings, collection=vector_store)
    texts = list(TEXTS.values())
    assert ids(await retriever.ainvoke(QUERY, k=2, filter={"kind": "fault"}))[0] == "pump"
    assert await retriever.ainvoke(QUERY, score_threshold=9.0) == []
    assert await ours.aembed_query("E-4013") == ours.embed_query("E-4013")
    embeddings.calls.clear()
    vectors = await ours.model_copy(update={"batch_size": 2}).aembed_documents(texts)
    assert [number for _, number in embeddings.calls] == [2, 2, 1]
    assert vectors == ours.embed_documents(texts)
    assert embeddings.threads == {threading.get_ident()}
    several = await asyncio.gather(*(retriever.ainvoke(f"E-40{number}") for number in range(10, 30)))
    assert [retriever.invoke(f"E-40{number}") for number in range(10, 30)] == several
    with pytest.raises(TypeError, match="top_k"):
        await retriever.ainvoke(QUERY, top_k=3)


async def test_embeddings_without_asynchronous_methods_leave_the_loop_free() -> None:
    ours = LexSemBridgeEmbeddings(embeddings=WordEmbeddings())
    await ours.aembed_documents(list(TEXTS.values()))
    assert await ours.aembed_query(QUERY) == ours.embed_query(QUERY)


async def test_openai_asynchronously(server: EmbeddingServer) -> None:
    embeddings = at(server)
    retriever = LexSemBridgeRetriever.from_vectorstore(await asyncio.to_thread(chroma, embeddings))
    first = len(server.requests)
    assert (await retriever.ainvoke("why did the pump stop, E-4013"))[0].id == "drain"
    assert len(server.requests) == first + 1
    server.fail_next(429)
    with pytest.raises(openai.RateLimitError):
        await retriever.ainvoke("another question")


# -- errors -----------------------------------------------------------------------------------------------------------


def test_errors_of_the_embeddings_come_as_they_are(server: EmbeddingServer) -> None:
    embeddings = at(server)
    retriever = LexSemBridgeRetriever.from_vectorstore(chroma(embeddings), k=1)
    server.fail_next(429)
    with pytest.raises(openai.RateLimitError):
        retriever.invoke("what is E-4012")
    server.fail_next(429)
    again = retriever.with_retry(retry_if_exception_type=(openai.RateLimitError,), wait_exponential_jitter=False)
    assert again.invoke("what is E-4012")[0].id == "pump"
    server.fail_next(500)
    other = LexSemBridgeRetriever.from_documents(DOCUMENTS, WordEmbeddings(), k=1)
    fallback = retriever.with_fallbacks([other], exceptions_to_handle=(openai.InternalServerError,))
    assert fallback.invoke("what is E-4013")[0].id == "drain"


def test_what_was_stored_before_an_error_is_kept_and_the_same_call_goes_on(tmp_path: Path) -> None:
    class Failing(WordEmbeddings):
        left = 5

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.left -= 1
            if self.left == 0:
                raise ConnectionError("gone")
            return super().embed_documents(texts)

    embeddings = Failing(8)
    retriever = LexSemBridgeRetriever.from_texts(["the first text"], embeddings, persist_directory=tmp_path)
    texts = [f"text number {number}" for number in range(600)]
    with pytest.raises(ConnectionError, match="gone"):
        retriever.add_texts(texts)
    kept = len(retriever.store) - 1
    assert 0 < kept < 600
    embeddings.calls.clear()
    retriever.add_texts(texts)
    assert len(retriever.store) == 601
    assert sum(number for _, number in embeddings.calls) == 600 - kept


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda rows: [[float("nan")] * len(row) for row in rows], "NaN"),
        (lambda rows: [[0.0] * len(row) for row in rows], "zeros"),
        (lambda rows: rows[:-1], "one vector for each"),
        (lambda rows: [row[:5] for row in rows], "5 dimensions after 64"),
        (lambda rows: None, "something else than vectors"),
        (lambda rows: rows[0], "one vector for each"),
    ],
)
def test_wrong_vectors_are_refused(wrong: Any, message: str) -> None:
    class Wrong(WordEmbeddings):
        from_now = False

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            rows: list[list[float]] = super().embed_documents(texts)
            return wrong(rows) if self.from_now else rows  # type: ignore[no-any-return]

    embeddings = Wrong()
    retriever = LexSemBridgeRetriever.from_documents(DOCUMENTS, embeddings)
    ours = LexSemBridgeEmbeddings(embeddings=embeddings)
    embeddings.from_now = True
    for call in (lambda: retriever.add_texts(["one", "two"]), lambda: ours.embed_documents(["one", "two"])):
        with pytest.raises(BackboneError, match=message):
            call()
    assert len(retriever.store) == len(TEXTS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("text-embedding-3-small", "not str"),
        (3, "not int"),
        (OpenAIEmbeddings, "the class OpenAIEmbeddings. Make an instance"),
        (MockEmbedding(embed_dim=8), "not MockEmbedding. It is LlamaIndex's"),
        (lambda texts: texts, "not function"),
    ],
)
def test_what_is_no_embeddings_is_refused(wrong: Any, message: str) -> None:
    vector_store = chroma(WordEmbeddings())
    for call in (
        lambda: LexSemBridgeEmbeddings(embeddings=wrong),
        lambda: LexSemBridgeEmbeddings(encoder=wrong),
        lambda: LexSemBridgeRetriever.from_texts(["one"], wrong),
        lambda: LexSemBridgeRetriever.from_documents(DOCUMENTS, wrong),
        lambda: LexSemBridgeRetriever.from_documents(DOCUMENTS, embedding=wrong),
        lambda: LexSemBridgeRetriever.from_vectorstore(wrong),
    ):
        with pytest.raises(InvalidTypeError, match=message):
            call()
    if not isinstance(wrong, str):
        with pytest.raises(InvalidTypeError, match=message):
            LexSemBridgeRetriever.from_vectorstore(vector_store, model=wrong)
    with pytest.raises(InvalidTypeError, match="Give LangChain embeddings as embeddings="):
        LexSemBridgeEmbeddings(encoder=WordEmbeddings())  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="Give LangChain embeddings as embeddings="):
        LexSemBridgeEmbeddings(model=WordEmbeddings())


def test_an_attribute_of_every_name_makes_no_chroma() -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:  # as a collection of MongoDB
            return Anything()

    mongo = InMemoryVectorStore(WordEmbeddings())
    mongo._collection = Anything()  # type: ignore[attr-defined]
    mongo.add_documents(DOCUMENTS)
    assert ids(LexSemBridgeRetriever.from_vectorstore(mongo, k=1).invoke(QUERY)) == ["pump"]


# -- arguments --------------------------------------------------------------------------------------------------------


def test_embeddings_where_langchains_vector_stores_take_them() -> None:
    embeddings = WordEmbeddings()
    texts, metadatas, names = ["E-1 is a fuse"], [{"page": 2}], ["fuse"]
    documents = [Document("E-1 is a fuse", metadata={"page": 2})]
    make = LexSemBridgeRetriever
    for retriever in (
        make.from_texts(texts, embeddings, metadatas, names),
        make.from_texts(texts, embeddings, metadatas=metadatas, ids=names),
        make.from_texts(texts, metadatas, names, embedding=embeddings),
        make.from_texts(texts, metadatas, ids=names, model=embeddings),
        make.from_texts(texts, None, metadatas=metadatas, ids=names, embedding=embeddings),
        make.from_documents(documents, embeddings, names),
        make.from_documents(documents, embeddings, ids=names),
        make.from_documents(documents, names, embedding=embeddings),
        make.from_documents(documents, ids=names, model=embeddings),
    ):
        assert retriever.store.encoder.name == "words"
        found = retriever.invoke("E-1")[0]
        assert (found.id, found.metadata["page"]) == ("fuse", 2)
    for wrong in (
        lambda: make.from_documents(documents, embeddings, embedding=embeddings),
        lambda: make.from_documents(documents, embeddings, model=embeddings),
        lambda: make.from_documents(documents, names, ids=names),
    ):
        with pytest.raises(InvalidInputError, match=r"not both|once"):
            wrong()
    with pytest.raises(InvalidTypeError, match="3 positional arguments"):
        make.from_documents(documents, embeddings, names, names)
    with pytest.raises(InvalidTypeError, match="ids go to ids="):
        make.from_texts(texts, names, embedding=embeddings)


# -- embeddings over embeddings ---------------------------------------------------------------------------------------


def test_passages_are_exactly_those_of_the_class() -> None:
    inner = WordEmbeddings(length=3.0)
    texts = list(TEXTS.values())
    ours = LexSemBridgeEmbeddings(embeddings=inner)
    expected = np.asarray(inner.embed_documents(texts), np.float32)
    np.testing.assert_array_equal(np.asarray(ours.embed_documents(texts), np.float32), expected)
    plain = unit(inner.embed_query(QUERY))
    for off in ({"vanilla": True}, {"strength": 0.0}):
        np.testing.assert_allclose(ours.model_copy(update=off).embed_query(QUERY), plain, atol=1e-6)
    assert float(plain @ ours.embed_query(QUERY)) < 0.999


def test_the_embeddings_of_a_collection_are_taken() -> None:
    vector_store = chroma(WordEmbeddings())
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store)
    modulated = retriever.store.encoder.encode_query(QUERY, bridge=retriever.store.bridge)
    for ours in (LexSemBridgeEmbeddings(collection=vector_store), LexSemBridgeEmbeddings()):
        if ours.collection is None:
            ours.fit_collection(vector_store)
        np.testing.assert_allclose(ours.embed_query(QUERY), modulated, atol=1e-6)


@pytest.mark.parametrize("kind", [WordEmbeddings, KeyedEmbeddings])
def test_fitted_saved_copied_and_pickled(tmp_path: Path, kind: Any) -> None:
    inner = kind()
    ours = LexSemBridgeEmbeddings(embeddings=inner)
    ours.fit(list(TEXTS.values()))
    expected = ours.embed_query(QUERY)
    ours.save(tmp_path / "bridge")
    loaded = LexSemBridgeEmbeddings.load(tmp_path / "bridge", embeddings=inner)
    copied, deep = ours.model_copy(update={"strength": 0.8}), copy.deepcopy(ours)
    again = pickle.loads(pickle.dumps(ours))  # noqa: S301 - our own
    assert again.embeddings is not inner
    for one in (loaded, copied, deep, again):
        np.testing.assert_allclose(one.embed_query(QUERY), expected, atol=1e-6)
    for one in (loaded, copied, deep, ours.model_copy(deep=True)):
        assert one.embeddings is inner
    other = ours.model_copy(update={"embeddings": WordEmbeddings(32)})
    assert len(other.embed_query(QUERY)) == 32
    with pytest.raises(FingerprintMismatchError):
        LexSemBridgeEmbeddings.load(tmp_path / "bridge", embeddings=DeterministicFakeEmbedding(size=64))
    with pytest.raises(BackboneError, match="cannot be found by name; give it beside"):
        LexSemBridgeEmbeddings.load(tmp_path / "bridge")
    for options in ({"model": "all-MiniLM-L6-v2"}, {"encoder": ours.load_encoder()}):
        with pytest.raises(ValueError, match="embeddings=, not both") as error:
            LexSemBridgeEmbeddings(embeddings=inner, **options)
        assert "input_value" not in str(error.value)


def test_a_retriever_is_pickled_with_embeddings_that_can_be(tmp_path: Path, server: EmbeddingServer) -> None:
    retriever = LexSemBridgeRetriever.from_vectorstore(chroma(KeyedEmbeddings(), tmp_path / "can"))
    again = pickle.loads(pickle.dumps(retriever))  # noqa: S301 - our own
    assert again.invoke(QUERY) == retriever.invoke(QUERY)
    vector_store = chroma(at(server), tmp_path / "cannot")
    for one in (
        LexSemBridgeRetriever.from_vectorstore(vector_store),
        LexSemBridgeEmbeddings(embeddings=at(server), collection=vector_store),
        LexSemBridgeEmbeddings(collection=vector_store),
    ):
        with pytest.raises(InvalidTypeError, match="text-embedding-3-small cannot be pickled"):
            pickle.dumps(one)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = dumps(one) + repr(one) + str(one) + str(one.model_dump()) + one.model_dump_json()
        assert "sk-secret" not in written + repr(vector_store._collection.metadata)
    np.testing.assert_allclose(copy.deepcopy(one).embed_query(QUERY), one.embed_query(QUERY), atol=1e-6)


@pytest.mark.parametrize("queries_too", [False, True])
def test_behind_langchains_cache(queries_too: bool) -> None:
    inner = WordEmbeddings()
    options: dict[str, Any] = {"namespace": "words", "key_encoder": "sha256"}
    options["query_embedding_cache"] = InMemoryByteStore() if queries_too else False
    cached = CacheBackedEmbeddings.from_bytes_store(inner, InMemoryByteStore(), **options)
    vector_store = chroma(cached)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store)
    assert retriever.store.encoder.name == "words"
    assert retriever.invoke(QUERY)[0].id == "pump"
    inner.calls.clear()
    uncached = LexSemBridgeEmbeddings(embeddings=cached, cache_queries=False, collection=vector_store)
    uncached.embed_query(QUERY)
    asyncio.run(uncached.aembed_query(QUERY))
    uncached.embed_documents(list(TEXTS.values()))
    asked = [("query", 1)]  # the probe of another encoder, and two queries
    assert inner.calls == ([] if queries_too else asked * 3)


# -- models that run here ---------------------------------------------------------------------------------------------

INSTRUCTION = "Represent this sentence for searching relevant passages: "


def community(name: str, **options: Any) -> Embeddings:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        from langchain_community import embeddings

        made: Embeddings = getattr(embeddings, name)(
            model_name=str(embedded_backbone()), model_kwargs={"device": "cpu"}, **options
        )
        return made


@pytest.mark.parametrize("normalised", [True, False])
def test_hugging_face_models_with_an_instruction_before_queries(normalised: bool) -> None:
    options = {"encode_kwargs": {"normalize_embeddings": normalised}}
    embeddings = community("HuggingFaceBgeEmbeddings", query_instruction=INSTRUCTION, **options)
    vector_store = chroma(embeddings)
    retriever = LexSemBridgeRetriever.from_vectorstore(vector_store, k=5)
    assert retriever.invoke(QUERY)[0].id == "pump"
    encoder = retriever.store.encoder
    assert retriever.store.verification.by == "sample"
    assert float(retriever.store.verification.lowest_cosine or 0) > 1 - 1e-5
    assert encoder.max_length == 256
    assert encoder.tokenizer is not None
    plain = community("HuggingFaceEmbeddings", **options)
    expected = unit(embeddings.embed_query(QUERY))
    np.testing.assert_allclose(expected, unit(plain.embed_query(INSTRUCTION + QUERY)), atol=1e-5)
    assert float(expected @ unit(plain.embed_query(QUERY))) < 0.99
    ours = LexSemBridgeEmbeddings(embeddings=embeddings, collection=vector_store, strength=0.0)
    assert float(unit(ours.embed_query(QUERY)) @ expected) > 1 - 1e-6


# -- LangChain's own standard tests -----------------------------------------------------------------------------------


class OverOthers:
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LexSemBridgeEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"embeddings": WordEmbeddings()}


class TestEmbeddingsUnit(OverOthers, EmbeddingsUnitTests):
    pass


class TestEmbeddingsIntegration(OverOthers, EmbeddingsIntegrationTests):
    pass


class TestEmbeddingsOverOpenAI(OverOthers, EmbeddingsIntegrationTests):
    @pytest.fixture(autouse=True)
    def _server(self, server: EmbeddingServer) -> None:
        self.server = server

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"embeddings": at(self.server)}


def test_a_retriever_for_each_question_shares_the_vector_stores_encoder() -> None:
    embeddings = KeyedEmbeddings()
    vectorstore = Chroma.from_texts(["E-4012 inlet", "E-4013 outlet"], embeddings, collection_name=f"c{id(embeddings)}")
    first = LexSemBridgeRetriever.from_vectorstore(vectorstore)
    encoder = first.store.encoder
    first.invoke("E-4012")
    reference = id(encoder)
    del first, encoder
    gc.collect()
    assert id(LexSemBridgeRetriever.from_vectorstore(vectorstore).store.encoder) == reference
