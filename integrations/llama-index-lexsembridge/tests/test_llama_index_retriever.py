from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import (
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    QueryBundle,
    TextNode,
)
from llama_index.core.vector_stores import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.retrievers.lexsembridge.filters import where
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.errors import (
    CollectionNotFoundError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from lsb_rag.passage import embedded_text

from .conftest import QUERY, TEXTS, manual_nodes


def ids(nodes: list[Any]) -> list[str]:
    return [node.node.node_id for node in nodes]


def huggingface() -> HuggingFaceEmbedding:
    """An ordinary MiniLM embedding of LlamaIndex's own."""
    return HuggingFaceEmbedding(str(embedded_backbone()), device="cpu")


def index_of(folder: Path, embed_model: Any, name: str = "manual") -> VectorStoreIndex:
    """An index as plain LlamaIndex makes it: Chroma's L2 space, the text alone as document."""
    collection = chromadb.PersistentClient(folder).get_or_create_collection(name)
    storage = StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection))
    return VectorStoreIndex(manual_nodes(), embed_model=embed_model, storage_context=storage)


def everything(collection: Any) -> Any:
    records = collection.get(include=["documents", "metadatas", "embeddings"])
    vectors = np.asarray(records["embeddings"]).tolist()
    rows = zip(records["ids"], records["documents"], records["metadatas"], vectors, strict=True)
    return collection.metadata, collection.configuration_json, list(rows)


def test_nodes_come_back_with_id_metadata_and_relationships(retriever: LexSemBridgeRetriever) -> None:
    found = retriever.retrieve(QUERY)
    assert ids(found)[0] == "pump"
    node, original = found[0].node, manual_nodes()[0]
    confidence = node.metadata.pop("confidence")
    assert 0 < confidence < 1
    assert node.metadata == original.metadata
    assert node.relationships == original.relationships
    assert "confidence" not in node.get_content(MetadataMode.LLM) + node.get_content(MetadataMode.EMBED)
    assert node.ref_doc_id == "document-pump"
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    node.metadata["kind"] = "changed"
    assert retriever.retrieve(QUERY)[0].node.metadata == {**original.metadata, "confidence": confidence}


def test_min_confidence(retriever: LexSemBridgeRetriever) -> None:
    confidences = [one.node.metadata["confidence"] for one in retriever.retrieve(QUERY)]
    sure = LexSemBridgeRetriever(retriever.store, min_confidence=max(confidences))
    assert len(sure.retrieve(QUERY)) == 1
    with pytest.raises(InvalidInputError, match="min_confidence"):
        LexSemBridgeRetriever(retriever.store, min_confidence=1.5)


SEPARATED: dict[str, Any] = {"metadata_separator": "; "}
if "; " not in TextNode(metadata={"a": 1, "b": 2}, **SEPARATED).get_metadata_str():  # of an older version
    SEPARATED = {}


def test_the_embedded_text_is_rebuilt_from_what_is_stored(retriever: LexSemBridgeRetriever) -> None:
    nodes = [
        *manual_nodes(),
        TextNode(id_="plain", text="no metadata at all"),
        TextNode(id_="hidden", text="all left out", metadata={"a": 1}, excluded_embed_metadata_keys=["a"]),
        TextNode(
            id_="templates",
            text="with {braces} and {content}",
            metadata={"a": 1.5, "b": True, "c": "x {metadata_str}"},
            text_template="{{meta: {metadata_str}}} {content}",
            metadata_template='{{"{key:>3}": {value!r}}}',
            **SEPARATED,
        ),
        Document(id_="document", text="a document", metadata={"file_path": "/manuals/pump.md"}),
        IndexNode(id_="index", text="an index node", index_id="pump", metadata={"k": "v"}),
        Node(id_="node", text_resource=MediaResource(text="a node"), metadata={"k": "v"}),
    ]
    retriever.add_nodes(nodes)
    for node in nodes:
        assert retriever.store.text(node.node_id) == node.get_content(metadata_mode=MetadataMode.EMBED)
    texts = [node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
    np.testing.assert_allclose(
        retriever.store.vectors([node.node_id for node in nodes]),
        retriever.store.encoder.encode_document(texts),
        atol=1e-6,
    )


def test_metadata_left_out_of_the_embedding_is_left_out_of_the_statistics(retriever: LexSemBridgeRetriever) -> None:
    statistics = retriever.store.bridge.statistics
    assert statistics.df("fault") == 3
    assert statistics.df("page") == 5
    assert statistics.df("s-1") == statistics.df("secret") == 0
    assert retriever.store.rerank.scores("secret", [retriever.store.text("pump")])[0] == 0


def test_scores_are_cosines_without_rerank(retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder) -> None:
    store = retriever.store
    for options, vector in (
        ({"vanilla": True}, encoder.embed_query(QUERY)),
        ({"rerank": False}, encoder.encode_query(QUERY, bridge=store.bridge)),
    ):
        found = LexSemBridgeRetriever(store, similarity_top_k=5, **options).retrieve(QUERY)  # type: ignore[arg-type]
        cosines = store.vectors(ids(found)) @ vector
        np.testing.assert_allclose([one.score for one in found], cosines, atol=1e-5)
    both = LexSemBridgeRetriever(store, vanilla=True, rerank=True).retrieve(QUERY)
    assert both == LexSemBridgeRetriever(store, strength=0.0).retrieve(QUERY)
    weighted = LexSemBridgeRetriever(store, rerank=0.4, similarity_top_k=1).retrieve(QUERY)[0]
    expected = Retriever(store, rerank=0.4).search(QUERY, 1)[0]
    assert (weighted.node.node_id, weighted.score) == (expected.id, expected.score)


def flt(key: str, value: Any, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilter:
    return MetadataFilter(key=key, value=value, operator=operator)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (MetadataFilters(filters=[flt("kind", "notice")]), {"office", "lunch"}),
        (MetadataFilters(filters=[flt("page", 2, FilterOperator.GT), flt("kind", "fault")]), {"valve"}),
        (
            MetadataFilters(filters=[flt("page", 1), flt("page", 5)], condition=FilterCondition.OR),
            {"pump", "lunch"},
        ),
        (MetadataFilters(filters=[flt("page", [1, 2], FilterOperator.IN)]), {"pump", "drain"}),
        (MetadataFilters(filters=[flt("page", [1, 2], FilterOperator.NIN)]), {"valve", "office", "lunch"}),
        (
            MetadataFilters(
                filters=[
                    flt("kind", "fault", FilterOperator.NE),
                    MetadataFilters(filters=[flt("page", 4), flt("page", 1)], condition=FilterCondition.OR),
                ]
            ),
            {"office"},
        ),
        (MetadataFilters(filters=[]), set(TEXTS)),
    ],
)
def test_metadata_filters(retriever: LexSemBridgeRetriever, filters: MetadataFilters, expected: set[str]) -> None:
    filtered = LexSemBridgeRetriever(retriever.store, similarity_top_k=5, filters=filters)
    assert set(ids(filtered.retrieve(QUERY))) == expected


def test_filters_that_chroma_does_not_have_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no operator 'text_match'"):
        where(MetadataFilters(filters=[flt("kind", "x", FilterOperator.TEXT_MATCH)]))
    with pytest.raises(InvalidInputError, match="without 'kind'; store a value for it"):
        where(MetadataFilters(filters=[flt("kind", None, FilterOperator.IS_EMPTY)]))
    with pytest.raises(InvalidInputError, match="cannot negate a comparison with 'page'"):
        where(MetadataFilters(filters=[flt("page", 2, FilterOperator.GT)], condition=FilterCondition.NOT))
    with pytest.raises(InvalidInputError, match="'any' takes a list of values, not 'x'"):
        where(MetadataFilters(filters=[flt("tags", "x", FilterOperator.ANY)]))
    assert where(None) is None


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (FilterOperator.CONTAINS, "wet", {"a", "b"}),
        (FilterOperator.ANY, ["wet", "cold"], {"a", "b", "c"}),
        (FilterOperator.ALL, ["wet", "hot"], {"b"}),
    ],
)
def test_filters_over_lists(
    tmp_path: Path, encoder: LexSemBridgeEncoder, operator: FilterOperator, value: Any, expected: set[str]
) -> None:
    tags = {"a": ["wet"], "b": ["wet", "hot"], "c": ["cold"], "d": ["dry"]}
    store = PassageStore(tmp_path, "tags", encoder)
    store.add([Passage(f"Pump {id} is wet or dry.", id=id, metadata={"tags": kept}) for id, kept in tags.items()])
    for condition, found in ((FilterCondition.AND, expected), (FilterCondition.NOT, set(tags) - expected)):
        filters = MetadataFilters(filters=[flt("tags", value, operator)], condition=condition)
        assert set(ids(LexSemBridgeRetriever(store, 5, filters).retrieve("pump"))) == found


def test_copies_and_diversity(encoder: LexSemBridgeEncoder) -> None:
    texts = {**{f"copy-{n}": "E-4012: the inlet is blocked." for n in range(6)}, "drain": "E-4012 is cleared."}
    nodes = [TextNode(id_=id, text=text) for id, text in texts.items()]
    store = LexSemBridgeRetriever.from_nodes(nodes, model=encoder).store
    assert len(set(ids(LexSemBridgeRetriever(store, 3).retrieve(QUERY))) & {"drain"}) <= 1
    for options in ({"collapse": True}, {"vector_store_query_mode": "mmr", "similarity_top_k": 2}):
        assert sorted(ids(LexSemBridgeRetriever(store, **{"similarity_top_k": 5, **options}).retrieve(QUERY))) == [
            "copy-0",
            "drain",
        ]
    with pytest.raises(InvalidInputError, match="vector_store_query_mode"):
        LexSemBridgeRetriever(store, vector_store_query_mode="hybrid")


async def test_asynchronous_and_changing(retriever: LexSemBridgeRetriever) -> None:
    expected = retriever.retrieve(QUERY)
    assert await retriever.aretrieve(QUERY) == expected
    gear = TextNode(
        id_="gear",
        text="E-9001: the gearbox broke a tooth.",
        relationships={NodeRelationship.SOURCE: expected[0].node.source_node},  # type: ignore[dict-item]
    )
    assert await retriever.aadd_nodes([gear]) == ["gear"]
    assert ids(await retriever.aretrieve("E-9001"))[0] == "gear"
    retriever.delete_ref_doc("document-pump")
    assert set(retriever.store.ids()) == {"drain", "valve", "office", "lunch"}
    retriever.delete_nodes(["drain", "never there"])
    assert len(retriever.store) == 3


class Recorder(BaseEventHandler):
    """Keeps the retrieval events."""

    events: list[Any] = []  # noqa: RUF012 - a pydantic field

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, RetrievalStartEvent | RetrievalEndEvent):
            self.events.append(event)


def test_callbacks_and_events_as_of_any_retriever(retriever: LexSemBridgeRetriever) -> None:
    debug, recorder = LlamaDebugHandler(print_trace_on_end=False), Recorder()
    watched = LexSemBridgeRetriever(retriever.store, callback_manager=CallbackManager([debug]))
    handlers = get_dispatcher().event_handlers
    handlers.append(recorder)
    try:
        found = watched.retrieve(QUERY)
    finally:
        handlers.remove(recorder)
    assert [type(event) for event in recorder.events] == [RetrievalStartEvent, RetrievalEndEvent]
    assert recorder.events[1].nodes == found
    start, end = debug.get_event_pairs(CBEventType.RETRIEVE)[0]
    assert start.payload == {"query_str": QUERY}
    assert end.payload == {"nodes": found}


def test_recursive_retrieval_follows_index_nodes(retriever: LexSemBridgeRetriever) -> None:
    detail = TextNode(id_="detail", text="Turn the red handle twice.")
    summary = IndexNode(id_="summary", text="E-7777: see the appendix.", index_id="appendix", obj=detail)
    retriever.add_nodes([IndexNode(id_="summary", text="E-7777: see the appendix.", index_id="appendix")])
    following = LexSemBridgeRetriever(retriever.store, similarity_top_k=1, objects=[summary])
    assert ids(following.retrieve("E-7777")) == ["detail"]


def test_a_query_transform_gives_the_vector_the_question_the_rerank(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder
) -> None:
    vector_only = LexSemBridgeRetriever(retriever.store, rerank=False, similarity_top_k=1)
    one = QueryBundle("E-4012", custom_embedding_strs=["lunch in the canteen"])
    assert ids(vector_only.retrieve(one)) == ["lunch"]
    assert ids(LexSemBridgeRetriever(retriever.store, rerank=3.0).retrieve(one))[0] == "pump"
    texts = ["lunch in the canteen", "closed on public holidays"]
    mean = vector_only._retriever.embed(texts).mean(axis=0)
    found = LexSemBridgeRetriever(retriever.store, rerank=False, similarity_top_k=5).retrieve(
        QueryBundle("E-4012", custom_embedding_strs=texts)
    )
    expected = retriever.store.query(mean, 5)
    assert [(one.node.node_id, one.score) for one in found] == [(hit.id, hit.score) for hit in expected]


def test_a_vector_that_another_retriever_left_in_the_bundle_is_not_ours(
    tmp_path: Path, retriever: LexSemBridgeRetriever
) -> None:
    theirs = index_of(tmp_path / "theirs", MockEmbedding(8)).as_retriever()
    expected = retriever.retrieve("zx81")
    bundle = QueryBundle("zx81")
    theirs.retrieve(bundle)
    assert bundle.embedding is not None
    assert retriever.retrieve(bundle) == expected
    fusion = QueryFusionRetriever(
        [theirs, retriever], llm=MockLLM(), num_queries=1, similarity_top_k=1, use_async=False, mode="simple"
    )
    assert fusion.retrieve("zx81")  # a vector of 8 dimensions was left for ours


def test_a_cell_that_deletes_its_folder_is_run_again(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    for _ in range(2):
        shutil.rmtree(tmp_path / "db", ignore_errors=True)
        retriever = LexSemBridgeRetriever.from_nodes(manual_nodes(), persist_dir=tmp_path / "db", model=encoder)
        assert len(retriever.store) == len(TEXTS)
        assert retriever.retrieve(QUERY)[0].node_id == "pump"


def test_filters_may_be_changed(retriever: LexSemBridgeRetriever) -> None:
    retriever.filters = MetadataFilters(filters=[flt("page", 1)])
    assert ids(retriever.retrieve("lunch")) == ["pump"]
    with pytest.raises(InvalidTypeError, match="must be a MetadataFilters, not dict"):
        LexSemBridgeRetriever(retriever.store, filters={"page": 1})  # type: ignore[arg-type]


def test_instructions_before_texts_and_queries_are_carried_over(tmp_path: Path) -> None:
    embed_model = HuggingFaceEmbedding(
        str(embedded_backbone()), device="cpu", query_instruction="query: ", text_instruction="passage: "
    )
    index = index_of(tmp_path, embed_model)
    vanilla = LexSemBridgeRetriever.from_index(index, vanilla=True, similarity_top_k=5)
    vector = np.array(embed_model.get_query_embedding(QUERY))
    found = vanilla.retrieve(QUERY)
    np.testing.assert_allclose([one.score for one in found], vanilla.store.vectors(ids(found)) @ vector, atol=1e-5)
    assert ids(LexSemBridgeRetriever.from_index(index).retrieve(QUERY))[0] == "pump"
    with pytest.raises(FingerprintMismatchError, match="an instruction before its texts"):
        LexSemBridgeRetriever.from_chroma(index.vector_store, model="all-MiniLM-L6-v2")


def test_from_index_takes_the_options_of_its_embed_model(tmp_path: Path, tiny_backbone: Path) -> None:
    tiny = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    index = index_of(tmp_path, LexSemBridgeEmbedding(encoder=tiny, vanilla=True))
    debug = CallbackManager([LlamaDebugHandler(print_trace_on_end=False)])
    index._callback_manager, index._object_map = debug, {"appendix": retriever_object()}
    made = LexSemBridgeRetriever.from_index(index, similarity_top_k=5)
    assert made.store.encoder is tiny
    assert made.callback_manager is debug
    assert "appendix" in made.object_map
    plain = Retriever(made.store, vanilla=True).search(QUERY, 5)
    assert [(one.node.node_id, one.score) for one in made.retrieve(QUERY)] == [(hit.id, hit.score) for hit in plain]


def retriever_object() -> TextNode:
    return TextNode(text="the appendix")


def test_objects_of_index_nodes_are_kept(retriever: LexSemBridgeRetriever) -> None:
    detail = TextNode(id_="detail", text="Turn the red handle twice.")
    retriever.add_nodes([IndexNode(id_="summary", text="E-7777: see the appendix.", index_id="appendix", obj=detail)])
    assert ids(retriever.retrieve("E-7777"))[0] == "detail"


def test_refresh_sees_a_change_in_place(retriever: LexSemBridgeRetriever) -> None:
    store = retriever.store
    store.fit()
    vector = store.encoder.encode_document("HJKL-55: the fuse blew.")
    store.collection.update("lunch", documents="HJKL-55: the fuse blew.", embeddings=vector)
    retriever.refresh()
    assert store.bridge.statistics.df("hjkl-55") == 1


def test_a_damaged_node_is_a_text_node(retriever: LexSemBridgeRetriever) -> None:
    retriever.store.collection.update("pump", metadatas={"_node_content": "not json"})
    found = next(one for one in retriever.retrieve("E-4012") if one.node.node_id == "pump")
    assert found.node.get_content() == TEXTS["pump"]
    assert found.node.metadata["kind"] == "fault"


def test_a_collection_in_memory_lives_as_long_as_somebody_has_it(encoder: LexSemBridgeEncoder) -> None:
    vector_store = ChromaVectorStore(
        chroma_collection=LexSemBridgeRetriever.from_nodes(manual_nodes(), model=encoder).store.collection
    )
    gc.collect()
    assert ids(LexSemBridgeRetriever.from_chroma(vector_store, model=encoder).retrieve(QUERY))[0] == "pump"


@pytest.mark.parametrize("ours", [True, False])
def test_an_existing_collection_in_every_form_stays_as_it_is(
    tmp_path: Path, encoder: LexSemBridgeEncoder, ours: bool
) -> None:
    index = index_of(tmp_path, LexSemBridgeEmbedding(encoder=encoder, vanilla=True) if ours else huggingface())
    collection = chromadb.PersistentClient(tmp_path).get_collection("manual", embedding_function=None)
    before = everything(collection)
    forms: list[LexSemBridgeRetriever] = [
        LexSemBridgeRetriever.from_chroma(source, name, model=encoder)
        for source, name in (
            (tmp_path, "manual"),
            (chromadb.PersistentClient(tmp_path), "manual"),
            (collection, None),
            (index.vector_store, None),
        )
    ]
    forms.append(LexSemBridgeRetriever.from_index(index, vanilla=False))
    found = [[(one.node.node_id, round(one.score, 5)) for one in form.retrieve(QUERY)] for form in forms]
    assert found[0][0][0] == "pump"
    assert all(one == found[0] for one in found)
    assert forms[0].retrieve(QUERY)[0].node.ref_doc_id == "document-pump"
    assert everything(collection) == before


def test_chroma_vector_store_reads_what_we_write(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    made = LexSemBridgeRetriever.from_nodes(
        manual_nodes(), persist_dir=tmp_path, collection_name="manual", model=encoder
    )
    vector_store = ChromaVectorStore(chroma_collection=made.store.collection)
    theirs = index_of(tmp_path, huggingface(), "theirs").vector_store
    assert isinstance(theirs, ChromaVectorStore)
    (mine,), (yours,) = (store._collection.get(["pump"])["metadatas"] for store in (vector_store, theirs))
    assert mine == yours
    made.add_nodes([TextNode(id_="bare", text="with a None", metadata={"author": None})])
    assert vector_store._collection.get(["bare"])["metadatas"][0]["author"] == ""  # type: ignore[index]
    index = VectorStoreIndex.from_vector_store(vector_store, embed_model=LexSemBridgeEmbedding(collection=vector_store))
    assert index.as_retriever(similarity_top_k=1).retrieve("E-4013")[0].node.to_dict() == manual_nodes()[1].to_dict()


def test_records_of_another_program_are_text_nodes(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("plain", embedding_function=None)
    texts = list(TEXTS.values())
    metadatas: Any = [{"page": page} for page in range(len(texts))]
    collection.add(ids=list(TEXTS), documents=texts, embeddings=encoder.encode_document(texts), metadatas=metadatas)
    best = LexSemBridgeRetriever.from_chroma(collection, model=encoder).retrieve(QUERY)[0].node
    assert (best.node_id, best.get_content(), best.metadata["page"]) == ("pump", TEXTS["pump"], 0)


def test_what_is_not_there_not_chroma_or_of_another_backbone_is_refused(
    tmp_path: Path, retriever: LexSemBridgeRetriever, tiny_backbone: Path
) -> None:
    with pytest.raises(CollectionNotFoundError, match="It holds manual"):
        LexSemBridgeRetriever.from_chroma(retriever.store.path, "none")  # type: ignore[arg-type]
    with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny"):
        LexSemBridgeRetriever.from_chroma(retriever.store.path, "manual", model=str(tiny_backbone))  # type: ignore[arg-type]
    theirs = index_of(tmp_path / "theirs", MockEmbedding(384))
    with pytest.raises(FingerprintMismatchError, match="another program"):
        LexSemBridgeRetriever.from_index(theirs, model=retriever.store.encoder)
    with pytest.raises(InvalidInputError, match=r"SimpleVectorStore is not backed by Chroma.*from_index"):
        LexSemBridgeRetriever.from_chroma(VectorStoreIndex(manual_nodes(), embed_model=MockEmbedding(384)).vector_store)


def test_bad_input(retriever: LexSemBridgeRetriever) -> None:
    for options in ({"rerank": -1.0}, {"candidates": 0}, {"strength": -0.5}):
        with pytest.raises(InvalidInputError):
            LexSemBridgeRetriever(retriever.store, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="k must be"):
        LexSemBridgeRetriever(retriever.store, similarity_top_k=0).retrieve(QUERY)
    with pytest.raises(InvalidInputError, match="blank"):
        retriever.retrieve(" ")
    with pytest.raises(InvalidTypeError, match="not NoneType"):
        retriever.retrieve(QueryBundle(None))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="empty or blank"):
        retriever.add_nodes([TextNode(text="fine"), TextNode(text=" ")])
    with pytest.raises(InvalidInputError, match="cannot be stored"):
        retriever.add_nodes([TextNode(text="fine", metadata={"nested": {"a": 1}})])
    for call in (
        lambda: LexSemBridgeRetriever(retriever.store.collection),  # type: ignore[arg-type]
        lambda: LexSemBridgeRetriever.from_index(retriever.store),  # type: ignore[arg-type]
        lambda: LexSemBridgeRetriever.from_nodes(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidTypeError):
            call()
    with pytest.raises(InvalidInputError, match="leave collection_name='other' out"):
        LexSemBridgeRetriever.from_chroma(retriever.store.collection, "other")
    with pytest.raises(InvalidTypeError, match="wrap a text in a TextNode"):
        retriever.add_nodes(["a text"])  # type: ignore[list-item]
    assert len(retriever.store) == len(TEXTS)
    empty = LexSemBridgeRetriever.from_nodes([], model=retriever.store.encoder)
    assert empty.retrieve(QUERY) == []


def test_a_foreign_node_content_is_only_text() -> None:
    assert embedded_text("text", {"_node_content": "not json"}) == "text"
    assert embedded_text("text", {"_node_content": 7}) == "text"
    assert embedded_text("text", None) == "text"
    probing = '{"metadata": {"a": 1}, "text_template": "{content.__class__} {metadata_str}"}'
    assert embedded_text("text", {"_node_content": probing}) == "{content.__class__} a: 1"
