"""Where the statistics of collections are kept, and who shares them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from platformdirs import user_cache_path

from .chroma import folder_of, is_on_server
from .statistics.on_disk import StatisticsFile

if TYPE_CHECKING:
    from chromadb.api.models.Collection import Collection

_open_files: WeakValueDictionary[tuple[str, ...], StatisticsFile] = WeakValueDictionary()
_opening = threading.Lock()


def folder_of_statistics(collection: Collection) -> Path | None:
    """Beside an embedded database, in the user's cache for a server's; None for one in memory."""
    settings = collection._client.get_settings()
    database = folder_of(settings)
    if database:
        return database / "lsb_rag"
    return user_cache_path("lsb-rag", appauthor=False) / "statistics" if is_on_server(settings) else None


def bytes_of_statistics(collection: Collection) -> int:
    """Size of the files kept for a collection; 0 before the first fit, and in memory."""
    folder = folder_of_statistics(collection)
    return sum(file.stat().st_size for file in folder.glob(f"{collection.id}-*.sqlite3*")) if folder else 0


def shared_file(path: Path | None, dimension: int, about: Mapping[str, str]) -> StatisticsFile:
    """The file at `path`, shared by all who use it in this process; in memory, by all of one collection."""
    key = (str(path), str(dimension), *about.values())
    with _opening:
        file = _open_files.get(key)
        if file is None:
            file = _open_files[key] = StatisticsFile(path, dimension, about)
        return file
