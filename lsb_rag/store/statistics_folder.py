"""Where the statistics of collections are kept, and who shares them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from platformdirs import user_cache_path

from ..sentences.table import SentenceFile
from ..statistics.on_disk import StatisticsFile
from ..statistics.sqlite_file import kept_value
from .collection import ChromaCollection

File = TypeVar("File", StatisticsFile, SentenceFile)

_open_files: dict[tuple[str, ...], StatisticsFile | SentenceFile] = {}
_users: Counter[StatisticsFile | SentenceFile] = Counter()
_opening = threading.RLock()  # a store that is dropped may release its file in the middle of anything


def folder_of_statistics(collection: ChromaCollection) -> Path | None:
    """Return the folder: beside an embedded database, in the user's cache for a server's; None for one in memory."""
    if database := collection.folder:
        return database / "lsb_rag"
    return user_cache_path("lsb-rag", appauthor=False) / "statistics" if collection.on_server else None


def bytes_of_statistics(collection: ChromaCollection) -> int:
    """Return the size of the files kept for a collection; 0 before the first fit, and in memory."""
    folder = folder_of_statistics(collection)
    return sum(file.stat().st_size for file in folder.glob(f"{collection.id}-*")) if folder else 0


def delete_statistics(collection: ChromaCollection) -> None:
    """Remove the files kept for a collection; one that another program holds open may stay."""
    folder = folder_of_statistics(collection)
    for file in folder.glob(f"{collection.id}-*") if folder else ():
        with suppress(OSError):
            file.unlink()


def verified_with(collection: ChromaCollection) -> str:
    """Return the fingerprint, as JSON, that a collection was last verified with, by any process; empty at first."""
    folder = folder_of_statistics(collection)
    files = sorted(folder.glob(f"{collection.id}-*.sqlite3")) if folder else []
    return next(filter(None, (kept_value(file, "verified_with") for file in files)), "")


def shared_file(kind: type[File], path: Path | None, dimension: int, about: Mapping[str, str]) -> File:
    """Return the file at `path`, one per process; in memory, one per collection. The user releases it."""
    key = (kind.__name__, str(path), str(dimension), *about.values())
    with _opening:
        file = _open_files.get(key)
        if not isinstance(file, kind):
            file = _open_files[key] = kind(path, dimension, about)
        _users[file] += 1
        return file


def release_file(file: StatisticsFile | SentenceFile, *, close: bool = False) -> None:
    """Let go of a shared file.

    :param close: Close it after its last user, even where a bridge still reads it; else it closes with the last of
        these.
    """
    with _opening:
        _users[file] -= 1
        if _users[file] <= 0:
            del _users[file]
            for key in [key for key, one in _open_files.items() if one is file]:
                del _open_files[key]
            if close:
                file.close()
