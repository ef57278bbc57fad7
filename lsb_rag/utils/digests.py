"""Digests of texts: one to identify a passage by, one to see that a text has changed."""

from __future__ import annotations

import hashlib


def content_id(content: str) -> str:
    """Return the id of a passage that brings none: 128 bits of the SHA-256 of its content, in hexadecimal."""
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def text_digest(text: str | None) -> bytes:
    """Return 16 bytes that differ where a text differs; None counts as the empty text."""
    return hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()
