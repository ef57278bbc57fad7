from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.ingestion.pipeline import get_transformation_hash
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.embedder import NOTHING_SEEN, SELF_FITTED
from lsb_rag.errors import (
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    LsbRagError,
    ReadError,
)

from .conftest import QUERY, TEXTS, manual_nodes


def modulated(retriever: LexSemBridgeRetriever) -> list[float]:
    store = retriever.store
    return store.encoder.encode_query(QUERY, bridge=store.bridge).tolist()


def collection_in(folder: Path) -> chromadb.Collection:
    return chromadb.PersistentClient(folder).get_or_create_collection("manual", embedding_function=None)


def test_texts_plain_queries_modulated(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    embedding = LexSemBridgeEmbedding(collection=retriever.store)
    texts = list(TEXTS.values())
    plain = encoder.encode_document(texts)
    np.testing.assert_allclose(embedding.get_text_embedding_batch(texts), plain, atol=1e-6)
    np.testing.assert_allclose(embedding.get_text_embedding(texts[0]), plain[0], atol=1e-6)
    np.testing.assert_allclose(embedding.get_query_embedding(QUERY), modulated(retriever), atol=1e-6)
    vanilla = LexSemBridgeEmbedding(collection=retriever.store, vanilla=True)
    np.testing.assert_allclose(vanilla.get_query_embedding(QUERY), encoder.embed_query(QUERY), atol=1e-6)
    weak = LexSemBridgeEmbedding(collection=retriever.store, strength=0.1)
    assert np.dot(weak.get_query_embedding(QUERY), encoder.embed_query(QUERY)) > 0.99
    assert all(isinstance(value, float) for value in embedding.get_query_embedding(QUERY))
    assert embedding.similarity(embedding.get_query_embedding(QUERY), modulated(retriever)) == pytest.approx(1)


async def test_asynchronous_variants_give_the_same(retriever: LexSemBridgeRetriever) -> None:
    embedding = LexSemBridgeEmbedding(collection=retriever.store, embed_batch_size=2)
    texts = list(TEXTS.values())
    expected = embedding.get_text_embedding_batch(texts)
    assert await embedding.aget_query_embedding(QUERY) == embedding.get_query_embedding(QUERY)
    assert await embedding.aget_text_embedding(texts[0]) == embedding.get_text_embedding(texts[0])
    assert await embedding.aget_text_embedding_batch(texts) == expected
    assert await embedding.aget_text_embedding_batch(texts, show_progress=True) == expected


def test_a_collection_in_every_form(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    folder = retriever.store.path
    assert folder is not None
    collection = collection_in(folder)
    forms: list[dict[str, Any]] = [
        {"collection": "manual", "persist_dir": folder},
        {"collection": "manual", "client": chromadb.PersistentClient(folder)},
        {"collection": collection},
        {"collection": ChromaVectorStore(chroma_collection=collection)},
        {"collection": retriever.store},
    ]
    for form in forms:
        embedding = LexSemBridgeEmbedding(encoder=encoder, **form)
        np.testing.assert_allclose(embedding.get_query_embedding(QUERY), modulated(retriever), atol=1e-6)
        assert embedding.collection == "manual"


def test_as_the_embed_model_of_an_index_in_memory(
    encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    embedding = LexSemBridgeEmbedding(encoder=encoder)
    with caplog.at_level(logging.WARNING, "lsb_rag"):
        np.testing.assert_allclose(embedding.get_query_embedding(QUERY), encoder.embed_query(QUERY), atol=1e-6)
        index = VectorStoreIndex(manual_nodes(), embed_model=embedding)
        for _ in range(2):
            assert index.as_retriever().retrieve(QUERY)[0].node.node_id == "pump"
    assert [record.message for record in caplog.records] == [NOTHING_SEEN, SELF_FITTED]
    assert not np.allclose(embedding.get_query_embedding(QUERY), encoder.embed_query(QUERY), atol=1e-2)


def test_on_chroma_a_later_process_sees_the_collection(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    vector_store = ChromaVectorStore(chroma_collection=collection_in(tmp_path))
    storage = StorageContext.from_defaults(vector_store=vector_store)
    embedding = LexSemBridgeEmbedding(encoder=encoder, collection=vector_store)
    VectorStoreIndex(manual_nodes(), embed_model=embedding, storage_context=storage)
    again = LexSemBridgeEmbedding(encoder=encoder, collection="manual", persist_dir=tmp_path)
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=again)
    assert index.as_retriever().retrieve("E-4013")[0].node.node_id == "drain"
    np.testing.assert_allclose(again.get_query_embedding(QUERY), embedding.get_query_embedding(QUERY), atol=1e-6)
    assert not np.allclose(again.get_query_embedding(QUERY), encoder.embed_query(QUERY), atol=1e-2)


def test_in_settings(encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = LexSemBridgeEmbedding(encoder=encoder)
    index = VectorStoreIndex(manual_nodes())
    assert index.as_retriever().retrieve(QUERY)[0].node.node_id == "pump"


def test_a_changed_document_replaces_the_old_one(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    vector_store = ChromaVectorStore(chroma_collection=collection_in(tmp_path))
    embedding = LexSemBridgeEmbedding(encoder=encoder, collection=vector_store)
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), embedding],
        vector_store=vector_store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    documents = [Document(text=text, id_=id) for id, text in TEXTS.items()]
    assert len(pipeline.run(documents=documents)) == len(TEXTS)
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=embedding)
    assert index.as_retriever().retrieve(QUERY)[0].text == TEXTS["pump"]
    changed = Document(text="E-4012: now it says that the belt is torn.", id_="pump")
    assert len(pipeline.run(documents=[changed, *documents[1:]])) == 1
    retriever = LexSemBridgeRetriever.from_index(index, similarity_top_k=5)
    retriever.refresh()  # as many records as before
    found = [node.text for node in retriever.retrieve(QUERY)]
    assert found[0] == changed.text
    assert TEXTS["pump"] not in found
    assert len(found) == len(TEXTS)


async def test_in_an_ingestion_pipeline_queries_options_do_not_key_the_cache(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = manual_nodes()
    by_name = [
        LexSemBridgeEmbedding(),
        LexSemBridgeEmbedding(collection=retriever.store.collection),
        LexSemBridgeEmbedding(collection="manual", persist_dir=retriever.store.path),
        LexSemBridgeEmbedding("all-MiniLM-L6-v2", strength=0.2),
    ]
    assert len({get_transformation_hash(nodes, one) for one in by_name}) == 1
    base = LexSemBridgeEmbedding(encoder=encoder)
    same = [
        LexSemBridgeEmbedding(encoder=encoder, strength=0.3, embed_batch_size=8, num_workers=2),
        LexSemBridgeEmbedding(encoder=encoder, embeddings_cache=SimpleKVStore()),
        LexSemBridgeEmbedding(encoder=encoder, vanilla=True),
        LexSemBridgeEmbedding(encoder=encoder, collection=retriever.store),
        LexSemBridgeEmbedding(encoder=encoder, bridge="some file"),
    ]
    key = get_transformation_hash(nodes, base)
    assert {get_transformation_hash(nodes, other) for other in same} == {key}
    others = [
        LexSemBridgeEmbedding(str(tiny_backbone)),
        LexSemBridgeEmbedding(encoder=LexSemBridgeEncoder(tiny_backbone)),
    ]
    shorter = LexSemBridgeEncoder(tiny_backbone)
    shorter.model.max_seq_length = 16
    others.append(LexSemBridgeEmbedding(encoder=shorter))
    assert len({get_transformation_hash(nodes, other) for other in [base, *others]}) == 4

    pipeline = IngestionPipeline(transformations=[base])
    first = await pipeline.arun(nodes=nodes)
    monkeypatch.setattr(encoder, "encode_document", None)  # must not be called again
    pipeline.transformations = [same[0]]
    second = await pipeline.arun(nodes=nodes)
    assert [node.embedding for node in second] == [node.embedding for node in first]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_embeddings_cache_never_gives_a_passage_for_a_query(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, asynchronous: bool
) -> None:
    embedding = LexSemBridgeEmbedding(collection=retriever.store, embeddings_cache=SimpleKVStore())
    plain = encoder.encode_document(QUERY)
    for _ in range(2):
        if asynchronous:
            query = await embedding.aget_query_embedding(QUERY)
            text = (await embedding.aget_text_embedding_batch([QUERY]))[0]
        else:
            query, text = embedding.get_query_embedding(QUERY), embedding.get_text_embedding_batch([QUERY])[0]
        np.testing.assert_allclose(text, plain, atol=1e-6)
        np.testing.assert_allclose(query, modulated(retriever), atol=1e-6)
    assert embedding.embeddings_cache.get(QUERY, collection="embeddings") is not None  # texts are kept


class Recorder(BaseEventHandler):
    """Keeps the embedding events."""

    events: list[Any] = []  # noqa: RUF012 - a pydantic field

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, EmbeddingEndEvent):
            self.events.append(event)


def test_events_as_of_any_embedding(retriever: LexSemBridgeRetriever) -> None:
    recorder = Recorder()
    handlers = get_dispatcher().event_handlers
    handlers.append(recorder)
    try:
        LexSemBridgeEmbedding(collection=retriever.store, embeddings_cache=SimpleKVStore()).get_query_embedding(QUERY)
    finally:
        handlers.remove(recorder)
    assert [event.chunks for event in recorder.events] == [[QUERY]]


def test_fit_save_load(tmp_path: Path, retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    embedding = LexSemBridgeEmbedding(encoder=encoder)
    embedding.fit([retriever.store.text(id) for id in TEXTS])
    np.testing.assert_allclose(embedding.get_query_embedding(QUERY), modulated(retriever), atol=1e-5)
    embedding.save(tmp_path / "bridge")
    loaded = LexSemBridgeEmbedding.load(tmp_path / "bridge")
    np.testing.assert_allclose(loaded.get_query_embedding(QUERY), modulated(retriever), atol=1e-5)
    embedding.fit_collection(retriever.store.collection)
    assert (embedding.collection, embedding.persist_dir) == ("manual", str(retriever.store.path))
    with pytest.raises(ValueError, match="frozen"):
        embedding.collection = "other"
    np.testing.assert_allclose(embedding.get_query_embedding(QUERY), modulated(retriever), atol=1e-6)
    embedding.refresh()
    embedding.fit(["E-1", "E-2"])
    assert (embedding.collection, embedding.persist_dir) == (None, None)
    with pytest.raises(InvalidInputError, match="no collection to fit on"):
        embedding.refresh()
    with pytest.raises(ReadError, match="no saved bridge"):
        LexSemBridgeEmbedding.load(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="takes a ChromaVectorStore"):
        embedding.fit_collection("manual")


def test_to_dict_and_pickle_round_trip(
    tmp_path: Path, retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    LexSemBridgeEmbedding(collection=retriever.store).save(tmp_path / "bridge")
    itself = LexSemBridgeEmbedding(strength=0.5)
    itself.fit(list(TEXTS.values()))
    sources = [
        LexSemBridgeEmbedding(collection=retriever.store, strength=0.3, embed_batch_size=7),
        LexSemBridgeEmbedding(collection="manual", persist_dir=retriever.store.path, vanilla=True),
        LexSemBridgeEmbedding(bridge=tmp_path / "bridge"),
        itself,
    ]
    for embedding in sources:
        expected = embedding.get_query_embedding(QUERY)
        pickled = pickle.dumps(embedding)
        assert len(pickled) < (4_000_000 if embedding is itself else 4_000)
        again = pickle.loads(pickled)  # noqa: S301 - our own
        np.testing.assert_allclose(again.get_query_embedding(QUERY), expected, atol=1e-6)
        written = json.dumps(embedding.to_dict())
        assert len(written) < 2000
        assert "sk-secret" not in written + repr(embedding) + str(pickled)
        rebuilt = LexSemBridgeEmbedding.from_dict(json.loads(written))
        assert rebuilt.to_dict() == embedding.to_dict()
        if embedding is not itself:  # to_dict() keeps options, save() what was fitted
            np.testing.assert_allclose(rebuilt.get_query_embedding(QUERY), expected, atol=1e-6)
    assert LexSemBridgeEmbedding.class_name() == "LexSemBridgeEmbedding"
    in_memory = LexSemBridgeEmbedding(collection=PassageStore(None, "llama-in-memory", encoder))
    with pytest.raises(TypeError, match="in memory"):
        pickle.dumps(in_memory)
    with pytest.raises(InvalidInputError, match="persist_dir= or client="):
        LexSemBridgeEmbedding.from_dict(in_memory.to_dict())


def test_another_backbone_is_refused(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, tiny_backbone: Path
) -> None:
    for collection in (retriever.store, retriever.store.collection):
        embedding = LexSemBridgeEmbedding(str(tiny_backbone), collection=collection)
        for call in (embedding.get_query_embedding, embedding.get_text_embedding):
            with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny"):
                call(QUERY)
    options = {**LexSemBridgeEmbedding(encoder=encoder).to_dict(), "model_name": str(tiny_backbone)}
    other = LexSemBridgeEmbedding.from_dict(options)
    for call in (other.get_query_embedding, other.get_text_embedding):
        with pytest.raises(FingerprintMismatchError, match="give theirs as encoder="):
            call(QUERY)


def test_a_collection_brings_its_backbone_by_name_too(tmp_path: Path, tiny_backbone: Path) -> None:
    PassageStore(tmp_path, "tiny", LexSemBridgeEncoder(tiny_backbone, device="cpu")).add(["valve", "pump"])
    embedding = LexSemBridgeEmbedding(collection="tiny", persist_dir=tmp_path)
    assert embedding.model_name == str(tiny_backbone)
    assert len(embedding.get_query_embedding(QUERY)) == 32


def test_fit_counts_beside_what_was_seen_in_batches(
    encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = encoder.encode_document

    def counted(texts: list[str], **options: Any) -> Any:
        sizes.append(len(texts))
        return real(texts, **options)

    monkeypatch.setattr(encoder, "encode_document", counted)
    embedding = LexSemBridgeEmbedding(encoder=encoder, embed_batch_size=2)
    embedding.get_text_embedding_batch(list(TEXTS.values()))
    assert max(sizes) == 2
    embedding.fit(["one more", *TEXTS.values()])
    assert embedding._embedder.bridge.statistics.n_passages == len(TEXTS) + 1  # type: ignore[union-attr]


def test_handlers_and_caches_are_not_pickled(retriever: LexSemBridgeRetriever) -> None:
    manager = CallbackManager([LlamaDebugHandler(print_trace_on_end=False)])
    embedding = LexSemBridgeEmbedding(
        collection=retriever.store, callback_manager=manager, embeddings_cache=SimpleKVStore()
    )
    again = pickle.loads(pickle.dumps(embedding))  # noqa: S301 - our own
    assert again.callback_manager.handlers == []
    assert again.embeddings_cache is None
    assert json.loads(json.dumps(embedding.to_dict()))["model_name"] == "all-MiniLM-L6-v2"


def test_bad_options(retriever: LexSemBridgeRetriever) -> None:
    with pytest.raises(InvalidInputError, match="persist_dir= or client="):
        LexSemBridgeEmbedding(collection="manual")
    with pytest.raises(InvalidInputError, match="not both"):
        LexSemBridgeEmbedding(collection=retriever.store, bridge="file")
    contradictions: list[dict[str, Any]] = [
        {"encoder": retriever.store.encoder, "model_name": "all-MiniLM-L6-v2"},
        {"collection": "manual", "persist_dir": "db", "client": object()},
    ]
    for contradiction in contradictions:
        with pytest.raises(InvalidInputError, match="not both"):
            LexSemBridgeEmbedding(**contradiction)
    with pytest.raises(InvalidInputError, match="Name the collection="):
        LexSemBridgeEmbedding(persist_dir="db")
    for wrong in ({"collection": 3}, {"bridge": retriever.store.bridge}):
        with pytest.raises(InvalidTypeError, match="takes a"):
            LexSemBridgeEmbedding(**wrong)  # type: ignore[arg-type]
    invalid: list[dict[str, Any]] = [
        {"strength": -1},
        {"strength": float("nan")},
        {"embed_batch_size": 0},
        {"model": "all-MiniLM-L6-v2"},
        {"stength": 0.3},
    ]
    for options in invalid:
        with pytest.raises(InvalidInputError):
            LexSemBridgeEmbedding(**options)
    embedding = LexSemBridgeEmbedding(collection=retriever.store)
    with pytest.raises(InvalidInputError, match="blank"):
        embedding.get_query_embedding("\n")
    with pytest.raises(LsbRagError, match="not NoneType"):
        embedding.get_query_embedding(None)  # type: ignore[arg-type]
