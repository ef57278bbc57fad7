from __future__ import annotations

import gc
import pickle
from pathlib import Path

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import (
    CollectionNotFoundError,
    InvalidInputError,
    InvalidTypeError,
    StoreError,
)

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


def test_delete(store: PassageStore) -> None:
    assert store.delete(["pump", "no such id"]) == 1
    assert store.delete([]) == 0
    assert "pump" not in store.ids()
    assert store.bridge.statistics.df("e-4012") == 0


def test_more_ids_than_sqlite_takes_at_once(tmp_path: Path, tiny_backbone: Path) -> None:
    store = PassageStore(tmp_path, "many", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    store.add([Passage("valve", id="v")])
    many = [f"id{number}" for number in range(40_000)]
    assert store.delete([*many, "v", "v"]) == 1
    with pytest.raises(InvalidInputError, match="no passage 'id0'"):
        store.vectors(many)
    with pytest.raises(InvalidTypeError, match="in brackets"):
        store.delete("v")


def test_a_store_for_passages_takes_a_list_that_can_be_added_afterwards(encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidTypeError, match="passages must be a Collection, not generator"):
        PassageStore.for_passages((text for text in ["a"]), encoder=encoder, default_name="manual")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="blank"):
        PassageStore.for_passages([" "], encoder=encoder, default_name="manual")
    made = PassageStore.for_passages(["a pump"], encoder=encoder, default_name="manual")
    assert made.add(["a pump"]) == len(made) == 1


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
    with pytest.raises(StoreError, match="Listing"):
        store.query(vector, where={"$nonsense": 1})
    with pytest.raises(InvalidInputError, match="no passage 'nope'"):
        store.vectors(["nope"])


def test_an_empty_collection_answers_with_nothing(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore(tmp_path, "empty", encoder)
    assert store.query(encoder.embed_query("anything")) == []
    assert store.add([]) == 0
    assert store.bridge.direction({"a": 1.0}) is None


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


def test_a_store_in_memory_goes_with_its_last_reference(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(encoder)
    store.add(["one"])
    name = store.name
    PassageStore(None, name, encoder, create=False)
    del store
    gc.collect()
    with pytest.raises(CollectionNotFoundError):
        PassageStore(None, name, encoder, create=False)


def test_the_writes_of_this_process_are_seen_at_once(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    beside = reopened(store, encoder)
    beside.fit()
    store.add([Passage("E-8800 in place of lunch", id="lunch")])  # as many as before
    assert beside.bridge.statistics.df("e-8800") == 1
