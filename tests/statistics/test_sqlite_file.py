from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import pytest

from lsb_rag.errors import CorruptFileError, StoreError
from lsb_rag.statistics import sqlite_file
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.statistics.sqlite_file import SqliteFile

from .test_on_disk import D, record

SCHEMA = "CREATE TABLE words (word TEXT); INSERT INTO words VALUES ('first')"
ABOUT = {"format": "1", "backbone": "mine"}


def words(file: SqliteFile) -> list[str]:
    with file.reading():
        return [word for (word,) in file.run("SELECT word FROM words ORDER BY rowid")]


def add(file: SqliteFile, word: str) -> None:
    with file.transaction():
        file.run("INSERT INTO words VALUES (?)", (word,))


def test_a_file_is_made_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.sqlite3"
    file = SqliteFile(path, SCHEMA, ABOUT)
    assert file.is_new
    add(file, "second")
    again = SqliteFile(path, SCHEMA, ABOUT)
    assert not again.is_new
    assert words(again) == ["first", "second"]


def test_a_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    file = SqliteFile(tmp_path / "file.sqlite3", SCHEMA, ABOUT)
    with pytest.raises(KeyboardInterrupt), file.transaction():  # noqa: PT012 - both within the context
        file.run("INSERT INTO words VALUES ('lost')")
        raise KeyboardInterrupt
    with pytest.raises(StoreError, match="Writing the statistics"), file.transaction():  # noqa: PT012 - both within the context
        file.run("INSERT INTO words VALUES ('lost')")
        file.run("PRAGMA query_only = 1")  # as on a disk that cannot be written to
        file.run("INSERT INTO words VALUES ('lost')")
    file.run("PRAGMA query_only = 0")
    assert words(file) == ["first"]


@pytest.mark.parametrize(
    ("about", "reason"),
    [({**ABOUT, "backbone": "other"}, "of another backbone"), ({**ABOUT, "format": "2"}, "of an older format")],
)
def test_a_file_of_something_else_is_emptied_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, about: dict[str, str], reason: str
) -> None:
    path = tmp_path / "file.sqlite3"
    add(SqliteFile(path, SCHEMA, ABOUT), "second")
    assert words(SqliteFile(path, SCHEMA, about)) == ["first"]
    assert [record.getMessage() for record in caplog.records] == [
        f"The statistics in {path} are {reason}; they are fitted again."
    ]


@pytest.mark.parametrize("damage", ["cut off", "no database"])
def test_a_damaged_file_is_emptied_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    path = tmp_path / "file.sqlite3"
    file = SqliteFile(path, SCHEMA, ABOUT)
    file.checkpoint()
    file.close()
    path.write_bytes(path.read_bytes()[:-5000] if damage == "cut off" else b"no database at all " * 4000)
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    again = SqliteFile(path, SCHEMA, ABOUT)
    assert "are damaged; they are fitted again" in caplog.text
    assert words(again) == ["first"]
    assert not again.damaged


def test_where_no_file_can_be_made_it_stays_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "blocked").write_text("a file, not a folder")
    with caplog.at_level(logging.WARNING):
        file = SqliteFile(tmp_path / "blocked" / "file.sqlite3", SCHEMA, ABOUT)
    assert "they stay in memory" in caplog.text
    assert file.path is None
    add(file, "second")
    assert words(file) == ["first", "second"]


def test_a_deleted_file_is_opened_anew_by_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite3"
    file = SqliteFile(path, SCHEMA, ABOUT)
    add(file, "second")
    for side in ("", "-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    with file.writing():
        add(file, "third")
    assert words(file) == words(SqliteFile(path, SCHEMA, ABOUT)) == ["first", "third"]


def test_readings_at_once_see_one_state(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite3"
    mine, theirs = SqliteFile(path, SCHEMA, ABOUT), SqliteFile(path, SCHEMA, ABOUT)
    with mine.reading(at_once=True):
        before = mine.run("SELECT count(*) FROM words").fetchone()
        add(theirs, "second")
        assert mine.run("SELECT count(*) FROM words").fetchone() == before
    assert words(mine) == ["first", "second"]


def test_a_check_that_fails_marks_the_file_as_damaged() -> None:
    file = SqliteFile(None, SCHEMA, ABOUT)
    file.check(True, "nothing")
    assert not file.damaged
    with pytest.raises(CorruptFileError, match=r"in memory are damaged \(rows that are missing\)"):
        file.check(False, "rows that are missing")
    assert file.damaged
    file.empty("damaged")
    assert not file.damaged


def test_a_lost_table_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "file.sqlite3"
    file = SqliteFile(path, SCHEMA, ABOUT)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE words")
    database.close()
    with pytest.raises(CorruptFileError, match="no such table"):
        words(file)
    assert file.damaged


def test_a_writer_waits_for_another_and_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "busy.sqlite3"
    mine, theirs = StatisticsFile(path, D, {}), StatisticsFile(path, D, {})
    monkeypatch.setattr(sqlite_file, "LOCK_SECONDS", 0.2)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with theirs.writing():
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    with pytest.raises(StoreError, match="Another process has been writing"), mine.writing():
        pass
    release.set()
    thread.join()
    with mine.writing():
        mine.count([record("a", 1)])
