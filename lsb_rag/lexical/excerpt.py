"""What of a passage is shown for a query, its words marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..utils.text import without_controls
from .units import word_spans

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
    spans = _joined((start, end) for word, start, end in word_spans(text) if word in marked)
    first = max(0, spans[0][0] - characters // 4) if spans and len(text) > characters else 0
    last = min(len(text), first + characters)
    found, at = [Piece("… ")] if first else [], first
    for start, end in spans:
        if start < at or end > last:
            continue
        found += [Piece(text[at:start]), Piece(text[start:end], marked=True)]
        at = end
    found.append(Piece(text[at:last] + (" …" if last < len(text) else "")))
    return [piece for piece in found if piece.text]


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that overlap as one: a word and its parts, characters taken in twos."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
