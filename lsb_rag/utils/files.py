"""Files: written in one piece, so that after a crash one is the old or the new one, and opened if they end."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from uuid import uuid4

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


SPARE_FILES = 16
"""Files that an embedded database opens at once; where it fails to open them, it has closed some again."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` at the end; after an error, `path` stays.

    :raises OSError: When the temporary file cannot replace `path`.
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def too_many_open() -> str:
    """Return that this process has about as many files open as it may, and what to do; empty where it may open more."""
    opened: list[int] = []
    try:
        for _ in range(SPARE_FILES):
            opened.append(os.open(os.devnull, os.O_RDONLY))
        return ""
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return ""
    finally:
        for descriptor in opened:
            os.close(descriptor)
    limit = f", {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (`ulimit -n`)" if resource else ""
    return (
        f"This process has as many files open as it may{limit}: close() stores that are not needed any more, or raise "
        "the limit."
    )


def open_text(path: Path) -> TextIO:
    """Open a text file in UTF-8 to read.

    :raises OSError: When it cannot be opened, or is a pipe or a device, which might never end.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("it is no regular file")
    return path.open(encoding="utf-8-sig", newline="")


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece; lone surrogates become question marks.

    :raises OSError: When the file cannot be written; nothing is left behind.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
