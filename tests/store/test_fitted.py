from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsb_rag import CorpusStatistics, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.statistics.base import Record, at_unit_length
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.store import fitted, statistics_folder, watch
from lsb_rag.store.collection import state_of_files

from ..conftest import MANUAL
from ..statistics.test_in_memory import assert_same


def from_scratch(store: PassageStore) -> CorpusStatistics:
    found = store.collection.get(include=["documents", "embeddings"])
    statistics = CorpusStatistics(store.encoder.dimension)
    for document, vector in zip(found["documents"], found["embeddings"], strict=True):
        if document:
            statistics.add([store.encoder.analyze(document)], at_unit_length(vector)[None])
    return statistics


def reopened(store: PassageStore) -> PassageStore:
    return PassageStore(store.path, store.name, store.encoder, create=False)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records are counted, and taken out, in each change of statistics."""
    calls: list[int] = []
    real = StatisticsFile.count

    def count(self: StatisticsFile, records: list[Record], gone: Sequence[str] = (), **options: bool) -> None:
        if records or gone:
            calls.append(len(records) + len(gone))
        real(self, records, gone, **options)

    monkeypatch.setattr(StatisticsFile, "count", count)
    return calls


def test_statistics_follow_what_is_added_and_deleted_without_a_new_fit(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fit()
    calls = counted(monkeypatch)
    store.add(["A new passage about E-7000", Passage("Lunch moved to one", id="lunch")])
    store.delete(["pump"])
    assert_same(store.bridge.statistics, from_scratch(store))
    assert store.bridge.statistics.df("e-7000") == 1
    assert calls == [2, 1]


def test_the_file_serves_the_next_one(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    expected = from_scratch(store)
    path, name, encoder = store.path, store.name, store.encoder
    del store
    calls = counted(monkeypatch)
    again = PassageStore(path, name, encoder, create=False)
    assert_same(again.bridge.statistics, expected)
    assert calls == []
    assert again.statistics_bytes >= again.fitted.file.path.stat().st_size > 0


def test_what_another_process_adds_is_seen(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.05)
    reopened(store).add(["Written by somebody else: E-8800"])
    time.sleep(0.06)
    assert store.bridge.statistics.df("e-8800") == 1


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


def test_the_state_of_a_databases_files(tmp_path: Path) -> None:
    assert state_of_files(None) is None
    assert state_of_files(tmp_path / "nowhere") is None
    file, log = tmp_path / "chroma.sqlite3", tmp_path / "chroma.sqlite3-wal"
    file.write_bytes(b"one")
    os.utime(file, (1e9, 1e9))
    states = [state_of_files(tmp_path)]
    assert states[0] is not None
    assert state_of_files(tmp_path) == states[0]
    log.write_bytes(b"one")
    states.append(state_of_files(tmp_path))
    file.write_bytes(b"two")
    os.utime(file, (1e9 + 1, 1e9 + 1))
    states.append(state_of_files(tmp_path))
    assert len({*states}) == 3
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "chroma.sqlite3").symlink_to(file)
    assert state_of_files(tmp_path / "linked") == states[-1]  # SQLite's log is beside the file itself


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


def test_deleting_and_replacing_what_another_program_changed_in_place(store: PassageStore) -> None:
    store.fit()
    for id in ("lunch", "office"):
        vector = store.encoder.encode_document("entirely other words")
        store.collection.update(id, documents="entirely other words", embeddings=vector)
    assert store.delete(["lunch"]) == 1
    store.fit()
    assert store.add([Passage("The office moved.", id="office")]) == 1
    assert_same(store.bridge.statistics, from_scratch(store))


def test_threads_may_search_while_another_adds(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.0)
    retriever, failures, done = Retriever(store), [], threading.Event()

    def search() -> None:
        try:
            while not done.is_set():
                retriever.search("what does E-4012 mean", 3)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        store.add([f"Error F-{number}: a brand new word{number}"])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert_same(store.bridge.statistics, from_scratch(store))
    assert Retriever(store).search("F-11", 1)[0].text.startswith("Error F-11")


def test_a_process_that_only_adds_leaves_the_file(tmp_path: Path, tiny_backbone: Path) -> None:
    code = (
        "import sys; from lsb_rag import LexSemBridgeEncoder, PassageStore;"
        "PassageStore(sys.argv[1], 'added', LexSemBridgeEncoder(sys.argv[2], device='cpu')).add(['valve', 'pump'])"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), str(tiny_backbone)], check=True)  # noqa: S603
    assert len(list((tmp_path / "lsb_rag").glob("*.sqlite3"))) == 1


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


def test_refresh_counts_what_changed_and_nothing_else(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()
    vector = store.encoder.encode_document("other words")
    store.collection.update(["lunch"], documents=["other words"], embeddings=vector)
    store.collection.update(["office"], documents=["text without a new vector"], embeddings=store.vectors(["office"]))
    store.collection.update(["sensor"], metadatas=[{"only": "metadata"}])
    calls = counted(monkeypatch)
    assert_same(store.refresh().statistics, from_scratch(store))
    assert calls == [2]


def test_refresh_sees_a_change_in_place(store: PassageStore) -> None:
    store.fit()
    vector = store.encoder.encode_document("E-6666 in place")
    store.collection.update("lunch", documents="E-6666 in place", embeddings=vector)
    assert store.bridge.statistics.df("e-6666") == 0  # Chroma has no sign of it
    assert store.refresh().statistics.df("e-6666") == 1


def as_in_a_new_process(store: PassageStore) -> PassageStore:
    store.fitted.file.close()
    statistics_folder._open_files.clear()
    return reopened(store)


@pytest.mark.parametrize(
    ("damage", "warning"),
    [
        ("missing", "are missing"),
        ("truncated", "are damaged"),
        ("shorter than a header", "are damaged"),
        ("garbage", "are damaged"),
        ("a page of zeros", "are damaged"),
        ("collection", "are of another collection"),
        ("units", "are of another units"),
        ("format", "are of an older format"),
        ("a file of version 1", "are missing"),
        ("another table", "are of an older format"),
    ],
)
def test_an_unusable_file_is_replaced(
    store: PassageStore, damage: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.fit()
    expected, path = from_scratch(store), store.fitted.file.path
    store.fitted.file.close()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:20_000])
    elif damage == "shorter than a header":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "garbage":
        path.write_text("no database " * 1000)
    elif damage == "a page of zeros":
        path.write_bytes(b"".join((path.read_bytes()[:100], bytes(16284), path.read_bytes()[16384:])))
    elif damage == "a file of version 1":
        path.unlink()
        expected.save(path.with_suffix(".safetensors"))
    elif damage == "another table":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE other (value)")
        other.close()
    else:
        with sqlite3.connect(path) as about:
            about.execute("UPDATE about SET value = 'x' WHERE key = ?", (damage,))
        about.close()
    with caplog.at_level(logging.WARNING):
        again = as_in_a_new_process(store)
        assert_same(again.bridge.statistics, expected)
    assert [warning in record.message for record in caplog.records] == [True]
    assert_same(as_in_a_new_process(again).bridge.statistics, expected)
    assert len(caplog.records) == 1


def test_a_file_removed_or_replaced_while_it_is_open(store: PassageStore) -> None:
    store.fit()
    beside = StatisticsFile(store.fitted.file.path, 384, {"collection": "other", "units": "words"})  # empties it
    assert beside.n_records == 0
    store.add([Passage("E-8800 in place of lunch", id="lunch")])
    store.fitted.recheck()
    assert store.bridge.statistics.df("e-8800") == 1
    for side in ("", "-wal", "-shm"):
        store.fitted.file.path.with_name(store.fitted.file.path.name + side).unlink(missing_ok=True)
    store.add([Passage("E-9900 in place of the office", id="office")])
    store.fitted.recheck()
    assert_same(store.bridge.statistics, from_scratch(store))
    assert_same(as_in_a_new_process(store).bridge.statistics, from_scratch(store))


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


def test_indexing_goes_on_over_damaged_statistics(store: PassageStore) -> None:
    store.fit()
    store.fitted.file._connection.execute("DROP TABLE pending")
    assert store.add(["E-8800: the belt slipped."]) == 1
    assert_same(store.bridge.statistics, from_scratch(store))


def test_damage_that_shows_later_is_mended_at_the_next_search(
    store: PassageStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.add([f"part P-{number} of the pump" for number in range(300)])
    store.fit()
    expected, path = from_scratch(store), store.fitted.file.path
    store.fitted.file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: 16384 * 8] + bytes(len(whole) - 16384 * 8))  # the beginning looks as it should
    again = as_in_a_new_process(store)
    retriever = Retriever(again)
    for number in range(300):
        assert retriever.search(f"part P-{number}", 1)
    assert retriever.search("part P-299", 1)[0].text == "part P-299 of the pump"
    assert_same(again.bridge.statistics, expected)
    assert "damaged" in caplog.text


def test_a_folder_that_cannot_be_written_costs_a_warning_not_the_search(
    store: PassageStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.fitted.file.close()
    statistics_folder._open_files.clear()
    shutil.rmtree(store.path / "lsb_rag")
    (store.path / "lsb_rag").write_text("a file in the way")
    store = reopened(store)
    with caplog.at_level(logging.WARNING):
        assert store.bridge.statistics.n_passages == len(MANUAL)
    assert "Cannot keep the statistics in" in caplog.text


def test_records_without_a_text_are_left_out(store: PassageStore) -> None:
    store.collection.add(ids=["bare"], embeddings=np.ones((1, 384)))
    assert store.refresh().statistics.n_passages == len(MANUAL)
    assert store.delete(["bare"]) == 1
    assert store.bridge.statistics.n_passages == len(MANUAL)


def test_progress_is_told(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "PAGE", 3)
    seen: list[tuple[int, int]] = []
    store.refresh(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]


Change = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 7), st.sampled_from(["E-1 a", "E-2 b", "a b c", "d"])),
    st.tuples(st.just("delete"), st.integers(0, 7), st.just("")),
    st.tuples(st.just("search"), st.integers(0, 7), st.just("")),
    st.tuples(st.just("reopen"), st.integers(0, 7), st.just("")),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(Change, max_size=12))
def test_any_sequence_of_changes_leaves_the_statistics_of_a_new_fit(
    tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, changes: list[tuple[str, int, str]]
) -> None:
    store = PassageStore(tmp_path_factory.mktemp("db"), "changes", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    for action, number, text in changes:
        if action == "add":
            store.add([Passage(text, id=f"id{number}")])
        elif action == "delete":
            store.delete([f"id{number}"])
        elif action == "search":
            store.fit()
        else:
            store = reopened(store)
    assert_same(store.bridge.statistics, from_scratch(store))


def test_refreshing_over_a_damaged_file_fits_it_again(store: PassageStore) -> None:
    before = Retriever(store).search("E-4012", 3)
    with sqlite3.connect(store.fitted.file.path) as database:  # type: ignore[arg-type]
        database.execute("UPDATE records SET vector = substr(vector, 1, 7)")
        database.execute("UPDATE totals SET revision = revision + 1")
    database.close()
    store.refresh()
    assert Retriever(store).search("E-4012", 3) == before
    assert store.fitted.file.n_passages == len(store)
