from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError, InvalidTypeError, StoreError
from lsb_rag.store import collection
from lsb_rag.store.collection import ChromaCollection

from ..conftest import MANUAL

NOTICES = {"kind": "notice"}
BLOCKED = {"$contains": "blocked"}


def test_passages_are_read_back_as_they_were_added(store: PassageStore) -> None:
    assert store.get() == MANUAL
    assert store.get(["lunch", "unknown", "pump", "lunch"]) == [MANUAL[6], MANUAL[0], MANUAL[6]]
    assert store.get([]) == []
    with pytest.raises(InvalidTypeError, match="in brackets"):
        store.get("pump")


def test_pages(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [p for start in range(0, 9, 3) for p in store.get(limit=3, offset=start)] == MANUAL
    ids = [passage.id for passage in MANUAL]
    assert store.get(ids, limit=2, offset=1) == MANUAL[1:3]
    monkeypatch.setattr(collection, "PAGE", 2)
    assert store.get(ids) == MANUAL
    assert store.vectors(ids).shape == (7, 384)


def test_filters(store: PassageStore) -> None:
    assert [passage.id for passage in store.get(where=NOTICES)] == ["office", "lunch"]
    assert store.ids(where_document=BLOCKED) == ["pump", "drain"]
    assert [p.id for p in store.get(["pump", "lunch"], where_document=BLOCKED)] == ["pump"]
    assert {hit.id for hit in Retriever(store).search("E-4012", 10, where_document=BLOCKED)} == {"pump", "drain"}
    found = Retriever(store).search_batch(["E-4012"], 10, where=NOTICES, where_document={"$contains": "noon"})
    assert [[hit.id for hit in hits] for hits in found] == [["lunch"]]
    for filters in ({"where": {"$nonsense": 1}}, {"where_document": {"$nonsense": "x"}}):
        with pytest.raises(StoreError):
            store.get(**filters)
        with pytest.raises(StoreError):
            Retriever(store).search("E-4012", **filters)
        with pytest.raises(StoreError):
            store.delete(**filters)
    assert len(store) == len(MANUAL)


def test_more_than_there_are(store: PassageStore) -> None:
    assert len(Retriever(store).search("E-4012", 1000)) == len(MANUAL)
    assert len(Retriever(store, vanilla=True).search("E-4012", 1000, where=NOTICES)) == 2


def test_deleting_by_filter(store: PassageStore) -> None:
    store.fit()
    assert store.delete((id for id in ("pump", "lunch")), where=NOTICES) == 1  # type: ignore[arg-type]
    assert store.delete(where_document=BLOCKED) == 2
    assert store.delete(where={"kind": "none such"}) == 0
    with pytest.raises(InvalidInputError, match="removes everything"):
        store.delete()
    assert store.ids() == ["valve", "frozen", "sensor", "office"]
    assert store.bridge.statistics.n_passages == 4
    assert store.delete(store.ids()) == 4
    assert store.bridge.statistics.n_passages == 0


def test_without_the_index_up_to_a_size(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PassageStore.in_memory(LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    store.add([Passage("the same", id=str(number)) for number in range(100)])
    calls: list[int] = []
    real = ChromaCollection._vector_table
    monkeypatch.setattr(ChromaCollection, "_vector_table", lambda *arguments: calls.append(1) or real(*arguments))
    vector = store.encoder.embed_query("the same")
    assert len(store.query(vector, 60)) == 60
    assert calls == [1]
    assert len(store.query(vector, 20)) == 20  # equal ones, but not suspiciously many
    assert len(store.query(vector, 60, {"$and": [{"x": 1}, {"x": 1}]})) == 0
    monkeypatch.setattr(collection, "EXACT_LIMIT", 99)
    assert len(store.query(vector, 60)) == 60
    assert calls == [1]


def test_more_passages_than_chroma_gives_at_once() -> None:
    n, ids = 33_000, [str(number) for number in range(33_000)]
    client = chromadb.EphemeralClient()
    collection = client.create_collection("many", embedding_function=None)
    for start in range(0, n, 5000):
        part = ids[start : start + 5000]
        collection.add(ids=part, documents=part, embeddings=np.eye(2, dtype=np.float32)[[int(id) % 2 for id in part]])
    store = PassageStore.from_collection(collection)
    assert [passage.id for passage in store.get()] == ids
    assert [passage.id for passage in store.get(limit=3000, offset=2)] == ids[2:3002]
    assert [passage.id for passage in store.get(where_document={"$contains": "99"}, limit=2500)] == [
        id for id in ids if "99" in id
    ][:2500]
    client.delete_collection("many")
