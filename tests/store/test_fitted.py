from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.store import fitted, statistics_folder, watch

from ..conftest import MANUAL
from ..statistics.test_in_memory import assert_same
from .counting import counted, from_scratch, reopened


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
