"""The SQLite file under the statistics: shared by processes, checked when opened, emptied when damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from filelock import FileLock, Timeout

from ..errors import BusyError, CorruptFileError, StoreError

logger = logging.getLogger(__name__)

LOCK_SECONDS = 60.0
"""How long a writer waits for another one."""
PAGE_BYTES = 16384
CORRUPT = ("malformed", "not a database", "no such table", "no such column")
SIDES = ("", "-wal", "-shm")


class SqliteFile:
    """One database file, or one in memory, with what it is of.

    A file that is damaged or of something else is emptied, with a warning; where it cannot be written, the database is
    kept in memory, with a warning. Threads may share an instance, which survives a fork; processes may share the file.

    :param path: None keeps it in memory.
    :param schema: Statements that make an empty one.
    :param about: What it is of, compared with what the file says.
    :raises BusyError: When another process holds the file for longer than :data:`LOCK_SECONDS`.
    """

    def __init__(self, path: Path | None, schema: str, about: Mapping[str, str]) -> None:
        self.path = path
        self.lock = threading.RLock()
        """Held while the connection is used; whoever needs :meth:`writing` too takes that first."""
        self.damaged = False
        """Whether a damaged page has been met, so that the file is to be emptied."""
        self.is_new = path is not None and not path.exists()
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
                self._open()
        except BusyError:
            raise
        except (OSError, sqlite3.Error, StoreError) as error:
            logger.warning("Cannot keep the statistics in %s (%s); they stay in memory.", path, error)
            self.path = self._between_processes = None
            self._connect()
        _instances.add(self)

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement, inside :meth:`reading` or :meth:`transaction`."""
        return self._connected().execute(statement, values)

    def run_many(self, statement: str, rows: Iterator[Sequence[Any]]) -> None:
        """Execute one statement for each row."""
        self._connected().executemany(statement, rows)

    @contextmanager
    def reading(self, *, at_once: bool = False) -> Iterator[None]:
        """Around statements that read.

        :param at_once: All of them see the same state, whatever other processes write meanwhile.
        :raises CorruptFileError: When the file is damaged.
        :raises StoreError: When it cannot be read.
        """
        with self.lock, self._errors("Reading"):
            if not at_once:
                yield
                return
            self.run("BEGIN")
            try:
                yield
            finally:
                self.run("COMMIT")

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
    def writing(self, seconds: float | None = None) -> Iterator[None]:
        """Held over a longer piece of work: one writer at a time on this machine.

        :param seconds: How long another process is waited for; :data:`LOCK_SECONDS` by default.
        :raises BusyError: When that process holds it for longer.
        :raises StoreError: When the lock's file cannot be written.
        """
        seconds = LOCK_SECONDS if seconds is None else seconds
        with self._writer:
            between = self._between_processes
            try:
                if between:
                    between.acquire(timeout=seconds)
            except Timeout as error:
                raise BusyError(
                    f"Another process has been writing for {seconds:.0f} s and holds {error.lock_file}; try again."
                ) from error
            except OSError as error:
                raise StoreError(f"Cannot lock the statistics: {error}. Make the folder writable again.") from error
            try:
                self.reopen_if_replaced()
                yield
            finally:
                if between:
                    between.release()

    def reopen_if_replaced(self) -> None:
        """Open the file anew if another one, or none, is in its place: nobody else would see what goes into this."""
        with self.lock, suppress(AttributeError):  # not opened yet
            if self.path and self._inode != _inode_of(self.path):
                self.close()
                self._connect()

    def empty(self, why: str) -> None:
        """Start anew, with a warning that says why. Whoever has the file open goes on with the emptied one."""
        logger.warning("The statistics in %s are %s; they are fitted again.", self.path or "memory", why)
        with self.writing(), self.lock:
            try:
                self._drop_all()
            except (AttributeError, sqlite3.Error, StoreError, CorruptFileError):  # not even that can be read
                self.close()
                if self.path:
                    for side in SIDES:
                        self.path.with_name(self.path.name + side).unlink(missing_ok=True)
                self._connect()

    def _drop_all(self) -> None:
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        with self.transaction():
            for (name,) in names:
                self.run(f'DROP TABLE "{name}"')
            self._make()
        self.damaged = False

    def check(self, holds: bool, what: str) -> None:
        """Refuse what no intact file can hold.

        :param what: What is wrong, where `holds` is false.
        :raises CorruptFileError: Then; the file is emptied when it is next used.
        """
        if not holds:
            self.damaged = True
            raise CorruptFileError(
                f"The statistics in {self.path or 'memory'} are damaged ({what}); they are fitted again when they are "
                "next used."
            )

    def checkpoint(self) -> None:
        """Move what lies in the write-ahead log into the file, where nobody is in the way."""
        with self.lock, suppress(sqlite3.Error):
            self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; :meth:`empty` opens it again."""
        try:  # noqa: SIM105 - at the end of Python there is no suppress() any more
            self._connection.close()
        except Exception:  # noqa: S110 - never opened, or Python is going
            pass

    __del__ = close

    def _open(self) -> None:
        if self.path and not _is_whole(self.path):
            return self.empty("damaged")
        try:
            self._connect()
            with self.reading():
                about = dict(self.run("SELECT key, value FROM about").fetchall())
        except CorruptFileError as error:
            return self.empty("of an older format" if "no such table" in str(error) else "damaged")
        differing = [key for key, value in self._about.items() if about.get(key) != value]
        if differing:
            self.empty("of an older format" if "format" in differing else f"of another {differing[0]}")

    def _connect(self) -> None:
        self._process = os.getpid()
        self._connection = sqlite3.connect(
            self.path or ":memory:", timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self.lock, self._errors("Opening"):
            self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            if self.path:  # not mapped into memory: hardly faster, and a file cut off under a map kills the process
                self._connection.execute("PRAGMA journal_mode = WAL")
            if not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                with self.transaction():
                    self._make()
        self._inode = _inode_of(self.path)
        self.damaged = False

    def _make(self) -> None:
        for statement in filter(str.strip, self._schema.split(";")):
            self.run(statement)
        self.run_many("INSERT INTO about VALUES (?, ?)", iter(self._about.items()))

    def _connected(self) -> sqlite3.Connection:
        if self.path and self._process != os.getpid():  # a connection does not survive a fork, not even its closing
            self._parents = self._connection
            self._connect()
        return self._connection

    def _in_child(self) -> None:
        """After a fork: whichever thread held a lock is not here."""
        self.lock, self._writer = threading.RLock(), threading.RLock()
        if self._between_processes:
            self._between_processes = FileLock(self._between_processes.lock_file)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            where = self.path or "memory"
            if any(sign in str(error) for sign in CORRUPT):
                self.damaged = True
                raise CorruptFileError(
                    f"The statistics in {where} are damaged ({error}); they are fitted again when they are next used."
                ) from error
            raise StoreError(
                f"{doing} the statistics in {where} failed: {error}. Make room, or make it writable, and run the same "
                "again; what was finished is kept."
            ) from error


def _inode_of(path: Path | None) -> int:
    try:
        return path.stat().st_ino if path else 0
    except OSError:
        return 0


def _is_whole(path: Path) -> bool:
    """Whether a file is as long as its header says; SQLite itself notices only where it happens to read."""
    if not path.is_file() or path.with_name(f"{path.name}-wal").is_file():
        return True
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(100)
    page_bytes, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    return size == 0 or (len(header) == 100 and size >= page_bytes * pages)


_instances: WeakSet[SqliteFile] = WeakSet()


def _after_fork() -> None:
    for file in _instances:
        file._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
