from __future__ import annotations

import logging
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import InMemoryByteStore
from langchain_core.load import dumps, loads
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from pydantic import ValidationError

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.embedder import NOTHING_SEEN, SELF_FITTED
from lsb_rag.errors import FingerprintMismatchError, InvalidInputError, LsbRagError, ReadError

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
    embeddings.fit_collection(vector_store)
    assert vector_store.similarity_search("E-9001", k=1)[0].id == "gear"
    assert embeddings.collection is vector_store


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
    with pytest.raises(ValueError, match="not both"):
        LexSemBridgeEmbeddings(collection=retriever.store, bridge="file")
    for options in ({"strength": -1}, {"strength": float("nan")}, {"batch_size": 0}, {"modle": "x"}):
        with pytest.raises(ValidationError):
            LexSemBridgeEmbeddings(**options)
    embeddings = LexSemBridgeEmbeddings(collection=retriever.store)
    with pytest.raises(InvalidInputError, match="blank"):
        embeddings.embed_query("\n")
    with pytest.raises(LsbRagError, match="not NoneType"):
        embeddings.embed_query(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no bridge to save yet"):
        LexSemBridgeEmbeddings().save("nowhere")


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
        assert again == embeddings or again.model_dump() == embeddings.model_dump()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = dumps(embeddings)
            assert '"not_implemented"' in written
            with pytest.raises(NotImplementedError):
                loads(written)
        assert "sk-secret" not in written + repr(embeddings)
