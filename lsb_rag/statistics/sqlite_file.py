"""An SQLite file beside a collection: shared by processes, checked when opened, emptied when damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, NoReturn
from weakref import WeakSet

from filelock import FileLock, Timeout

from ..errors import BusyError, CorruptFileError, StoreError
from ..utils.files import too_many_open

logger = logging.getLogger(__name__)

LOCK_SECONDS = 60.0
"""Seconds that a writer waits for another one."""
PAGE_BYTES = 16384
SURROUNDINGS = ("is full", "readonly", "disk I/O", "unable to open", "locked", "busy", "permission", "out of memory")
"""Parts of SQLite's errors that are not about what the file holds; all others mean that it is damaged."""
SMALL_BYTES = 8 * 2**20
"""Largest file that is looked through as a whole when it is opened; that takes some 50 ms."""
SIDES = ("", "-wal", "-shm")


class SqliteFile:
    """A database in a file or in memory, which records what it describes.

    A file that is damaged or describes something else is emptied, with a warning. Where the file cannot be written, the
    database is kept in memory, with a warning. Threads may share an instance, which survives a fork; processes may
    share the file.

    :param path: The file; None keeps the database in memory.
    :param schema: Statements that create an empty database.
    :param about: What the database describes, compared with what the file says.
    :raises BusyError: When another process holds the file for longer than :data:`LOCK_SECONDS`.
    """

    what: ClassVar[str] = "statistics"
    """What it holds, in messages."""
    again: ClassVar[str] = "fitted again"
    """What happens to it where it is damaged."""
    busy_seconds: ClassVar[float | None] = None
    """How long a statement waits for another connection; :data:`LOCK_SECONDS` if None."""

    def __init__(self, path: Path | None, schema: str, about: Mapping[str, str]) -> None:
        self.path = path
        self.lock = threading.RLock()
        """Held while the connection is used; taken after :meth:`writing` where both are needed."""
        self.damaged = False
        """Whether damage was found, so that the file is to be emptied."""
        self.is_new = path is not None and not path.exists()
        """Whether there was no file when the database was opened."""
        self._schema = f"CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL); {schema}"
        self._about = dict(about)
        self._closed = False
        self._writer = threading.RLock()
        self._file_lock: FileLock | None = None
        try:
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file_lock = FileLock(path.with_suffix(".lock"))
            with self.writing():
                self._open()
        except BusyError:
            raise
        except (OSError, sqlite3.Error, StoreError) as error:
            self._move_to_memory(error)
        _instances.add(self)

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement, inside :meth:`reading` or :meth:`transaction`."""
        return self._connected().execute(statement, values)

    def run_many(self, statement: str, rows: Iterator[Sequence[Any]]) -> None:
        """Execute one statement for each row."""
        self._connected().executemany(statement, rows)

    @contextmanager
    def reading(self, *, at_once: bool = False) -> Iterator[None]:
        """Return a context for statements that read.

        :param at_once: True lets all of them see the same state, whatever other processes write meanwhile.
        :raises CorruptFileError: When the file is damaged.
        :raises StoreError: When the file cannot be read.
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
        """Return a context for statements that write: all of them take effect, or none.

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
        """Return a context for a longer piece of work, with one writer at a time on this machine.

        :param seconds: How long to wait for another process; :data:`LOCK_SECONDS` by default.
        :raises BusyError: When another process writes for longer.
        :raises StoreError: When the lock's file cannot be written.
        """
        seconds = LOCK_SECONDS if seconds is None else seconds
        with self._writer:
            file_lock = self._file_lock
            try:
                if file_lock:
                    file_lock.acquire(timeout=seconds)
            except Timeout as error:
                raise BusyError(
                    f"Another process has been writing for {seconds:.0f} s and holds {error.lock_file}; try again."
                ) from error
            except OSError as error:
                raise StoreError(f"Cannot lock the {self.what}: {error}. Make the folder writable again.") from error
            try:
                self.reopen_if_replaced()
                yield
            finally:
                if file_lock:
                    file_lock.release()

    def reopen_if_replaced(self) -> None:
        """Open the file anew if it was replaced or deleted; nobody else would see what is written to the old one."""
        with self.lock, suppress(AttributeError):  # not opened yet
            if self.path and self._inode != _inode_of(self.path):
                self._disconnect()
                self._reconnect()

    def empty(self, why: str) -> None:
        """Start anew, with a warning that says why. Whoever has the file open continues with the emptied one."""
        damaged = self.damaged
        with self.writing(), self.lock:
            if damaged and not self.damaged:  # replaced by another process, and opened anew just now
                return
            logger.warning("The %s in %s are %s; they are %s.", self.what, self.path or "memory", why, self.again)
            self.is_new = False
            if damaged and self.path:  # dropped tables would leave the damage in the free pages
                with suppress(OSError):
                    self._replace(self.path)
                    return
            self._drop_all()

    def _replace(self, path: Path) -> None:
        """Remove the file, and make an empty one.

        :raises OSError: Where another process keeps an open file from being removed.
        """
        self._disconnect()
        try:
            for side in SIDES:
                path.with_name(path.name + side).unlink(missing_ok=True)
        finally:
            self._connect()

    def _drop_all(self) -> None:
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        with self.transaction():
            for (name,) in names:
                self.run(f'DROP TABLE "{name}"')
            self._create_tables()
        self.damaged = False

    def check(self, holds: bool, what: str) -> None:
        """Refuse what no intact file can hold.

        :param what: What is wrong where `holds` is false.
        :raises CorruptFileError: When `holds` is false; the file is emptied when it is next used.
        """
        if not holds:
            self._refuse(what)

    def _refuse(self, what: str, cause: Exception | None = None) -> NoReturn:
        self.damaged = True
        raise CorruptFileError(
            f"The {self.what} in {self.path or 'memory'} are damaged ({what}); they are {self.again} when they are "
            "next used."
        ) from cause

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, unless somebody else is using it."""
        with self.lock, suppress(sqlite3.Error):
            self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; nothing can be done with it afterwards."""
        self._closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        try:  # noqa: SIM105 - at the end of Python there is no suppress() any more
            self._connection.close()
        except Exception:  # noqa: S110 - never opened, or Python is going
            pass

    def __del__(self) -> None:
        self._disconnect()

    def _open(self) -> None:
        try:
            if self.path:
                self.check(_is_whole(self.path), "it is cut off")
            self._connect()
            with self.reading():
                about = dict(self.run("SELECT key, value FROM about").fetchall())
                if self.path and about.get("format") == self._about.get("format"):
                    self.look_through(pages=self.path.stat().st_size <= SMALL_BYTES)
        except CorruptFileError as error:
            self.damaged = True
            self.empty("of an older format" if "no such table: about" in str(error) else "damaged")
            return
        differing = [key for key, value in self._about.items() if about.get(key) != value]
        if differing:
            self.empty("of an older format" if "format" in differing else f"of another {differing[0]}")

    def look_through(self, *, pages: bool) -> None:
        """Look for damage that is not met where a row is read.

        :param pages: Look through the pages of all tables and indexes, in time proportional to the size of the file.
        :raises CorruptFileError: When there is some.
        """
        if not pages:
            return
        with self.reading():
            found = [line for (line,) in self.run("PRAGMA integrity_check(1)")]
        self.check(found == ["ok"], str(found[0]) if found else "it cannot be looked through")

    def _reconnect(self) -> None:
        """Connect to the file or, where it cannot be opened, to one in memory."""
        try:
            if self.path:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connect()
        except CorruptFileError:
            raise
        except (OSError, StoreError) as error:
            self._move_to_memory(error)

    def _move_to_memory(self, error: Exception) -> None:
        logger.warning(
            "Cannot keep the %s in %s (%s); they stay in memory. %s", self.what, self.path, error, too_many_open()
        )
        self.path = self._file_lock = None
        self._connect()

    def _connect(self) -> None:
        self._process_id = os.getpid()
        with self.lock, self._errors("Opening"):
            self._connection = sqlite3.connect(
                self.path or ":memory:",
                timeout=LOCK_SECONDS if self.busy_seconds is None else self.busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            if self.path:  # not mapped into memory: hardly faster, and a file cut off under a map kills the process
                self._connection.execute("PRAGMA journal_mode = WAL")
            if not self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                with self.transaction():
                    self._create_tables()
        self._inode = _inode_of(self.path)
        self.damaged = False

    def _create_tables(self) -> None:
        for statement in filter(str.strip, self._schema.split(";")):
            self.run(statement)
        self.run_many("INSERT INTO about VALUES (?, ?)", iter(self._about.items()))

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError("The store is closed; open it again.")
        if self.path and self._process_id != os.getpid():  # a connection does not survive a fork, not even its closing
            self._parent_connection = self._connection  # kept alive, so that it is not closed here
            self._connect()
        return self._connection

    def _in_child(self) -> None:
        """Replace the locks after a fork, where the threads that held them do not exist."""
        self.lock, self._writer = threading.RLock(), threading.RLock()
        if self._file_lock:
            self._file_lock = FileLock(self._file_lock.lock_file)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            self._refuse(str(error), error)
        except sqlite3.Error as error:
            where = self.path or "memory"
            if not any(sign in str(error) for sign in SURROUNDINGS) and not isinstance(error, sqlite3.ProgrammingError):
                self._refuse(str(error), error)
            raise StoreError(
                f"{doing} the {self.what} in {where} failed: {error}. Make room, or make it writable, and run the same "
                "again; what was finished is kept."
            ) from error


def _inode_of(path: Path | None) -> int:
    try:
        return path.stat().st_ino if path else 0
    except OSError:
        return 0


def _is_whole(path: Path) -> bool:
    """Whether a file is as long as its header says; SQLite itself notices only where it reads."""
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


def kept_value(path: Path, key: str) -> str:
    """Return what a file that is not open says about itself under `key`; empty where it cannot be read."""
    with suppress(OSError, sqlite3.Error, UnicodeDecodeError):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS)
        try:
            row = connection.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
            return str(row[0]) if row else ""
        finally:
            connection.close()
    return ""
