"""Digests: one that identifies a passage, one that detects a changed text, one of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .arguments import checked


@checked
def content_id(content: str) -> str:
    """Return the id of a passage without one: 128 bits of the SHA-256 of its content, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@checked
def text_digest(text: str | None) -> bytes:
    """Return 16 bytes that differ for different texts; None counts as the empty text."""
    return hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    :raises OSError: When it cannot be read.
    """
    hasher = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()
