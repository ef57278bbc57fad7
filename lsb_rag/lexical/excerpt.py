"""Excerpts of passages, with the words of a query marked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..utils.text import without_controls
from .units import word_spans

CHARACTERS = 700
"""Most characters of a passage that are shown."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a passage, marked where it is a word of the query."""

    text: str
    marked: bool = False


def excerpt(text: str, marked: Collection[str], characters: int = CHARACTERS) -> list[Piece]:
    """Return an excerpt of `text`, cut into pieces at the words in `marked`.

    A text longer than `characters` is cut to as many, from a little before the first marked word.
    """
    text = without_controls(text.replace("\r\n", "\n").replace("\r", "\n"))
    spans = _merge_overlapping((start, end) for word, start, end in word_spans(text) if word in marked)
    first = max(0, spans[0][0] - characters // 4) if spans and len(text) > characters else 0
    last = min(len(text), first + characters)
    pieces = [Piece("… ")] if first else []
    at = first
    for start, end in spans:
        if start < at or end > last:
            continue
        pieces += [Piece(text[at:start]), Piece(text[start:end], marked=True)]
        at = end
    pieces.append(Piece(text[at:last] + (" …" if last < len(text) else "")))
    return [piece for piece in pieces if piece.text]


def _merge_overlapping(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, overlapping ones merged: a word and its parts, or neighbouring pairs of characters."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
