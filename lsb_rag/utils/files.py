"""Files written in one piece: after a crash a file is the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, which takes its place at the end; after an error, nothing does.

    :raises OSError: When it cannot take its place.
    """
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece; what is not Unicode becomes a question mark.

    :raises OSError: When it cannot be written; nothing is left behind.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
