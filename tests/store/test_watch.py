from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from lsb_rag import Passage, PassageStore, Retriever
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.store import fitted, watch

from ..conftest import MANUAL
from ..statistics.test_in_memory import assert_same
from .counting import counted, from_scratch, reopened


def test_as_many_added_as_deleted_elsewhere_is_seen(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.0)
    other = reopened(store)
    other.add(["Written by somebody else: E-8800"])
    other.delete(["pump"])
    assert len(store) == len(MANUAL)
    assert store.bridge.statistics.df("e-8800") == 1
    assert store.bridge.statistics.df("e-4012") == 0
    store.add(["one more"])
    assert_same(store.bridge.statistics, from_scratch(store))
    assert_same(reopened(store).bridge.statistics, from_scratch(store))


def test_as_many_added_as_deleted_by_another_program_is_seen(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fit()
    vector = store.encoder.encode_document("E-8800")
    store.collection.add(ids=["a foreign one"], documents=["E-8800"], embeddings=vector)
    store.collection.update("pump", metadatas={"seen": True})  # which leaves it where it is in the order
    store.collection.delete(["lunch"])
    assert len(store) == len(MANUAL)
    store.fitted.recheck()
    assert store.bridge.statistics.df("e-8800") == 1
    assert_same(store.bridge.statistics, from_scratch(store))
    calls = counted(monkeypatch)
    store.delete(store.ids())
    assert store.bridge.statistics.n_passages == 0
    assert calls == [len(MANUAL)]


def test_a_database_that_nobody_writes_to_is_not_asked(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = store.collection.count, []
    monkeypatch.setattr(store.collection, "count", lambda: asked.append(1) or real())

    def look() -> bool:
        asked.clear()
        store.fitted._watch._rests_until = 0.0
        store.fit()
        return bool(asked)

    assert look()
    assert look()  # another write may leave the same time
    monkeypatch.setattr(watch, "SAME_TIME_SECONDS", 0.0)
    assert look()
    assert not look()
    store.fitted.recheck()
    assert look()
    assert not look()
    vector = store.encoder.encode_document("E-8800")
    for change in (
        lambda: store.collection.add(ids=["a foreign one"], documents=["E-8800"], embeddings=vector),
        lambda: store.collection.delete(["lunch"]),
        lambda: store.add(["one of ours"]),
    ):
        change()
        assert look()
        assert_same(store.bridge.statistics, from_scratch(store))
        look()
        assert not look()


def test_looking_takes_a_tenth_of_the_time_at_most(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.01)
    real, looks = store.collection.count, []

    def count() -> int:
        looks.append(time.monotonic())
        time.sleep(0.05)
        return real()

    monkeypatch.setattr(store.collection, "count", count)
    store.fitted.recheck()
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        store.fit()
    assert len(looks) == 1


def test_large_collections_are_not_scanned(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.fit()
    monkeypatch.setattr(watch, "SCAN_LIMIT", 3)
    vector = store.encoder.encode_document("E-8800 by somebody else")
    store.collection.add(ids=["foreign"], documents=["E-8800 by somebody else"], embeddings=vector)
    again = reopened(store)
    assert again.bridge.statistics.df("e-8800") == 0
    assert "holds 8 records, of which 7 are counted; refresh() counts the rest" in caplog.text
    again.add(["E-9900 by ourselves"])
    assert again.bridge.statistics.df("e-9900") == 1
    assert_same(again.refresh().statistics, from_scratch(store))
    other = PassageStore(store.path, "other", store.encoder)
    vectors = store.encoder.encode_document(["one", "two", "three", "four"])
    other.collection.add(ids=list("1234"), documents=["one", "two", "three", "four"], embeddings=vectors)
    assert other.bridge.statistics.n_passages == 4  # the first fit is of all, however many


def test_what_another_process_adds_is_seen(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.05)
    reopened(store).add(["Written by somebody else: E-8800"])
    time.sleep(0.06)
    assert store.bridge.statistics.df("e-8800") == 1


def test_a_search_goes_on_while_another_process_writes(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    monkeypatch.setattr(fitted, "READER_SECONDS", 0.1)
    other = StatisticsFile(store.fitted.file.path, 384, store.fitted.file._about)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with other.writing():
            other.expect(["lunch"])
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    store.fitted.recheck()
    assert Retriever(store).search("E-4012", 1)[0].id == "pump"
    release.set()
    thread.join()


def test_older_statistics_put_in_place_are_brought_up_to_date(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "SAME_TIME_SECONDS", 0.0)
    store.fit()
    store.fitted.file.checkpoint()
    path = store.fitted.file.path
    shutil.copy(path, tmp_path / "kept")
    store.delete(["lunch"])
    store.add([Passage("E-8800", id="another")])
    for _ in range(3):
        store.fitted._watch._rests_until = 0.0
        store.fit()
    store.fitted.file.checkpoint()
    (tmp_path / "kept").replace(path)
    store.fitted._watch._rests_until = 0.0
    assert store.bridge.statistics.df("e-8800") == 1
    assert_same(store.bridge.statistics, from_scratch(store))


def test_what_others_swapped_meanwhile_is_found_on_opening(store: PassageStore) -> None:
    store.fit()
    vector = store.encoder.encode_document("E-8800 in place of lunch")
    store.collection.delete(["lunch"])
    store.collection.add(
        ids=["swapped"], documents=["E-8800 in place of lunch"], embeddings=vector
    )  # as many as before
    again = reopened(store)
    assert_same(again.bridge.statistics, from_scratch(store))
    assert again.bridge.statistics.df("e-8800") == 1
