"""Cut prose into sentences that keep identifiers whole, and long sentences into clauses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sentencex import segment

Span = tuple[int, int]
WINDOW = 2000
"""Characters that are cut into sentences at a time."""

_FULL_STOPS = frozenset("\u3002\uff01\uff1f\uff0e\uff61\u0964\u0965\u06d4\u061f\u104a\u104b\u17d4\u1362")
"""Full stops of scripts that put no space after them."""
_CLOSING = "\"'\u201d\u2019\u00bb)]}\u300d\u300f\uff09"
_ALNUM = re.compile(r"[^\W_]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_QUOTES = "\"'\u201c\u2018(["
_NUMBERING = re.compile(r"(?:[A-Z]\.)?(?:\d{1,3}\.)+")
_LAST_CHUNK = re.compile(r"\S{1,100}$")
# That end with a dot within a sentence; sentencex knows more.
_ABBREVIATION = re.compile(
    r"(?:\w{1,3}|(?:\w{1,3}\.)+\w{0,3}|approx|resp|incl|excl|chap|sect|dept|vols?|figs?|secs?|refs?|eqs?|misc|elev)",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"(?:no|nos|fig|figs|sec|secs|eq|eqs|ref|refs|vol|pp?|ch|approx|ca?|v|ver|art|ed)", re.IGNORECASE)
_SHORT_WORD = re.compile(
    r"(?:am|an|any|are|as|at|be|bit|but|by|can|did|do|end|few|for|get|had|has|her|him|how|if|in|is|it|key|man|map|may|me"
    r"|men|new|nor|not|now|of|off|old|on|one|or|out|own|run|saw|say|see|set|she|so|ten|the|to|two|up|us|use|was|way|we"
    r"|who|why|yes|yet|you|url|row|git|no|off|log|all|day|git|tag|api|sql|low|ok|too)",
    re.IGNORECASE,
)


def sentences(text: str, language: str) -> list[Span]:
    """Return where the sentences of `text` begin and end, without the white space between them.

    :param text: Prose on one line.
    :param language: Code of its language.
    """
    starts = [0]
    for at in _stops(_SURROGATE.sub("\ufffd", text), language):
        if _is_boundary(text, starts[-1], at):
            starts.append(at)
    spans: list[Span] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        stripped = text[start:end].strip()
        if not stripped:
            continue
        begin = text.index(stripped[0], start)
        span = (begin, begin + len(stripped))
        if spans and not (_ALNUM.search(text, *span) and _ALNUM.search(text, *spans[-1])):
            span = (spans.pop()[0], span[1])
        spans.append(span)
    return spans


def _stops(text: str, language: str) -> Iterator[int]:
    """Yield where sentencex begins a sentence. It gets a window at a time, as its time may grow with the square."""
    first = 0
    while first < len(text):
        pieces_here = segment(language, text[first : first + WINDOW])
        at = first
        whole = first + WINDOW >= len(text)
        for piece in pieces_here:
            if at > first:
                yield at
            last = at
            at += len(piece)
        if whole:
            return
        # The last sentence of a window may go on; a boundary that begins the next window is already given.
        first = last if last > first else first + WINDOW


def _is_boundary(text: str, start: int, at: int) -> bool:
    """Whether a sentence that begins at `start` ends before `at`."""
    before, after = text[at - 1], text[at]
    if before in _FULL_STOPS or (before in _CLOSING and text[at - 2] in _FULL_STOPS):
        return True
    if not (before.isspace() or after.isspace()):
        return not (before.isascii() and after.isascii()) and before.isalnum() and not after.isalnum()
    chunk = _LAST_CHUNK.search(text[max(start, at - 110) : at].rstrip())
    last = chunk.group().rstrip(_CLOSING) if chunk else ""
    following = text[at : at + 100].lstrip()[:1]
    lower = following.islower()
    if not _ALNUM.search(last):  # a sign that the sentence is about, unless it is the stop itself
        quoted = last[:1] in _QUOTES and last[-1:] in ".?!" and len(last) > 2
        return last == "." or (not lower and (quoted or last in ("?", "!")))
    if _NUMBERING.fullmatch(text[start:at].strip()):
        return False
    if last.endswith(("...", "\u2026")):
        return not lower
    if not last.endswith("."):
        return True
    word = last[:-1].lstrip("([\"'\u201c\u2018")
    if lower:
        return not _ABBREVIATION.fullmatch(word) or bool(_SHORT_WORD.fullmatch(word))
    return not (following.isdigit() and _COUNTED.fullmatch(word))


_CLAUSES = ("; ", "\uff1b", ": ", "\uff1a", " \u2013 ", " \u2014 ", ", ", "\uff0c", "\u3001")


def pieces(text: str, start: int, end: int, room: int) -> Iterator[tuple[str, int, int]]:
    """Yield ``text[start:end]`` in pieces that fit, with their places, cut between clauses where that can be.

    A piece that goes on begins with an ellipsis, and one that is continued ends with one.

    :param room: The longest piece, in characters.
    """
    room = max(room, 20)
    before = ""
    while end - start > room - len(before):
        cut = _cut(text, start, start + room - len(before) - 2, room // 3)
        yield f"{before}{text[start:cut].rstrip()} \u2026", start, cut
        start = cut
        while start < end and text[start] == " ":
            start += 1
        before = "\u2026 "
    if start < end:
        yield before + text[start:end], start, end


def _cut(text: str, start: int, limit: int, least: int) -> int:
    """Return where the piece from `start` ends, at `limit` at most."""
    for sign in _CLAUSES:
        place = text.rfind(sign, start + least, limit)
        if place > 0:
            return place if sign in (" \u2013 ", " \u2014 ") else place + len(sign.rstrip())
    place = text.rfind(" ", start + 1, limit + 1)
    return place if place > 0 else limit
