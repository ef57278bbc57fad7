"""Search without the index: the same hits from one opening of a database to the next."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.api.shared_system_client import SharedSystemClient

from lsb_rag.store import collection as collection_module
from lsb_rag.store.client import open_collection
from lsb_rag.store.collection import ChromaCollection
from lsb_rag.store.embedded import FileState
from lsb_rag.store.exact import HeldVectors, VectorTable
from lsb_rag.store.spaces import Space

N, D = 1500, 32


def look_alike(n: int = N, seed: int = 0) -> np.ndarray:
    """Vectors of texts that differ in a number: nearly equal, and at length 1."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=D) + 1e-3 * random.normal(size=(n, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(folder: Path, vectors: np.ndarray, space: str = "cosine") -> Any:
    client = chromadb.PersistentClient(folder)
    raw = client.create_collection("codes", configuration={"hnsw": {"space": space}}, embedding_function=None)
    for start in range(0, len(vectors), 256):
        part = range(start, min(start + 256, len(vectors)))
        raw.add(
            [f"p{n}" for n in part],
            embeddings=vectors[part.start : part.stop],
            documents=[f"E-{n}" for n in part],
            metadatas=[{"even": n % 2 == 0} for n in part],
        )
    return raw


def opened_anew(folder: Path) -> ChromaCollection:
    """Return the collection as a process sees it that has just started."""
    SharedSystemClient.clear_system_cache()
    return found(folder)


def found(folder: Path) -> ChromaCollection:
    return open_collection(folder, "codes", None)


def test_opened_twenty_times_it_gives_the_same_hits(tmp_path: Path) -> None:
    vectors = look_alike()
    filled(tmp_path, vectors)
    vector = look_alike(1, seed=1)[0] * 0.1 + vectors.mean(axis=0)
    cosines = vectors.astype(np.float64) @ vector / np.linalg.norm(vector)
    seen = set()
    for _ in range(20):
        collection = opened_anew(tmp_path)
        found = collection.nearest(vector, 100), collection.nearest(vector, 100, {"even": False})
        for hits, among in zip(found, (cosines, cosines[1::2]), strict=True):
            assert [hit.cosine for hit in hits] == pytest.approx(sorted(among, reverse=True)[:100], abs=1e-6)
        assert {hit.text for hit in collection.nearest(vector, 100, None, {"$contains": "E-77"})} == {
            f"E-{n}" for n in range(N) if f"E-{n}".startswith("E-77")
        }
        seen.add(tuple((hit.id, hit.score) for hits in found for hit in hits))
    assert len(seen) == 1


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
def test_the_scores_are_those_of_the_index(tmp_path: Path, space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    vectors = random.normal(size=(60, D)).astype(np.float32)  # of various lengths
    filled(tmp_path, vectors, space)
    collection, vector = found(tmp_path), random.normal(size=D)
    exact = collection.nearest(vector, 10)
    monkeypatch.setattr(collection_module, "EXACT_BYTES", 0)
    by_index = opened_anew(tmp_path).nearest(vector, 10)
    assert [hit.id for hit in exact] == [hit.id for hit in by_index]
    assert [hit.score for hit in exact] == pytest.approx([hit.score for hit in by_index], abs=1e-6)


def test_every_change_is_seen(tmp_path: Path) -> None:
    vectors = look_alike(40)
    raw, collection = filled(tmp_path, vectors), found(tmp_path)
    target = np.eye(D, dtype=np.float32)[3]
    assert collection.nearest(target, 1)[0].cosine < 0.9
    for id in ("p7", "new"):  # changed in place, and added, by a client that we do not know of
        raw.upsert(id, embeddings=target, documents="now")
        hit = collection.nearest(target, 1)[0]
        assert (hit.id, hit.text) == (id, "now") or hit.cosine == pytest.approx(1)
        raw.delete([id])
        assert collection.nearest(target, 1)[0].id not in ("p7", "new")
    collection.upsert(["ours"], [target], ["ours"], [None])
    assert collection.nearest(target, 1)[0].id == "ours"


def test_deleted_between_choice_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = look_alike(40)
    raw, collection = filled(tmp_path, vectors), found(tmp_path)
    best = collection.nearest(vectors[5], 1)[0].id
    table = collection._held_table(D)
    assert table is not None
    table.rows.clear()  # its text was not fetched yet
    real = VectorTable.nearest

    def slow(*arguments: Any) -> Any:
        chosen = real(*arguments)
        raw.delete([best])
        return chosen

    monkeypatch.setattr(VectorTable, "nearest", slow)
    hits = collection.nearest(vectors[5], 3)
    assert len(hits) == 3
    assert best not in [hit.id for hit in hits]


def test_texts_are_fetched_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = look_alike(40)
    raw, collection = filled(tmp_path, vectors), found(tmp_path)
    os.utime(tmp_path / "chroma.sqlite3", (time.time() - 60, time.time() - 60))  # settled
    seen: list[list[str]] = []
    real = collection.rows
    monkeypatch.setattr(collection, "rows", lambda ids: seen.append(list(ids)) or real(ids))
    first = collection.nearest(vectors[5], 3)
    assert [hit.id for hit in collection.nearest(vectors[5], 4)[:3]] == [hit.id for hit in first]
    assert [len(ids) for ids in seen] == [3, 1]
    first[0].metadata["changed"] = "by whom it was given to"  # type: ignore[index]
    assert "changed" not in collection.nearest(vectors[5], 1)[0].metadata
    changed = {"embeddings": vectors[5:6], "documents": ["another text"], "metadatas": [{"edition": 2}]}
    raw.update([first[0].id], **changed)
    again = collection.nearest(vectors[5], 1)[0]
    assert (again.id, again.text, again.metadata["edition"]) == (first[0].id, "another text", 2)


def test_equal_vectors_are_chosen_by_id() -> None:
    table = VectorTable(["c", "a", "b", "far"], np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32))
    vector = np.array([1, 0], np.float32)
    assert table.nearest(vector, 2, Space("cosine"), None) == [("a", 1.0), ("b", 1.0)]
    assert table.nearest(vector, 9, Space("cosine"), ["far", "gone"]) == [("far", 0.0)]
    assert table.nearest(vector, 9, Space("cosine"), []) == []


def test_handles_share_what_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = look_alike(40)
    filled(tmp_path, vectors)
    os.utime(tmp_path / "chroma.sqlite3", (time.time() - 60, time.time() - 60))  # settled
    first, second = found(tmp_path), found(tmp_path)
    reads: list[int] = []
    real = ChromaCollection._vector_table
    monkeypatch.setattr(ChromaCollection, "_vector_table", lambda self: reads.append(1) or real(self))
    threads = [
        threading.Thread(target=lambda one=one: one.nearest(vectors[0], 5)) for one in (first, second) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == [1]


def test_read_at_a_write_it_is_read_again_and_not_all_the_time(tmp_path: Path) -> None:
    now = time.time_ns()
    held, reads = HeldVectors(), []
    state = (FileState(1, 2, now),)

    def read() -> None:
        reads.append(1)
        time.sleep(0.01)

    held.table(state, 0, read)
    held.table(state, 0, read)
    held.table((FileState(1, 3, now),), 0, read)  # changes at once: the index is searched for a while
    assert reads == [1]
    held._rests_until = 0.0
    held.table(state, 0, read)  # the same state, but what was read may have been from before it
    assert reads == [1, 1]
    older, held._rests_until = (FileState(1, 2, now - 60 * 10**9),), 0.0
    for _ in range(3):
        held.table(older, 0, read)
    assert reads == [1, 1, 1]
