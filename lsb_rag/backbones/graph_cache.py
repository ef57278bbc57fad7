"""Graphs of backbones, kept in the user's cache: each is exported once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from filelock import FileLock
from platformdirs import user_cache_path

from ..errors import CorruptFileError, InvalidInputError, LsbRagError
from ..utils.digests import content_id
from ..utils.files import write_text
from .onnx_graph import FORMAT, OnnxGraph
from .source import Source

BACKEND_VARIABLE = "LSB_RAG_BACKEND"
"""Environment variable; ``torch`` computes everything with PyTorch."""
FOLDER_VARIABLE = "LSB_RAG_GRAPHS"
"""Environment variable with the folder of the graphs, in place of the user's cache."""

logger = logging.getLogger(__name__)
_open: WeakValueDictionary[str, OnnxGraph] = WeakValueDictionary()
"""Graphs in use, by their key; encoders over the same backbone share one."""
_lock = threading.RLock()
_said: set[str] = set()
"""Folders of the graphs that were found damaged."""


class NotExportedError(LsbRagError, RuntimeError):
    """A backbone that cannot be exported; PyTorch computes it.

    :param reason: Why.
    :param for_good: Whether the same would happen again.
    """

    def __init__(self, reason: str, *, for_good: bool = True) -> None:
        super().__init__(reason)
        self.for_good = for_good


@dataclass
class Record:
    """What is known of a source.

    :param name: Name or folder of the model, with its revision.
    :param state: State of its files, see :meth:`~lsb_rag.backbones.source.Source.state`.
    :param graph: Key of its graph, the SHA-256 of its files; None where it has none.
    :param refused: Why it has none; empty where it has not been tried.
    :param tried_with: Versions of the libraries that refused.
    """

    name: str
    state: list[Any]
    graph: str | None = None
    refused: str = ""
    tried_with: dict[str, str] | None = None


def cache_folder() -> Path:
    """Return the folder of the graphs and of what is known of their sources."""
    given = os.environ.get(FOLDER_VARIABLE)
    return (
        Path(given).expanduser().absolute() if given else user_cache_path("lsb-rag", appauthor=False) / "graphs"
    ) / f"format {FORMAT}"


def switched_off() -> bool:
    """Whether the environment asks for PyTorch.

    :raises InvalidInputError: When it asks for anything else.
    """
    asked = os.environ.get(BACKEND_VARIABLE, "")
    if asked not in ("", "torch"):
        raise InvalidInputError(f"Unknown backend {asked!r} in ${BACKEND_VARIABLE}; say torch, or leave it out.")
    return asked == "torch"


class GraphCache:
    """The graphs in a folder.

    Processes may share it. A graph is written whole or not at all, and is read only with the hashes it was written
    with. What is missing or damaged is made again.

    :param folder: :func:`cache_folder` by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_folder()

    def get(self, source: Source) -> OnnxGraph | None:
        """Return the graph of a model; None where it has not been exported.

        Where the files of the model are not on this machine, its name has to do.
        """
        record = self.record(source)
        return None if record is None or record.graph is None else self._opened(record.graph)

    def made(
        self, source: Source, export: Callable[[Path], None], versions: dict[str, str], before: str | None = None
    ) -> OnnxGraph:
        """Return the graph of a model, exported if need be.

        :param export: Writes its files to a folder; raises :class:`NotExportedError` where it cannot.
        :param versions: Of the libraries that export; after a refusal, others are tried.
        :param before: Hash of the model's files before it was loaded, where they were there.
        :raises NotExportedError: Where it cannot be exported or kept.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "export.lock"):
                graph = self.get(source)  # which another process may have made meanwhile
                if graph is not None:
                    return graph
                record = self.record(source)
                if record is not None and record.refused and record.tried_with == versions:
                    raise NotExportedError(record.refused)
                return self._export(source, export, versions, before)
        except OSError as error:
            raise NotExportedError(f"its graph cannot be kept in {self.folder}: {error}") from error

    def record(self, source: Source) -> Record | None:
        """Return what is known of a model as it is now; None where nothing is."""
        file = self._record_file(source)
        record = self._read(file)
        if record is None:
            return None
        try:
            state = source.state()
        except OSError:
            return None
        if source.folder is None or record.state == state:
            return record
        try:  # copied or touched: their contents tell
            same = record.graph is not None and source.contents() == record.graph
        except OSError:
            return None
        if not same:
            return None
        record.state = state
        self._write(file, record)
        return record

    def known(self) -> list[tuple[str, str]]:
        """Return name and reason of each model that was exported, or could not be: the reason is empty, or says why."""
        found = [self._read(file) for file in sorted(self.folder.glob("sources/*.json"))]
        return sorted((record.name, record.refused) for record in found if record is not None)

    def _export(
        self, source: Source, export: Callable[[Path], None], versions: dict[str, str], before: str | None
    ) -> OnnxGraph:
        state, key = source.state(), source.contents()
        if key != (before or key):
            raise NotExportedError("its files changed while it was loaded", for_good=False)
        graph = self._opened(key)  # the same files under another name
        if graph is None:
            for left_behind in self.folder.glob("*.tmp"):  # by a process that was killed, as this one has the lock
                shutil.rmtree(left_behind, ignore_errors=True)
            temporary = self.folder / f"{key}.{uuid4().hex}.tmp"
            try:
                temporary.mkdir()
                export(temporary)
                if source.contents() != key:
                    raise NotExportedError("its files changed while it was exported", for_good=False)
                shutil.rmtree(self.folder / key, ignore_errors=True)  # one that is damaged
                temporary.rename(self.folder / key)
            except NotExportedError as error:
                if error.for_good:
                    record = Record(self._named(source), state, refused=str(error), tried_with=versions)
                    self._write(self._record_file(source), record)
                raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            graph = self._opened(key)
        if graph is None:
            raise NotExportedError("its graph was damaged as soon as it was written")
        self._write(self._record_file(source), Record(self._named(source), state, graph=key))
        return graph

    def _opened(self, key: str) -> OnnxGraph | None:
        folder = self.folder / key
        with _lock:
            graph = _open.get(str(folder))
            if graph is None and folder.is_dir():
                try:
                    graph = _open[str(folder)] = OnnxGraph(folder)
                except CorruptFileError as error:
                    if str(folder) not in _said:
                        _said.add(str(folder))
                        logger.warning("A backbone has to be exported again: %s", error)
            return graph

    @staticmethod
    def _read(file: Path) -> Record | None:
        try:
            return Record(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def _write(self, file: Path, record: Record) -> None:
        with suppress(OSError):  # in a cache that cannot be written, the contents are compared again
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(asdict(record)))

    def _record_file(self, source: Source) -> Path:
        return self.folder / "sources" / f"{content_id(self._named(source))}.json"

    @staticmethod
    def _named(source: Source) -> str:
        return source.name + (f"@{source.revision}" if source.revision else "")
