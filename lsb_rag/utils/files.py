"""Files: written in one piece, so that after a crash one is the old or the new one, and opened if they end."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from uuid import uuid4


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
