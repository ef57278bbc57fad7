"""Read plain text into blocks: its paragraphs."""

from __future__ import annotations

import re

from .block import Block, Document

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")


def read_text(text: str) -> Document:
    """Read text whose paragraphs are apart by blank lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(8)
    paragraphs = (part.strip("\n").rstrip() for part in _BLANK_LINES.split(text))
    return Document("", [Block(part) for part in paragraphs if part.strip()])
