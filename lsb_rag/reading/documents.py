"""Read the documents of a folder into passages, and tell which of them are stored as they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import MissingExtraError, ReadError
from ..passage import HEADING_KEY, SOURCE_KEY, SOURCES_KEY, MetadataValue, Passage, sources_of
from ..utils.digests import content_id
from ..utils.text import without_surrogates
from .folder import LeftOut, read_bytes
from .formats import read_document
from .splitting import Splitter, path_below, title_of

ROOT_KEY = "lsb_rag:root"
"""Metadata key of a hash of the folder. It tells apart files of the same name in two folders."""
FILES_KEY = "lsb_rag:files"
"""Metadata key of the states of the files that hold a passage, see :class:`State`."""
VERSION = 2
"""Of the way that documents are read; with another one, unchanged files are read again."""

FileProgress = Callable[[Path, int, int, int], None]
"""Callback that takes the file that is being read, the number of passages so far, and the files done and in all."""


@dataclass(frozen=True)
class Reading:
    """What was read.

    :param passages: The passages, each text once.
    :param left_out: Files that were not read, with the reason.
    """

    passages: list[Passage]
    left_out: list[LeftOut]


class DocumentReader:
    """Reads documents of one folder.

    :param root: The folder.
    :param splitter: What cuts them into passages.
    """

    def __init__(self, root: Path, splitter: Splitter) -> None:
        self.root = root
        self.folder = content_id(str(root.resolve()))
        self._splitter = splitter

    def read(self, files: Sequence[Path], progress: FileProgress | None = None) -> Reading:
        """Return the passages of `files`. A text that several of them hold is one passage with all its sources."""
        passages: dict[str, Passage] = {}
        left_out: list[LeftOut] = []
        for done, file in enumerate(files):
            if progress:
                progress(file, len(passages), done, len(files))
            try:
                for passage in self._passages(file):
                    earlier = passages.get(passage.text)
                    passages[passage.text] = _with_source(earlier, passage) if earlier else passage
            except (ReadError, MissingExtraError) as error:
                left_out.append(LeftOut(file, str(error)))
        if progress and files:
            progress(files[-1], len(passages), len(files), len(files))
        return Reading([*passages.values()], left_out)

    def are_stored(self, files: Sequence[Path], stored: Sequence[Mapping[str, object]]) -> tuple[bool, list[LeftOut]]:
        """Return whether all `files` are stored as they are now, and those that cannot be read.

        :param stored: Metadata of the passages stored from this folder.
        """
        left_out: list[LeftOut] = []
        counts = Counter(state for metadata in stored for state in _listed(metadata.get(FILES_KEY)))
        whole = {state.rpartition(":")[0] for state, count in counts.items() if state.rpartition(":")[2] == str(count)}
        sources = {source for metadata in stored for source in sources_of(metadata)}
        for file in files:
            try:
                source = self.source(file)
                if self._state(file, read_bytes(file)) not in whole and (source in sources or self._passages(file)):
                    return False, left_out
            except (ReadError, MissingExtraError) as error:  # what it held stays
                left_out.append(LeftOut(file, str(error)))
        return True, left_out

    def emptied(self, files: Sequence[Path]) -> list[str]:
        """Return the names of those of `files` that can be read and hold no text."""
        found = []
        for file in files:
            try:
                if not self._passages(file):
                    found.append(self.source(file))
            except (ReadError, MissingExtraError):  # what it held stays
                continue
        return found

    def _state(self, file: Path, raw: bytes) -> str:
        """Return a digest of a file's name and content, and of how it is read."""
        digest = hashlib.blake2b(raw, digest_size=12)
        digest.update(f"\0{self.source(file)}\0{VERSION}\0{self._splitter.settings}".encode())
        return digest.hexdigest()

    def source(self, file: Path) -> str:
        """Return the name of a file in the folder."""
        return without_surrogates(file.relative_to(self.root).as_posix())

    def _passages(self, file: Path) -> list[Passage]:
        """Return the passages of one file, each text once.

        :raises ReadError: With one sentence, when the file cannot be read.
        """
        raw = read_bytes(file)
        document = read_document(raw, file.name)
        name = document.title or without_surrogates(file.stem)
        sections = {section.text: section for section in self._splitter.sections(document, name)}
        state = f"{self._state(file, raw)}:{len(sections)}"
        found = []
        for section in sections.values():
            title = title_of(name, section.headings)
            metadata: dict[str, MetadataValue] = {
                SOURCE_KEY: self.source(file),
                ROOT_KEY: self.folder,
                FILES_KEY: [state],
            }
            if path := path_below(name, section.headings):
                metadata[HEADING_KEY] = title_of("", path)
            id = content_id(f"{self.folder}\0{title}\0{section.text}")
            found.append(Passage(section.text, id, title, metadata))
        return found


def _with_source(passage: Passage, other: Passage) -> Passage:
    """Return a passage with the source of an equal one."""
    metadata: dict[str, MetadataValue] = {
        **passage.metadata,
        SOURCES_KEY: [*passage.sources, *other.sources],
        FILES_KEY: [*_listed(passage.metadata[FILES_KEY]), *_listed(other.metadata[FILES_KEY])],
    }
    return replace(passage, metadata=metadata)


def _listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
