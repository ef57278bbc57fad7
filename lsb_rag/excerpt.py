"""What of a passage is shown for a query, its words marked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .units import word_spans
from .plain_text import without_controls

CHARACTERS = 700
"""As much of a passage as is shown."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a passage; marked where it is a word of the query."""

    text: str
    marked: bool = False


def excerpt(text: str, marked: Collection[str], characters: int = CHARACTERS) -> list[Piece]:
    """`text` cut at the words of `marked`, at most `characters` of it, from some words before the first."""
    text = without_controls(text.replace("\r\n", "\n").replace("\r", "\n"))
    spans = [(start, end) for word, start, end in word_spans(text) if word in marked]
    first = max(0, spans[0][0] - characters // 4) if spans and len(text) > characters else 0
    last = min(len(text), first + characters)
    found, at = [Piece("… ")] if first else [], first
    for start, end in spans:
        if start < at or end > last:
            continue  # a part of a compound that is marked already
        found += [Piece(text[at:start]), Piece(text[start:end], marked=True)]
        at = end
    found.append(Piece(text[at:last] + (" …" if last < len(text) else "")))
    return [piece for piece in found if piece.text]
