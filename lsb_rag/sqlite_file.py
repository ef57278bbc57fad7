"""An SQLite file that several processes share: checked when opened, emptied when damaged, written one at a time."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import CorruptFileError, StoreError

logger = logging.getLogger(__name__)

LOCK_SECONDS = 60.0
"""How long a writer waits for another one."""
PAGE_BYTES = 16384
CORRUPT = ("malformed", "not a database")
SIDES = ("", "-wal", "-shm")


class SqliteFile:
    """One database file, or one in memory, with what it is of.

    A file that is damaged or of something else is emptied, with a warning; where it cannot be written, the database is
    kept in memory, with a warning. Threads may share an instance, which survives a fork.

    :param path: None keeps it in memory.
    :param schema: Statements that make an empty one.
    :param about: What it is of, compared with what the file says.
    """

    def __init__(self, path: Path | None, schema: str, about: Mapping[str, str]) -> None:
        self.path = path
        self.lock = threading.RLock()
        """Held while the connection is used."""
        self.damaged = False
        """Whether a damaged page has been met since it was opened."""
        self.is_new = False
        """Whether there was no file when it was opened."""
        self._schema = f"CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL); {schema}"
        self._about = dict(about)
        self._writer = threading.RLock()
        self._between_processes: FileLock | None = None
        try:
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._between_processes = FileLock(path.with_suffix(".lock"))
            with self.writing():
                self.is_new = path is not None and not path.exists()
                self._open()
        except (OSError, sqlite3.Error, StoreError) as error:
            logger.warning("Cannot keep the statistics in %s (%s); they stay in memory.", path, error)
            self.path = self._between_processes = None
            self._connect()

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement; with :attr:`lock` held, inside :meth:`errors`."""
        return self._connected().execute(statement, values)

    def run_many(self, statement: str, rows: Iterator[Sequence[Any]]) -> None:
        """Execute one statement for each row."""
        self._connected().executemany(statement, rows)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around statements that read.

        :raises CorruptFileError: When the file is damaged.
        :raises StoreError: When it cannot be read.
        """
        with self.lock, self._errors("Reading"):
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Around statements that write: all of them, or none.

        :raises CorruptFileError: When the file is damaged.
        :raises StoreError: When the disk is full or not writable.
        """
        with self.lock, self._errors("Writing"):
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.run("ROLLBACK")
                raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Held over a longer piece of work: one writer at a time on this machine.

        :raises StoreError: When another process holds it for longer than :data:`LOCK_SECONDS`.
        """
        with self._writer:
            between = self._between_processes
            try:
                if between:
                    between.acquire(timeout=LOCK_SECONDS)
            except Timeout as error:
                raise StoreError(
                    f"Another process has been writing for {LOCK_SECONDS:.0f} s and holds {error.lock_file}; try again."
                ) from error
            try:
                yield
            finally:
                if between:
                    between.release()

    def empty(self, why: str) -> None:
        """Start anew, with a warning that says why."""
        logger.warning("The statistics in %s are %s; they are fitted again.", self.path or "memory", why)
        with self.writing(), self.lock:
            self.close()
            if self.path:
                for side in SIDES:
                    self.path.with_name(self.path.name + side).unlink(missing_ok=True)
            self._connect()

    def checkpoint(self) -> None:
        """Move what lies in the write-ahead log into the file, where nobody is in the way."""
        with self.lock, suppress(sqlite3.Error):
            self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; :meth:`empty` opens it again."""
        with suppress(AttributeError, sqlite3.Error):
            self._connection.close()

    __del__ = close

    def _open(self) -> None:
        if self.path and not _is_whole(self.path):
            return self.empty("damaged")
        try:
            self._connect()
            with self.reading():
                try:
                    about = dict(self.run("SELECT key, value FROM about").fetchall())
                except sqlite3.OperationalError:  # no such table
                    about = {}
        except CorruptFileError:
            return self.empty("damaged")
        differing = [key for key, value in self._about.items() if about.get(key) != value]
        if differing:
            self.empty("of an older format" if "format" in differing else f"of another {differing[0]}")

    def _connect(self) -> None:
        self._process, self.damaged = os.getpid(), False
        self._connection = sqlite3.connect(
            self.path or ":memory:", timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self.lock, self._errors("Opening"):
            self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            if self.path:
                self._connection.execute("PRAGMA journal_mode = WAL")
            if not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._connection.executescript(f"BEGIN IMMEDIATE; {self._schema}")
                self._connection.executemany("INSERT INTO about VALUES (?, ?)", self._about.items())
                self._connection.execute("COMMIT")

    def _connected(self) -> sqlite3.Connection:
        if self.path and self._process != os.getpid():  # a connection does not survive a fork, not even its closing
            self._parents = self._connection
            self._connect()
        return self._connection

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = self.path or "memory"
            if any(sign in str(error) for sign in CORRUPT):
                self.damaged = True
                raise CorruptFileError(
                    f"The statistics in {where} are damaged ({error}); the next search fits them again."
                ) from error
            raise StoreError(
                f"{doing} the statistics in {where} failed: {error}. Make room, or make it writable, and run the same "
                "again; what was finished is kept."
            ) from error


def _is_whole(path: Path) -> bool:
    """Whether a file is as long as its header says; SQLite itself notices only where it happens to read."""
    if not path.is_file() or path.with_name(f"{path.name}-wal").is_file():
        return True
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(100)
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    return size == 0 or (len(header) == 100 and size >= page_bytes * pages)
