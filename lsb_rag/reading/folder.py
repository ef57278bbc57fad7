"""Find the files of a folder that can be read, and read them: regular files alone, each once, up to a size."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ReadError
from ..utils.text import without_controls, without_surrogates

MAX_FILE_BYTES = 100_000_000
MAX_LINES = 20
"""Lines of a summary that name a file."""
UNKNOWN_FORMAT = "The format is not read."
_CHUNK_BYTES = 1 << 20
_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_SENTENCES = {
    errno.EACCES: "Permission is denied.",
    errno.EPERM: "Permission is denied.",
    errno.ENAMETOOLONG: "The path is too long.",
    errno.ELOOP: "It is a link that leads in a circle.",
    errno.ENOENT: "It is no longer there.",
    errno.EIO: "The medium cannot be read.",
}


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that was not read.

    :param reason: A sentence; :data:`UNKNOWN_FORMAT` of a file whose suffix belongs to no format.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Found:
    """What a folder holds, each sorted by path.

    :param files: The files to read.
    :param left_out: What cannot be read.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def files_of(root: Path, suffixes: Collection[str]) -> Found:
    """Find the files below a folder that end in one of `suffixes`, sorted by path.

    What is hidden is skipped. Links are followed, but none leads to a file or folder a second time, nor to a folder
    that holds `root`.

    :param suffixes: In lower case, with their dots.
    """
    search = _Search(root, suffixes)
    return Found(sorted(search.files), sorted(search.left_out, key=lambda one: one.path))


class _Search:
    """One walk through a folder: first what lies in it, then what its links lead to."""

    def __init__(self, root: Path, suffixes: Collection[str]) -> None:
        self.suffixes = suffixes
        self.files: list[Path] = []
        self.left_out: list[LeftOut] = []
        self.seen: set[tuple[int, int]] = set()
        self.links: list[Path] = []
        try:
            home = root.resolve()
            self.above = {_identity(os.stat(folder)) for folder in home.parents}
        except OSError as error:
            self._leave_out(root, error)
            return
        self._walk(root, linked=False)
        # What a link leads to may hold further links. In their order, so that two of the same target give one result.
        while self.links:
            links, self.links = sorted(self.links), []
            for link in links:
                self._follow(link)

    def _walk(self, folder: Path, *, linked: bool) -> None:
        """Take what is in a folder and below, without following links."""
        folders = [folder]
        while folders:
            current = folders.pop()
            try:
                status = os.stat(current)
                if self._is_seen(status):
                    continue
                with os.scandir(current) as entries:
                    names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
            except OSError as error:
                self._leave_out(current, error)
                continue
            for name in names:
                path = current / name
                try:
                    status = os.lstat(path)
                except OSError as error:
                    self._leave_out(path, error)
                    continue
                if stat.S_ISLNK(status.st_mode):
                    self.links.append(path)
                elif stat.S_ISDIR(status.st_mode):
                    folders.append(path)
                elif not self._is_seen(status) or not linked:
                    self._take(path, status)

    def _follow(self, link: Path) -> None:
        try:
            status = os.stat(link)
        except FileNotFoundError:
            self.left_out.append(LeftOut(link, "It is a link that leads nowhere."))
            return
        except OSError as error:
            self._leave_out(link, error)
            return
        if stat.S_ISDIR(status.st_mode):
            if _identity(status) in self.above:
                self.left_out.append(LeftOut(link, "It is a link to a folder that holds this one."))
            else:
                self._walk(link, linked=True)
        elif not self._is_seen(status):
            self._take(link, status)

    def _is_seen(self, status: os.stat_result) -> bool:
        """Tell whether a file or folder was met before, and remember it."""
        if not status.st_ino:  # some file systems have no numbers
            return False
        identity = _identity(status)
        if identity in self.seen:
            return True
        self.seen.add(identity)
        return False

    def _take(self, path: Path, status: os.stat_result) -> None:
        reason = _unreadable(status)
        if not reason and path.suffix.lower() not in self.suffixes:
            reason = UNKNOWN_FORMAT
        elif not reason and not os.access(path, os.R_OK):
            reason = _SENTENCES[errno.EACCES]
        if reason:
            self.left_out.append(LeftOut(path, reason))
        else:
            self.files.append(path)

    def _leave_out(self, path: Path, error: OSError) -> None:
        self.left_out.append(LeftOut(path, _sentence(error)))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _unreadable(status: os.stat_result) -> str:
    """Return why a file is not to be opened, or an empty string."""
    if not stat.S_ISREG(status.st_mode):
        return f"It is {_SPECIAL.get(stat.S_IFMT(status.st_mode), 'not a file')}, not a regular file."
    return _too_large() if status.st_size > MAX_FILE_BYTES else ""


def _too_large() -> str:
    return f"It is larger than {MAX_FILE_BYTES / 1e6:,.0f} MB."


def _sentence(error: OSError) -> str:
    return _SENTENCES.get(error.errno or 0) or f"It cannot be read: {error.strerror or error}."


def read_bytes(path: Path) -> bytes:
    """Return what a regular file holds, as far as it reached when it was opened.

    :raises ReadError: With one sentence, when it cannot be read, is none, or is larger than :data:`MAX_FILE_BYTES`.
    """
    try:
        if reason := _unreadable(os.stat(path)):  # to open a device may already have an effect
            raise ReadError(reason)
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            return _read(descriptor)
        finally:
            os.close(descriptor)
    except ReadError:  # an OSError too
        raise
    except OSError as error:
        raise ReadError(_sentence(error)) from error
    except MemoryError as error:
        raise ReadError("It is too large for the memory that is left.") from error
    except ValueError as error:  # a NUL in the path
        raise ReadError("The path is not one of a file.") from error


def _read(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if reason := _unreadable(status):
        raise ReadError(reason)
    # A file that says it is empty may be one of the system's, whose size is not known.
    left = status.st_size or MAX_FILE_BYTES + 1
    pieces: list[bytes] = []
    while left > 0 and (piece := os.read(descriptor, min(left, _CHUNK_BYTES))):
        pieces.append(piece)
        left -= len(piece)
    if not status.st_size and left <= 0:
        raise ReadError(_too_large())
    return b"".join(pieces)


def summary(left_out: Sequence[LeftOut]) -> str:
    """Say what was left out: files of other formats by kind, and every other one with its reason on a line.

    :returns: An empty string when there is nothing.
    """
    if not left_out:
        return ""
    kinds = Counter(one.path.suffix.lower() for one in left_out if one.reason == UNKNOWN_FORMAT)
    others = [one for one in left_out if one.reason != UNKNOWN_FORMAT]
    counted = [
        f"{count:,} {_shown(kind) or 'without suffix'}"
        for kind, count in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    ]
    if len(counted) > MAX_LINES:
        rest = sorted(kinds.values(), reverse=True)[MAX_LINES:]
        counted = [*counted[:MAX_LINES], f"{sum(rest):,} of {len(rest):,} other kinds"]
    if others:
        counted.append(f"{len(others):,} that cannot be read")
    noun = "file" if len(left_out) == 1 else "files"
    lines = [f"{len(left_out):,} {noun} left out: {', '.join(counted)}."]
    lines += [f"{_shown(str(one.path))}: {_shown(one.reason)}" for one in others[:MAX_LINES]]
    if len(others) > MAX_LINES:
        lines.append(f"... and {len(others) - MAX_LINES:,} more.")
    return "\n".join(lines)


def _shown(text: str) -> str:
    return without_controls(without_surrogates(text)).replace("\n", "\ufffd").replace("\t", "\ufffd")
