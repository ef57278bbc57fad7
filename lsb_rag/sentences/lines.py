"""The lines of a text that is to be quoted, and where each stands in it."""

from __future__ import annotations

import re
from typing import NamedTuple

RULER = re.compile(r"([\-*_=~^+#.])(?:\1{2,}|(?:[ \t]\1){2,})")
"""A line that separates or underlines, such as ``-----``."""
OF_CODE = re.compile(
    r"-{1,2}\w|[\w.\-/]*\d[\w.\-/:]*$|\w*_\w|\w+(?:\.|::)\w{2,}|[A-Z]{2,}[A-Z\d]*$|[a-z]+[A-Z]|[A-Z][a-z]+[A-Z]|[$%@/]\w|\w+\(\)|<[\w\-]+>$"
)
"""What a word begins with that is no plain one: an option, a code, a name in code."""


class Line(NamedTuple):
    """A line of the text, without white space and quote marks around it.

    :param start: Where it begins in the text.
    :param indent: The width of what was before it.
    """

    text: str
    start: int
    indent: int


_BREAK = re.compile(r"\r\n|[\r\n\v\f\x85\u2028\u2029]")
_QUOTE = re.compile(r"(?:>(?!>>)[ \t]?)+(?=$|[^>=\d])")


def lines_of(text: str) -> list[Line]:
    """Return the lines of `text`, of blank ones in a row the first."""
    lines: list[Line] = []
    at = 0
    quoted = True
    for whole in _BREAK.split(text):
        content = whole.lstrip()
        start, indent = at + len(whole) - len(content), _width(whole[: len(whole) - len(content)])
        # A comparison that is wrapped before its sign is no quote.
        mark = _QUOTE.match(content) if quoted and content.startswith(">") else None
        quoted = not content or mark is not None
        if mark:
            inner = content[mark.end() :]
            content = inner.lstrip()
            start += mark.end() + len(inner) - len(content)
            indent = _width(inner[: len(inner) - len(content)])
        if content or not lines or lines[-1].text:  # one blank line says as much as many
            lines.append(Line(content.rstrip(), start, indent))
        at += len(whole) + 1
        at += text[at - 1 : at + 1] == "\r\n"
    return lines


def _width(space: str) -> int:
    return len(space.expandtabs(4)) if "\t" in space else len(space)
