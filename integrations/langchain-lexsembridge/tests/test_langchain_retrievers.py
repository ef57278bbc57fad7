from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from langchain_chroma import Chroma
from langchain_classic.retrievers import MultiQueryRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumps, loads
from langchain_core.runnables import ConfigurableField
from langchain_lexsembridge import LexSemBridgeEmbeddings, LexSemBridgeRetriever
from sentence_transformers import SentenceTransformer

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.errors import (
    CollectionNotFoundError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    LsbRagError,
)
from lsb_rag.retriever import RERANK_WEIGHT

from .conftest import DOCUMENTS, QUERY, TEXTS


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_documents_carry_id_score_and_rank(retriever: LexSemBridgeRetriever) -> None:
    documents = retriever.invoke(QUERY)
    assert documents[0].id == "pump"
    assert documents[0].page_content == TEXTS["pump"]
    assert [document.metadata["rank"] for document in documents] == [1, 2, 3]
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    documents[0].metadata["kind"] = "changed"
    again = retriever.invoke(QUERY)[0]
    confidence = again.metadata["confidence"]
    assert 0 < confidence < 1
    assert again.metadata == {"kind": "fault", "score": scores[0], "confidence": confidence, "rank": 1}
    stored = retriever.store.collection.get(["pump"])["metadatas"]
    assert stored == [{"kind": "fault"}]


def test_min_confidence_in_the_constructor_and_per_call(retriever: LexSemBridgeRetriever) -> None:
    every = retriever.invoke(QUERY)
    confidences = [document.metadata["confidence"] for document in every]
    sure = LexSemBridgeRetriever(store=retriever.store, k=3, min_confidence=max(confidences))
    assert [document.id for document in sure.invoke(QUERY)] == [every[confidences.index(max(confidences))].id]
    assert len(sure.invoke(QUERY, min_confidence=0)) == len(every)
    assert retriever.invoke(QUERY, min_confidence=1) == []
    with pytest.raises(InvalidInputError):
        LexSemBridgeRetriever(store=retriever.store, min_confidence=2)


def test_k_filter_and_threshold_in_the_constructor_and_per_call(retriever: LexSemBridgeRetriever) -> None:
    assert len(retriever.invoke(QUERY)) == 3
    assert len(retriever.invoke(QUERY, k=1)) == 1
    notices = {"kind": "notice"}
    assert set(ids(retriever.invoke(QUERY, filter=notices))) == {"office", "lunch"}
    best, second = (document.metadata["score"] for document in retriever.invoke(QUERY, k=2))
    assert ids(retriever.invoke(QUERY, score_threshold=(best + second) / 2)) == ["pump"]
    fixed = retriever.model_copy(update={"k": 5, "filter": notices, "score_threshold": best})
    assert fixed.invoke(QUERY) == []
    assert len(fixed.invoke(QUERY, score_threshold=-1.0)) == 2
    with pytest.raises(TypeError, match="top_k"):
        retriever.invoke(QUERY, top_k=3)


def test_the_twins_differ_in_the_modulation_alone(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder
) -> None:
    store = retriever.store
    plain, turned = encoder.embed_query(QUERY), encoder.encode_query(QUERY, bridge=store.bridge)
    vanilla = LexSemBridgeRetriever(store=store, vanilla=True, k=5)
    vector_only = LexSemBridgeRetriever(store=store, rerank=False, k=5)
    for twin, vector in ((vanilla, plain), (vector_only, turned)):
        expected = store.query(vector, 5)
        documents = twin.invoke(QUERY)
        assert ids(documents) == [hit.id for hit in expected]
        np.testing.assert_allclose([d.metadata["score"] for d in documents], [h.score for h in expected], atol=1e-6)
    both = LexSemBridgeRetriever(store=store, vanilla=True, rerank=True, k=5).invoke(QUERY)
    assert both == LexSemBridgeRetriever(store=store, strength=0.0, k=5).invoke(QUERY)
    weighted = LexSemBridgeRetriever(store=store, rerank=0.7, sentences=False, k=1).invoke(QUERY)[0]
    default = LexSemBridgeRetriever(store=store, rerank=True, sentences=False, k=1).invoke(QUERY)[0]
    cosine = float(store.vectors(["pump"])[0] @ turned)
    lexical = float(store.rerank.scores(QUERY, [TEXTS["pump"]])[0])
    assert weighted.metadata["score"] == pytest.approx(cosine + 0.7 * lexical, abs=1e-5)
    assert default.metadata["score"] == pytest.approx(cosine + RERANK_WEIGHT * lexical, abs=1e-5)


async def test_asynchronous_and_batched(retriever: LexSemBridgeRetriever) -> None:
    expected = retriever.invoke(QUERY, k=2)
    assert await retriever.ainvoke(QUERY, k=2) == expected
    together = retriever.batch([QUERY, "when is lunch"])
    assert [documents[0].id for documents in together] == ["pump", "lunch"]
    assert [d[0].id for d in await retriever.abatch([QUERY, "when is lunch"])] == ["pump", "lunch"]
    assert await retriever.aadd_documents([Document("E-9001: the gearbox.", id="gear")]) == ["gear"]
    assert (await retriever.ainvoke("E-9001"))[0].id == "gear"
    assert await retriever.aadd_texts(["E-9002: the belt."], ids=["belt"]) == ["belt"]
    assert await retriever.adelete(["gear", "belt"])
    assert "gear" not in ids(await retriever.ainvoke("E-9001", k=5))


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.events.append(("start", {"query": query, **{key: kwargs[key] for key in ("tags", "metadata", "name")}}))

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.events.append(("end", ids(documents)))

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.events.append(("error", error))


def test_traced_as_langchain_traces_retrievers(retriever: LexSemBridgeRetriever) -> None:
    tagged = retriever.model_copy(update={"tags": ["mine"], "metadata": {"team": "pumps"}, "k": 1})
    recorder = Recorder()
    tagged.invoke(QUERY, {"callbacks": [recorder], "tags": ["call"], "run_name": "manual lookup"})
    (start, details), (end, found) = recorder.events
    assert (start, end, found) == ("start", "end", ["pump"])
    assert details["query"] == QUERY
    assert details["name"] == "manual lookup"
    assert set(details["tags"]) == {"mine", "call"}
    expected = {"team": "pumps", "ls_retriever_name": "lexsembridge", "ls_vector_store_provider": "Chroma"}
    assert details["metadata"].items() >= expected.items()
    with pytest.raises(InvalidInputError, match="blank"):
        tagged.invoke(" ", {"callbacks": [recorder]})
    assert recorder.events[-2][1]["name"] == "LexSemBridgeRetriever"
    assert isinstance(recorder.events[-1][1], LsbRagError)


def test_configurable_fields(retriever: LexSemBridgeRetriever) -> None:
    flexible = retriever.configurable_fields(k=ConfigurableField("k"), strength=ConfigurableField("strength"))
    assert len(flexible.invoke(QUERY)) == 3
    configured = flexible.with_config(configurable={"k": 2, "strength": 0.0})
    expected = LexSemBridgeRetriever(store=retriever.store, k=2, strength=0.0).invoke(QUERY)
    assert configured.invoke(QUERY) == expected
    assert expected != retriever.invoke(QUERY, k=2)


def test_adding_again_adds_nothing_and_equal_texts_of_two_sources_stay_two(retriever: LexSemBridgeRetriever) -> None:
    documents = [Document("E-9001: the gearbox.", metadata={"source": source, "page": None}) for source in ("a", "b")]
    added = retriever.add_documents(documents)
    assert len(set(added)) == 2
    assert retriever.add_documents(documents) == added
    assert len(retriever.store) == len(TEXTS) + 2
    found = retriever.invoke("E-9001", k=2)
    assert {document.metadata["source"] for document in found} == {"a", "b"}
    assert "page" not in found[0].metadata
    assert not retriever.delete([*added, "never there"])
    assert len(retriever.store) == len(TEXTS)


def test_ids_come_from_the_call_the_document_or_the_content(retriever: LexSemBridgeRetriever) -> None:
    documents = [Document("one", id="mine"), Document("two", id="mine too"), Document("three")]
    given = retriever.add_documents(documents, ids=["given", None, None])
    assert given[:2] == ["given", "mine too"]
    assert len(given[2]) == 32
    tagged = retriever.add_texts(["with lists"], [{"tags": ["x", "y"], "scores": [1.5, 2.5]}], ids=["listed"])
    assert retriever.store.collection.get(tagged)["metadatas"] == [{"tags": ["x", "y"], "scores": [1.5, 2.5]}]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.add_texts(["one", "two"], ids=["a"]), "2 documents and 1 ids"),
        (lambda r: r.add_texts(["one", "two"], [{}]), "2 texts and 1 metadatas"),
        (lambda r: r.add_texts(["one", " "]), "empty or blank"),
        (lambda r: r.add_texts(["one"], [{"nested": {"a": 1}}]), "cannot be stored"),
        (lambda r: r.add_texts(["one"], [{"mixed": ["a", 1]}]), "cannot be stored"),
        (lambda r: r.add_texts(["one"], [{"none": []}]), "cannot be stored"),
        (lambda r: r.add_texts(["one", "two"], ids=["same", "same"]), "given twice"),
        (lambda r: r.add_texts("abc"), "in brackets"),
        (lambda r: r.add_texts(["one", "two"], ids="ab"), "in brackets"),
        (lambda r: r.add_texts([Document("one")]), "documents go to add_documents"),
        (lambda r: r.add_documents(["one"]), "texts go to add_texts"),
        (lambda r: r.add_texts(["one"], [{1: "x", "a": 2}]), "cannot be stored"),
        (lambda r: r.delete(None), "list of ids"),
        (lambda r: r.from_chroma(None), "not NoneType"),
        (lambda r: r.invoke(""), "empty or blank"),
        (lambda r: r.invoke(QUERY, k=0), "k must be"),
    ],
)
def test_bad_input_stores_nothing(retriever: LexSemBridgeRetriever, call: Any, message: str) -> None:
    with pytest.raises((InvalidInputError, InvalidTypeError), match=message):
        call(retriever)
    assert len(retriever.store) == len(TEXTS)


@pytest.mark.parametrize("options", [{"k": 0}, {"rerank": -1.0}, {"candidates": 0}, {"strength": -0.5}, {"top_k": 3}])
def test_bad_options_are_refused_at_once(retriever: LexSemBridgeRetriever, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        LexSemBridgeRetriever(store=retriever.store, **options)


def test_what_is_refused_leaves_no_collection(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match="empty or blank"):
        LexSemBridgeRetriever.from_texts(["ok", " "], persist_directory=tmp_path, model=encoder)
    assert list(tmp_path.iterdir()) == []


def test_a_single_document_and_metadata_that_are_none(retriever: LexSemBridgeRetriever) -> None:
    assert retriever.add_documents(Document("E-9001: the gearbox.", id="gear")) == ["gear"]  # type: ignore[arg-type]
    assert len(retriever.add_texts(["no metadata"], [None])) == 1  # type: ignore[list-item]


def test_without_scores_equal_passages_are_equal_documents(retriever: LexSemBridgeRetriever) -> None:
    plain = retriever.model_copy(update={"include_scores": False})
    first, second = plain.invoke("E-4012"), plain.invoke("E-4013")
    assert next(d for d in first if d.id == "pump") == next(d for d in second if d.id == "pump")
    assert first[0].metadata == {"kind": "fault"}
    model = FakeListChatModel(responses=["E-4012\nE-4013"])
    assert len(MultiQueryRetriever.from_llm(plain, model).invoke("which errors")) == len({d.id for d in first + second})


def test_a_change_in_place_is_seen_after_refresh(retriever: LexSemBridgeRetriever) -> None:
    before = retriever.invoke("HJKL-55", k=5)
    store = retriever.store
    vector = store.encoder.encode_document("HJKL-55: the fuse blew.")
    store.collection.update("lunch", documents="HJKL-55: the fuse blew.", embeddings=vector)
    retriever.refresh()
    after = retriever.invoke("HJKL-55", k=5)
    assert after[0].id == "lunch"
    assert after[0].metadata["score"] > before[0].metadata["score"]


def test_schemas_can_be_asked_for() -> None:
    for kind in (LexSemBridgeRetriever, LexSemBridgeEmbeddings):
        assert "properties" in kind.model_json_schema()


class OtherEmbeddings(Embeddings):
    """Embeddings of another package that tell their model as `HuggingFaceEmbeddings` does: by `model_name`."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self._model = SentenceTransformer(model_name, device="cpu")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._model.encode(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_the_model_of_other_embeddings_is_taken_from_the_vector_store(tmp_path: Path, tiny_backbone: Path) -> None:
    theirs = Chroma("manual", OtherEmbeddings(str(tiny_backbone)), persist_directory=str(tmp_path))
    theirs.add_documents(DOCUMENTS, ids=list(TEXTS))
    retriever = LexSemBridgeRetriever.from_chroma(theirs, k=5)
    assert retriever.store.encoder.dimension == 32
    assert len(retriever.invoke(QUERY)) == 5


def test_a_cell_that_deletes_its_folder_is_run_again(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    for run in range(2):
        shutil.rmtree(tmp_path / "db", ignore_errors=True)
        texts = [f"E-4012: run {run}", "E-4013: the outlet is blocked."]
        retriever = LexSemBridgeRetriever.from_texts(texts, persist_directory=tmp_path / "db", model=encoder, k=5)
        assert sorted(document.page_content for document in retriever.invoke("E-4012")) == texts


def test_in_memory_each_has_its_own_collection(encoder: LexSemBridgeEncoder) -> None:
    first = LexSemBridgeRetriever.from_texts(["E-1 is a fuse"], model=encoder)
    second = LexSemBridgeRetriever.from_texts(["E-2 is a belt"], [{"page": 2}], ["belt"], model=encoder)
    assert [document.page_content for document in first.invoke("E-2")] == ["E-1 is a fuse"]
    assert second.invoke("E-2")[0].metadata["page"] == 2


def langchain_collection(folder: Path, encoder: LexSemBridgeEncoder) -> Chroma:
    """A collection as plain langchain-chroma makes it: L2, embeddings of another class, no metadata of ours."""
    vanilla = LexSemBridgeEmbeddings(encoder=encoder, vanilla=True)
    vector_store = Chroma("manual", vanilla, persist_directory=str(folder))
    vector_store.add_documents(DOCUMENTS, ids=list(TEXTS))
    return vector_store


def everything(collection: Any) -> Any:
    records = collection.get(include=["documents", "metadatas", "embeddings"])
    rows = zip(
        records["ids"],
        records["documents"],
        records["metadatas"],
        np.asarray(records["embeddings"]).tolist(),
        strict=True,
    )
    return collection.metadata, collection.configuration_json, list(rows)


def test_an_existing_collection_in_every_form_stays_as_it_is(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    vector_store = langchain_collection(tmp_path, encoder)
    before = everything(vector_store._collection)
    client = chromadb.PersistentClient(str(tmp_path))
    forms: list[tuple[Any, str | None]] = [
        (vector_store, None),
        (vector_store._collection, "manual"),
        (str(tmp_path), "manual"),
        (tmp_path, "manual"),
        (client, "manual"),
    ]
    found = []
    for source, name in forms:
        retriever = LexSemBridgeRetriever.from_chroma(source, name, model=encoder, k=3)
        documents = retriever.invoke(QUERY)
        assert documents[0].id == "pump"
        cosine = float(
            retriever.store.vectors(["pump"])[0] @ encoder.encode_query(QUERY, bridge=retriever.store.bridge)
        )
        only = LexSemBridgeRetriever.from_chroma(source, name, model=encoder, rerank=False, k=1)
        assert only.invoke(QUERY)[0].metadata["score"] == pytest.approx(cosine, abs=1e-5)
        found.append([(d.id, d.metadata) for d in documents])
    assert all(one == found[0] for one in found)
    assert everything(client.get_collection("manual", embedding_function=None)) == before
    assert LexSemBridgeRetriever.from_chroma(vector_store).store.encoder is encoder  # that of its embeddings
    retriever.add_documents([Document("E-9001: the gearbox.", id="gear")])
    assert vector_store.similarity_search("gearbox", k=1)[0].id == "gear"


def test_without_a_name_it_is_the_one_langchain_chroma_makes(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    Chroma(
        embedding_function=LexSemBridgeEmbeddings(encoder=encoder, vanilla=True), persist_directory=str(tmp_path)
    ).add_texts(["E-1 is a fuse"])
    assert len(LexSemBridgeRetriever.from_chroma(tmp_path, model=encoder).invoke("E-1")) == 1


def test_what_is_not_there_or_of_another_backbone_is_refused(
    tmp_path: Path, retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, tiny_backbone: Path
) -> None:
    with pytest.raises(CollectionNotFoundError, match="It holds manual"):
        LexSemBridgeRetriever.from_chroma(retriever.store.path, "none")
    with pytest.raises(CollectionNotFoundError):
        LexSemBridgeRetriever.from_chroma(tmp_path / "nowhere", "manual")
    with pytest.raises(InvalidInputError, match="leave collection_name='other' out"):
        LexSemBridgeRetriever.from_chroma(retriever.store.collection, "other")
    with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny"):
        LexSemBridgeRetriever.from_chroma(retriever.store.path, "manual", model=str(tiny_backbone))
    langchain_collection(tmp_path / "theirs", encoder)
    with pytest.raises(FingerprintMismatchError, match="another program"):
        LexSemBridgeRetriever.from_chroma(tmp_path / "theirs", "manual", model=str(tiny_backbone))


def test_pickled_for_another_process(retriever: LexSemBridgeRetriever, tmp_path: Path) -> None:
    data = pickle.dumps(retriever.model_copy(update={"rerank": 0.5, "filter": {"kind": "fault"}}))
    assert len(data) < 2000
    (tmp_path / "pickled").write_bytes(data)
    code = (
        "import pickle, sys; retriever = pickle.load(open(sys.argv[1], 'rb'));"
        f"print(*[(d.id, round(d.metadata['score'], 4)) for d in retriever.invoke({QUERY!r})])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "pickled")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    expected = retriever.model_copy(update={"rerank": 0.5}).invoke(QUERY, filter={"kind": "fault"})
    assert done.stdout.split() == [
        part for d in expected for part in str((d.id, round(d.metadata["score"], 4))).split()
    ]


def test_what_cannot_be_pickled_or_dumped_says_so(
    retriever: LexSemBridgeRetriever, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="in memory, on a server"):
        pickle.dumps(LexSemBridgeRetriever(store=PassageStore(None, "not-for-pickle", encoder)))
    monkeypatch.setenv("CHROMA_API_KEY", "ck-secret")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = dumps(retriever)
        assert '"not_implemented"' in written
        with pytest.raises(NotImplementedError):
            loads(written)
    assert "ck-secret" not in written + repr(retriever)
