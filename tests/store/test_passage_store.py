from __future__ import annotations

import gc
import pickle
from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.backbones.base import UNNAMED
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import (
    BackboneError,
    CollectionNotFoundError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
    StoreError,
)
from lsb_rag.store import collection
from lsb_rag.store.client import collection_names

from ..chroma_server import chroma_server
from ..conftest import MANUAL


def reopened(store: PassageStore, encoder: LexSemBridgeEncoder | None = None) -> PassageStore:
    return PassageStore(store.path, store.name, encoder, create=False)


def assert_same_hits(store: PassageStore, other: PassageStore) -> None:
    found, expected = (Retriever(one).search("E-4012", 3) for one in (store, other))
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-5)


def records(store: PassageStore) -> dict[str, tuple[object, object]]:
    found = store.collection.get()
    return {i: (d, m) for i, d, m in zip(found["ids"], found["documents"], found["metadatas"], strict=True)}


def test_passages_come_back_as_they_went_in(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    assert len(store) == len(MANUAL)
    found = records(store)
    for passage in MANUAL:
        document, metadata = found[passage.id]
        assert document == passage.content
        title = {"title": passage.title} if passage.title else {}
        assert (metadata or {}) == {**passage.metadata, **title}
    expected = encoder.encode_document([passage.content for passage in MANUAL])
    np.testing.assert_allclose(store.vectors([p.id for p in MANUAL]), expected, atol=1e-6)


def test_plain_texts_get_ids_from_their_content(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore(tmp_path, "texts", encoder)
    assert store.add(["one text", "another", "one text"]) == 2
    assert store.add(["another", "a third"]) == 1
    assert sorted(store.ids()) == sorted(Passage(text).id for text in ("one text", "another", "a third"))


def test_what_is_stored_is_not_embedded_again(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[str] = []
    real = store.encoder.encode_document
    monkeypatch.setattr(store.encoder, "encode_document", lambda texts: embedded.extend(texts) or real(texts))
    changed = Passage("Replaced text", id="lunch", metadata={"kind": "new"})
    relabelled = Passage(MANUAL[5].text, id="office", metadata={"year": 2030})
    assert store.add([*MANUAL[:5], relabelled, changed]) == 1
    assert embedded == ["Replaced text"]
    assert records(store)["lunch"] == ("Replaced text", {"kind": "new"})  # "year" is gone
    assert records(store)["office"] == (MANUAL[5].text, {"year": 2030})
    assert len(store) == len(MANUAL)


def test_an_interrupted_add_goes_on(
    tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "BATCH", 10)
    texts = [f"passage number {n} about part P-{n}" for n in range(45)]

    def stop(done: int, total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PassageStore(tmp_path, "parts", encoder).add(texts, progress=stop)
    again = PassageStore(tmp_path, "parts", encoder)
    assert len(again) == 20
    seen: list[tuple[int, int]] = []
    assert again.add(texts, progress=lambda done, total: seen.append((done, total))) == 25
    assert seen == [(30, 45), (40, 45), (45, 45)]  # what is stored already says nothing of the rate
    assert len(again) == 45
    assert again.bridge.statistics.n_passages == 45
    assert again.bridge.statistics.df("p-7") == 1


def test_a_failed_write_leaves_no_wrong_statistics(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(store.collection), "upsert", fail)
        with pytest.raises(StoreError, match="No space left on device"):
            store.add(["a new passage about E-9999"])
    assert store.bridge.statistics.df("e-9999") == 0
    assert store.bridge.statistics.n_passages == len(store) == len(MANUAL)
    assert reopened(store).bridge.statistics.n_passages == len(MANUAL)


def test_delete(store: PassageStore) -> None:
    assert store.delete(["pump", "no such id"]) == 1
    assert store.delete([]) == 0
    assert "pump" not in store.ids()
    assert store.bridge.statistics.df("e-4012") == 0


@pytest.mark.parametrize(
    ("passages", "error", "message"),
    [
        (["fine", "  "], InvalidInputError, "empty or blank"),
        (["fine", ""], InvalidInputError, "empty or blank"),
        ([Passage("one", id="x"), Passage("two", id="x")], InvalidInputError, "given twice with different content"),
        ([Passage("one", id="x"), Passage("one", id="x", metadata={"a": 1})], InvalidInputError, "different metadata"),
        (["fine", 3], InvalidTypeError, "not int"),
        (None, InvalidTypeError, "a list of passages"),
        (["fine", Passage("x", metadata={"nested": {"a": 1}})], InvalidInputError, "cannot be stored"),  # type: ignore[dict-item]
        (["fine", Passage("x", metadata={"nan": float("nan")})], InvalidInputError, "cannot be stored"),
        (["fine", Passage("x", metadata={"none": None})], InvalidInputError, "cannot be stored"),  # type: ignore[dict-item]
        (["fine", Passage("x", metadata={"big": 10**30})], InvalidInputError, "cannot be stored"),
        (["fine", Passage("x", metadata={"chroma:document": "y"})], InvalidInputError, "cannot be stored"),
        (["fine", "lone \ud800"], InvalidInputError, "surrogate"),
        ("a string", InvalidTypeError, "in brackets"),
    ],
)
def test_bad_passages_are_refused_before_anything_is_stored(
    store: PassageStore, passages: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.add(passages)
    assert len(store) == len(MANUAL)


@pytest.mark.parametrize("name", ["text", "id", "title"])
def test_a_passage_is_made_of_strings(name: str) -> None:
    with pytest.raises(InvalidTypeError, match=f"The {name} of a passage"):
        Passage(**{"text": "fine", name: 5})  # type: ignore[arg-type]


def test_more_ids_than_sqlite_takes_at_once(tmp_path: Path, tiny_backbone: Path) -> None:
    store = PassageStore(tmp_path, "many", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    store.add([Passage("valve", id="v")])
    many = [f"id{number}" for number in range(40_000)]
    assert store.delete([*many, "v", "v"]) == 1
    with pytest.raises(InvalidInputError, match="no passage 'id0'"):
        store.vectors(many)
    with pytest.raises(InvalidTypeError, match="in brackets"):
        store.delete("v")


def test_query_by_vector(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    vector = encoder.embed_query("when is lunch")
    hits = store.query(vector, k=100)
    assert len(hits) == len(MANUAL)
    assert hits[0].id == "lunch"
    assert hits[0].metadata == {"kind": "notice", "year": 2025}
    exact = store.vectors([hit.id for hit in hits]) @ vector
    np.testing.assert_allclose([hit.score for hit in hits], exact, atol=1e-5)
    assert [hit.id for hit in store.query(vector, 5, {"year": {"$lt": 2025}})] == ["office"]
    assert store.ids({"kind": "notice"}) == ["office", "lunch"]


def test_bad_vectors_and_k_are_refused(store: PassageStore) -> None:
    vector = store.vectors(["pump"])[0]
    for k in (0, -1, 2.5, True):
        with pytest.raises(InvalidInputError, match="k must be"):
            store.query(vector, k)  # type: ignore[arg-type]
    broken = vector.copy()
    broken[3] = np.nan
    with pytest.raises(InvalidInputError, match="finite"):
        store.query(broken)
    assert len(store.query(vector, 2**70)) == len(MANUAL)
    assert store.vectors([]).shape == (0, 384)
    assert len(store.query(vector, np.int64(2))) == 2  # type: ignore[arg-type]
    assert store.query(vector.tolist(), 1) == store.query(vector, 1)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="dimension"):
        store.query(vector[:10])
    with pytest.raises(StoreError, match="Searching"):
        store.query(vector, where={"$nonsense": 1})
    with pytest.raises(InvalidInputError, match="no passage 'nope'"):
        store.vectors(["nope"])


def test_an_empty_collection_answers_with_nothing(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore(tmp_path, "empty", encoder)
    assert store.query(encoder.embed_query("anything")) == []
    assert store.add([]) == 0
    assert store.bridge.direction({"a": 1.0}) is None


def test_a_collection_is_reopened_with_its_own_backbone(tmp_path: Path, tiny_backbone: Path) -> None:
    tiny = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    PassageStore(tmp_path, "tiny", tiny).add(["valve", "pump"])
    again = PassageStore(tmp_path, "tiny")
    assert again.fingerprint == tiny.fingerprint
    assert again.encoder.dimension == 32


def test_units_are_kept_and_a_folder_is_found_from_anywhere(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_backbone.parent)
    encoder = LexSemBridgeEncoder(tiny_backbone.name, units="wordpieces", device="cpu")
    PassageStore(tmp_path, "pieces", encoder).add(["valve", "pump"])
    monkeypatch.chdir(tmp_path)
    again = PassageStore(tmp_path, "pieces")
    assert again.encoder.units == "wordpieces"
    assert again.bridge.statistics.n_passages == 2


def test_a_model_loaded_by_hand_cannot_be_found_by_name(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(load_backbone(tiny_backbone, device="cpu"))
    encoder.backbone.name = UNNAMED
    PassageStore(tmp_path, "unnamed", encoder).add(["valve"])
    with pytest.raises(BackboneError, match="encoder=LexSemBridgeEncoder"):
        _ = PassageStore(tmp_path, "unnamed").encoder
    assert PassageStore(tmp_path, "unnamed", encoder).encoder is encoder


def test_another_backbone_is_refused_naming_both(
    store: PassageStore, tiny_backbone: Path, encoder: LexSemBridgeEncoder
) -> None:
    other = reopened(store, LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny.*dimension: 384 against 32"):
        other.add(["a new passage"])
    assert len(reopened(store, encoder)) == len(MANUAL)


def test_a_collection_of_another_program_is_checked_by_its_vectors(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    client = chromadb.PersistentClient(str(tmp_path), settings=chromadb.Settings(anonymized_telemetry=False))
    cosine = {"hnsw": {"space": "cosine"}}
    texts = [passage.content for passage in MANUAL]
    same = client.create_collection("same", embedding_function=None, configuration=cosine)
    same.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=3.0 * encoder.encode_document(texts))
    other = client.create_collection("other", embedding_function=None, configuration=cosine)
    random = np.random.default_rng(0).normal(size=(len(texts), 384))
    other.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=random)

    attached = PassageStore(tmp_path, "same", encoder, create=False)
    assert attached.fingerprint is None
    assert attached.bridge.statistics.df("e-4012") == 1
    statistics = attached.bridge.statistics
    vectors = statistics.vectors(statistics.postings(["e-4012"])[0])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    with pytest.raises(FingerprintMismatchError, match="another program"):
        _ = PassageStore(tmp_path, "other", encoder).encoder


def test_a_missing_collection_is_named_with_those_there(store: PassageStore, tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFoundError, match=r"no collection 'none'.*holds manual"):
        PassageStore(store.path, "none", create=False)
    with pytest.raises(CollectionNotFoundError, match="holds no collection yet"):
        PassageStore(tmp_path / "nowhere", "none", create=False)
    assert not (tmp_path / "nowhere").exists()
    assert collection_names(store.path) == ["manual"]


def test_a_name_chroma_refuses_and_a_path_that_is_a_file(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(StoreError, match="3-512 characters"):
        PassageStore(tmp_path, "x", encoder)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="Opening the database"):
        PassageStore(tmp_path / "file", "name", encoder)


def test_a_store_in_memory(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore(None, "manual-in-memory", encoder)
    store.add(MANUAL)
    assert store.path is None
    assert "in memory" in repr(store)
    assert Retriever(store).search("what does E-4012 mean", k=1)[0].id == "pump"
    beside = PassageStore(None, "manual-in-memory", encoder, create=False)
    assert beside.bridge.statistics.df("e-8800") == 0
    store.add([Passage("E-8800 in place of lunch", id="lunch")])  # as many as before
    assert beside.bridge.statistics.df("e-8800") == 1
    assert store.statistics_bytes == 0
    with pytest.raises(CollectionNotFoundError, match=r"in the database\. It holds .*manual-in-memory"):
        PassageStore(None, "none", encoder, create=False)
    with pytest.raises(TypeError, match="in memory, on a server or under a tenant"):
        pickle.dumps(store)


def test_an_open_collection_is_taken_as_it_is(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    same = PassageStore.from_collection(store.collection, encoder)
    assert (same.path, same.name, len(same)) == (store.path, "manual", len(MANUAL))
    assert_same_hits(same, store)


def test_a_pickled_store_is_a_reference(store: PassageStore) -> None:
    data = pickle.dumps(store)
    assert len(data) < 1000
    again = pickle.loads(data)  # noqa: S301 - our own
    assert_same_hits(again, store)


def test_one_folder_by_several_spellings_and_settings(
    tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chromadb.PersistentClient("./spelled", settings=chromadb.Settings(anonymized_telemetry=False))
    store = PassageStore("spelled", "manual", encoder)
    store.add(MANUAL)
    other = PassageStore(tmp_path / "spelled", "manual", encoder, create=False)
    other.fit()
    store.add(["one more about E-8800"])
    assert Retriever(other).search("E-8800", 1)[0].text == "one more about E-8800"
    chromadb.PersistentClient("./own", settings=chromadb.Settings(allow_reset=True))
    with pytest.raises(StoreError, match="settings of its own; give that client"):
        PassageStore("own", "manual", encoder)


def test_a_server(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    with chroma_server(tmp_path) as (client, process):
        store = PassageStore(client, "manual", encoder)
        store.add(MANUAL)
        assert store.path is None
        assert Retriever(store).search("what does E-4012 mean", k=1)[0].id == "pump"
        process.kill()
        process.wait()
        with pytest.raises(StoreError, match=r"server does not answer.*Check that it runs"):
            Retriever(store).search("what does E-4012 mean")
        assert "manual" in repr(store)  # asks nothing


def test_a_store_in_memory_goes_with_its_last_reference(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(encoder)
    store.add(["one"])
    name = store.name
    PassageStore(None, name, encoder, create=False)
    del store
    gc.collect()
    with pytest.raises(CollectionNotFoundError):
        PassageStore(None, name, encoder, create=False)


def test_a_deleted_collection_says_so(store: PassageStore, tmp_path: Path) -> None:
    retriever = Retriever(store)
    retriever.search("E-4012")
    chromadb.PersistentClient(store.path).delete_collection("manual")  # type: ignore[arg-type]
    with pytest.raises(CollectionNotFoundError, match=r"not there any more.*open it again"):
        store.query(np.ones(384))  # type: ignore[arg-type]


def test_the_writes_of_this_process_are_seen_at_once(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    beside = reopened(store, encoder)
    beside.fit()
    store.add([Passage("E-8800 in place of lunch", id="lunch")])  # as many as before
    assert beside.bridge.statistics.df("e-8800") == 1


def test_a_sample_is_looked_for_where_the_texts_are(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("mixed", embedding_function=None)
    random = np.random.default_rng(0).normal(size=(20, 384))
    collection.add(ids=[f"bare{n}" for n in range(20)], embeddings=random)
    assert PassageStore.from_collection(collection, encoder).encoder is encoder  # no text: nothing to compare
    texts = [f"text {n}" for n in range(5)]
    collection.add(ids=texts, documents=texts, embeddings=random[:5])
    with pytest.raises(FingerprintMismatchError, match="embedded again"):
        _ = PassageStore.from_collection(collection, encoder).encoder
    narrow = chromadb.PersistentClient(tmp_path).create_collection("narrow", embedding_function=None)
    narrow.add(ids=["a"], embeddings=np.ones((1, 16)))
    with pytest.raises(FingerprintMismatchError, match="dimension: 16 against 384"):
        _ = PassageStore.from_collection(narrow, encoder).encoder


def test_a_prompt_that_may_be_the_reason_is_named(tmp_path: Path, tiny_backbone: Path) -> None:
    model = load_backbone(tiny_backbone, device="cpu")
    collection = chromadb.PersistentClient(tmp_path).create_collection("prompted", embedding_function=None)
    texts = ["the valve stays open", "the pump stopped"]
    collection.add(ids=texts, documents=texts, embeddings=model.encode(texts))
    model.prompts = {"query": "query: ", "document": "passage: "}
    with pytest.raises(FingerprintMismatchError, match="puts 'passage: ' before a text"):
        _ = PassageStore.from_collection(collection, LexSemBridgeEncoder(model)).encoder


def test_a_passage_that_somebody_replaces_while_it_is_relabelled(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = reopened(store, store.encoder)
    real = store.fitted.changing
    theirs = [Passage("Beta gamma delta", id="lunch", metadata={"b": 2})]

    def changing(ids: list[str]) -> object:
        if theirs:  # between our reading and our lock
            other.add([theirs.pop()])
        return real(ids)

    monkeypatch.setattr(store.fitted, "changing", changing)
    ours = Passage(MANUAL[6].text, id="lunch", metadata={"c": 3})
    store.add([ours])
    assert store.get(["lunch"]) == [ours]
    np.testing.assert_allclose(store.vectors(["lunch"])[0], store.encoder.encode_document(ours.text), atol=1e-6)
    assert store.bridge.statistics.df("gamma") == 0
    assert other.bridge.statistics.df("canteen") == 1
