from __future__ import annotations

import copy
import logging
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import InMemoryByteStore
from langchain_core.load import dumps, loads
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from pydantic import ValidationError

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.embedder import NOTHING_SEEN, SELF_FITTED
from lsb_rag.errors import FingerprintMismatchError, InvalidInputError, LsbRagError, ReadError
from tests.chroma_server import chroma_server

from .conftest import QUERY, TEXTS


def modulated(retriever: LexSemBridgeRetriever) -> list[float]:
    store = retriever.store
    return store.encoder.encode_query(QUERY, bridge=store.bridge).tolist()


def test_passages_plain_queries_modulated(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    embeddings = LexSemBridgeEmbeddings(collection=retriever.store)
    texts = list(TEXTS.values())
    np.testing.assert_allclose(embeddings.embed_documents(texts), encoder.encode_document(texts), atol=1e-6)
    np.testing.assert_allclose(embeddings.embed_query(QUERY), modulated(retriever), atol=1e-6)
    vanilla = embeddings.model_copy(update={"vanilla": True})
    np.testing.assert_allclose(vanilla.embed_query(QUERY), encoder.embed_query(QUERY), atol=1e-6)
    assert vanilla.embed_documents(texts) == embeddings.embed_documents(texts)
    weak = embeddings.model_copy(update={"strength": 0.1})
    assert np.dot(weak.embed_query(QUERY), encoder.embed_query(QUERY)) > 0.99
    assert all(isinstance(value, float) for value in embeddings.embed_query(QUERY))


async def test_asynchronous_variants_give_the_same(retriever: LexSemBridgeRetriever) -> None:
    embeddings = LexSemBridgeEmbeddings(collection=retriever.store)
    assert await embeddings.aembed_query(QUERY) == embeddings.embed_query(QUERY)
    assert await embeddings.aembed_documents(["one", "two"]) == embeddings.embed_documents(["one", "two"])


def test_a_collection_in_every_form(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    folder = retriever.store.path
    vector_store = Chroma("manual", persist_directory=str(folder))
    forms = [
        {"collection": "manual", "persist_directory": folder},
        {"collection": "manual", "client": vector_store._client},
        {"collection": vector_store},
        {"collection": vector_store._collection},
        {"collection": retriever.store},
    ]
    for form in forms:
        embeddings = LexSemBridgeEmbeddings(encoder=encoder, **form)
        np.testing.assert_allclose(embeddings.embed_query(QUERY), modulated(retriever), atol=1e-6)


def test_as_the_embedding_function_of_a_chroma_that_grows(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    embeddings = LexSemBridgeEmbeddings(encoder=encoder, collection="manual", persist_directory=str(tmp_path))
    vector_store = Chroma("manual", embeddings, persist_directory=str(tmp_path))  # L2, Chroma's default
    vector_store.add_texts(list(TEXTS.values()), ids=list(TEXTS))
    assert vector_store.similarity_search("E-4013", k=1)[0].id == "drain"
    vector_store.add_texts(["E-9001: the gearbox broke a tooth."], ids=["gear"])
    best, score = vector_store.similarity_search_with_score("E-9001", k=1)[0]
    assert best.id == "gear"
    vanilla = embeddings.model_copy(update={"vanilla": True})
    plain = Chroma("manual", vanilla, persist_directory=str(tmp_path)).similarity_search_with_score("E-9001", k=1)
    assert score < plain[0][1] - 0.05  # a distance: the new word is known already
    vector_store.add_texts(["HJKL-55: in place of lunch."], ids=["lunch"])  # as many as before
    before = np.array(embeddings.embed_query("HJKL-55"))
    embeddings.refresh()
    assert not np.allclose(embeddings.embed_query("HJKL-55"), before, atol=1e-3)
    vector_store.reset_collection()
    vector_store.add_texts(list(TEXTS.values()), ids=list(TEXTS))
    assert vector_store.similarity_search("E-4013", k=1)[0].id == "drain"


def test_in_memory_it_fits_itself_and_says_so_once(
    encoder: LexSemBridgeEncoder, retriever: LexSemBridgeRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    embeddings = LexSemBridgeEmbeddings(encoder=encoder)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_allclose(embeddings.embed_query(QUERY), encoder.embed_query(QUERY), atol=1e-6)
        memory = InMemoryVectorStore.from_texts(list(TEXTS.values()), embeddings)
        for _ in range(2):
            np.testing.assert_allclose(embeddings.embed_query(QUERY), modulated(retriever), atol=1e-5)
    assert memory.similarity_search(QUERY, k=1)[0].page_content == TEXTS["pump"]
    assert [record.message for record in caplog.records] == [NOTHING_SEEN, SELF_FITTED]


def test_a_cache_of_passages_stays_one(encoder: LexSemBridgeEncoder, retriever: LexSemBridgeRetriever) -> None:
    embeddings = LexSemBridgeEmbeddings(collection=retriever.store)
    cached = CacheBackedEmbeddings.from_bytes_store(embeddings, InMemoryByteStore(), key_encoder="sha256")
    for _ in range(2):
        passage = cached.embed_documents([QUERY])[0]
        np.testing.assert_allclose(passage, encoder.encode_document(QUERY), atol=1e-6)
        np.testing.assert_allclose(cached.embed_query(QUERY), modulated(retriever), atol=1e-6)


def test_fit_save_load(tmp_path: Path, encoder: LexSemBridgeEncoder, retriever: LexSemBridgeRetriever) -> None:
    embeddings = LexSemBridgeEmbeddings(encoder=encoder)
    embeddings.fit(list(TEXTS.values()))
    embeddings.save(tmp_path / "bridge")
    for again in (LexSemBridgeEmbeddings.load(tmp_path / "bridge"), LexSemBridgeEmbeddings(bridge=tmp_path / "bridge")):
        np.testing.assert_allclose(again.embed_query(QUERY), modulated(retriever), atol=1e-5)
    with pytest.raises(ReadError, match="no saved bridge"):
        LexSemBridgeEmbeddings.load(tmp_path / "none")


def test_sources_are_replaced_by_fit_and_copied_by_model_copy(
    tmp_path: Path, encoder: LexSemBridgeEncoder, retriever: LexSemBridgeRetriever, tiny_backbone: Path
) -> None:
    embeddings = LexSemBridgeEmbeddings(encoder=encoder, collection=retriever.store)
    expected = embeddings.embed_query(QUERY)
    twin = embeddings.model_copy(update={"vanilla": True})
    twin.fit(["something else", "entirely"])
    assert twin.collection is None
    assert embeddings.embed_query(QUERY) == expected
    with pytest.raises(TypeError, match="in brackets"):
        embeddings.fit("a string")
    assert embeddings.collection is retriever.store
    other = LexSemBridgeRetriever.from_texts(["E-4012 is a cake", "tea"], model=encoder)
    for moved in (embeddings.model_copy(update={"collection": other.store}), embeddings):
        if moved is embeddings:
            moved.fit_collection(other.store)
        vector = encoder.encode_query(QUERY, bridge=other.store.bridge)
        np.testing.assert_allclose(moved.embed_query(QUERY), vector, atol=1e-6)
    with pytest.raises(ValidationError, match="frozen"):
        embeddings.collection = retriever.store
    tiny = LexSemBridgeRetriever.from_texts(["a"], model=str(tiny_backbone))
    with pytest.raises(FingerprintMismatchError):
        embeddings.fit_collection(tiny.store)
    np.testing.assert_allclose(embeddings.embed_query(QUERY), vector, atol=1e-6)


def test_another_backbone_is_refused(retriever: LexSemBridgeRetriever, tiny_backbone: Path) -> None:
    embeddings = LexSemBridgeEmbeddings(model=str(tiny_backbone), collection=retriever.store)
    for call in (lambda: embeddings.embed_query(QUERY), lambda: embeddings.embed_documents(["a passage"])):
        with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny"):
            call()


def test_model_name_is_taken_as_in_huggingface_embeddings(tiny_backbone: Path) -> None:
    assert LexSemBridgeEmbeddings(model_name=str(tiny_backbone)).load_encoder().dimension == 32


def test_bad_options(retriever: LexSemBridgeRetriever) -> None:
    with pytest.raises(ValueError, match=r"persist_directory= or client="):
        LexSemBridgeEmbeddings(collection="manual")
    contradictions: list[dict[str, Any]] = [
        {"collection": retriever.store, "bridge": "file"},
        {"collection": "manual", "persist_directory": "db", "client": object()},
        {"model": "all-MiniLM-L6-v2", "encoder": retriever.store.encoder},
    ]
    for options in contradictions:
        with pytest.raises(ValueError, match="not both"):
            LexSemBridgeEmbeddings(**options)
    with pytest.raises(ValueError, match="Name the collection="):
        LexSemBridgeEmbeddings(persist_directory="db")
    for wrong in ({"collection": 3}, {"bridge": 3}):
        with pytest.raises(TypeError, match=r"takes a|bridge must be"):
            LexSemBridgeEmbeddings(**wrong)
    for options in ({"strength": -1}, {"strength": float("nan")}, {"batch_size": 0}, {"modle": "x"}):
        with pytest.raises(InvalidInputError):
            LexSemBridgeEmbeddings(**options)
    embeddings = LexSemBridgeEmbeddings(collection=retriever.store)
    with pytest.raises(InvalidInputError, match="blank"):
        embeddings.embed_query("\n")
    with pytest.raises(LsbRagError, match="not NoneType"):
        embeddings.embed_query(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no bridge to save yet"):
        LexSemBridgeEmbeddings().save("nowhere")


def test_open_clients_are_pickled_as_what_they_refer_to(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, tmp_path: Path
) -> None:
    vector_store = Chroma("manual", persist_directory=str(retriever.store.path))
    for form in (
        {"collection": vector_store},
        {"collection": vector_store._collection},
        {"collection": "manual", "client": vector_store._client},
    ):
        embeddings = LexSemBridgeEmbeddings(**form)
        again = pickle.loads(pickle.dumps(embeddings))  # noqa: S301 - our own
        np.testing.assert_allclose(again.embed_query(QUERY), modulated(retriever), atol=1e-6)
        copied = copy.deepcopy(embeddings)
        np.testing.assert_allclose(copied.embed_query(QUERY), modulated(retriever), atol=1e-6)
    for in_memory in (Chroma("in-memory-embeddings"), PassageStore.in_memory(encoder)):
        with pytest.raises(TypeError, match="in memory"):
            pickle.dumps(LexSemBridgeEmbeddings(collection=in_memory))
    with chroma_server(tmp_path / "server", headers={"Authorization": "Bearer secret"}) as (client, _):
        made = LexSemBridgeRetriever.from_texts(list(TEXTS.values()), client=client, model=encoder)
        on_server = LexSemBridgeEmbeddings(encoder=encoder, collection="langchain", client=client)
        assert made.invoke(QUERY)[0].page_content == TEXTS["pump"]
        np.testing.assert_allclose(on_server.embed_query(QUERY), modulated(made), atol=1e-5)
        for one in (made, on_server):
            assert "secret" not in repr(one) + str(one) + dumps(one) + str(one.model_dump())
            with pytest.raises(TypeError, match="on a server"):
                pickle.dumps(one)


def test_pickle_round_trips_and_dumps_writes_nothing_out(
    retriever: LexSemBridgeRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    by_name = LexSemBridgeEmbeddings(collection="manual", persist_directory=retriever.store.path, strength=0.3)
    itself = LexSemBridgeEmbeddings()
    itself.fit(list(TEXTS.values()))
    for embeddings in (by_name, itself):
        again = pickle.loads(pickle.dumps(embeddings))  # noqa: S301 - our own
        np.testing.assert_allclose(again.embed_query(QUERY), embeddings.embed_query(QUERY), atol=1e-6)
        assert again.model_dump() == embeddings.model_dump()
        assert (again.collection, again.bridge) == (embeddings.collection, embeddings.bridge)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = dumps(embeddings)
            assert '"not_implemented"' in written
            with pytest.raises(NotImplementedError):
                loads(written)
        assert "sk-secret" not in written + repr(embeddings)
