"""Embedded databases: where their files are, and how one is opened anew for all clients of this process.

Chroma reads ids, texts and metadata from the database's file each time, but what another process wrote into the index
of vectors only when it opens the database.
"""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import StoreError

if TYPE_CHECKING:
    from chromadb.api import ServerAPI
    from chromadb.config import Settings

FILE = "chroma.sqlite3"


class EmbeddedDatabase:
    """An embedded database as this process has it open. Threads may share an instance.

    :param server: What all clients of it in this process share.
    :param folder: Its folder.
    """

    def __init__(self, server: ServerAPI, folder: Path) -> None:
        self.folder = folder
        self.writing = threading.RLock()
        """Held while this library writes, and while the database is opened anew."""
        self.openings = 0
        """How often this library has opened it anew."""
        self._server = weakref.ref(server)
        self._file = _file_in(folder)

    @classmethod
    def of(cls, server: Any) -> EmbeddedDatabase | None:
        """Return the database behind what clients share; None in memory, on a server, and for a Chroma that cannot
        open one anew.
        """
        folder = folder_of(server.get_settings())
        if folder is None or not hasattr(server, "bindings"):
            return None
        with _opening:
            found = _databases.get(server)
            if found is None:
                found = _databases[server] = cls(server, folder)
            return found

    @property
    def opened(self) -> object:
        """What the database is read with; another object after it was opened anew."""
        return getattr(self._server(), "bindings", None)

    @property
    def replaced(self) -> bool:
        """Whether its file was deleted, or replaced by another, since it was opened."""
        return _file_in(self.folder) != self._file

    def reopen(self, opened: object) -> object:
        """Open the database anew, unless that was done since it was read with `opened`.

        :return: What it is read with now.
        :raises StoreError: When its file is gone.
        """
        with self.writing:
            if self.opened is opened:
                if not _file_in(self.folder):
                    raise StoreError(
                        f"The database in {self.folder} was deleted while it was open; open it again by its path."
                    )
                self._open()
            return self.opened

    def reopen_if_replaced(self) -> None:
        """Open the database anew where its file was replaced, or make it anew where it was deleted.

        :raises StoreError: When it was opened by a relative path that leads elsewhere now.
        """
        with self.writing:
            if self.replaced:
                self._open()

    def _open(self) -> None:
        server: Any = self._server()
        if folder_of(server.get_settings()) != self.folder:
            raise StoreError(
                f"The database in {self.folder} was opened by a relative path, which leads elsewhere since the program "
                "has changed its folder; open it by its whole path."
            )
        server.start()  # calls that are under way end with what was open before
        self.openings += 1
        self._file = _file_in(self.folder)


_databases: weakref.WeakKeyDictionary[Any, EmbeddedDatabase] = weakref.WeakKeyDictionary()
_opening = threading.Lock()


def open_in_process(path: str | Path) -> EmbeddedDatabase | None:
    """Return the database at `path`, spelled as it is, if this process has it open."""
    from chromadb.api import ServerAPI
    from chromadb.api.shared_system_client import SharedSystemClient

    system = getattr(SharedSystemClient, "_identifier_to_system", {}).get(str(path))
    return EmbeddedDatabase.of(system.instance(ServerAPI)) if system else None


def folder_of(settings: Settings) -> Path | None:
    """Return the folder of an embedded database; None for one in memory or on a server."""
    # A server's client is persistent too where the environment says so. Resolved: the program may change its folder.
    embedded = settings.is_persistent and not is_on_server(settings)
    return Path(settings.persist_directory).resolve() if embedded else None


def is_on_server(settings: Settings) -> bool:
    """Whether a client's settings are those of a server's client."""
    return str(settings.chroma_api_impl).endswith("FastAPI")


class FileState(NamedTuple):
    """Inode, size in bytes and time of modification, in nanoseconds, of one file."""

    inode: int
    size: int
    modified: int


def state_of_files(folder: Path | None) -> tuple[FileState, ...] | None:
    """Return the state of the files of the embedded database in `folder`; None where there are none."""
    if folder is None:
        return None
    # Asked for, never opened: closing a file lets go of all locks that this process, so Chroma too, holds on it.
    database = (folder / FILE).resolve()  # where SQLite keeps its log beside
    log = database.with_name(f"{database.name}-wal")
    try:
        found = [file.stat() for file in (database, log) if file.exists()]
    except OSError:
        return None
    return tuple(FileState(file.st_ino, file.st_size, file.st_mtime_ns) for file in found) or None


def bytes_on_disk(folder: Path) -> int:
    """Return the size of all files of the embedded database in `folder`, the statistics of its collections included."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _file_in(folder: Path) -> tuple[int, int] | None:
    """Return what tells the database's file from another of its name; None where there is none."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
