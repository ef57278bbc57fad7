"""Take the inline markup of Markdown, HTML and reStructuredText out of a text, and keep where its characters stood."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import NamedTuple

LONGEST_EMPHASIS = 400
"""Longest text, in characters, between two marks of emphasis."""
LONGEST_CODE = 1000
"""Longest code between backquotes, in characters."""
FAR = 4
"""Open marks of emphasis that are looked at for a closing one."""

_TARGET = (
    r"\(\s?(?:<[^<>\n]{0,500}>|[^\s()<>|*^{}\\]{0,500}(?:\([^\s()]{0,100}\)[^\s()]{0,300}){0,3})"
    r"(?:\s{1,9}(?:\"[^\"]{0,300}\"|'[^']{0,300}'))?\s?\)"
)
_TOKEN = re.compile(
    rf"""
    (?P<role>:[a-z][a-z:+\-]{{1,30}}:(?=`))
    |(?P<ticks>`+)
    |(?P<escape>\\[_*|`])
    |(?P<comment><!--)
    |(?P<tag></?(?P<name>[A-Za-z][A-Za-z0-9]{{0,10}})(?P<attributes>\s+[\w:\-]{{1,40}}=[^<>]{{0,500}})?\s*/?>)
    |(?P<address><(?=(?:https?|ftp|mailto):[^\s<>]{{1,500}}>))
    |(?P<url>\b(?:https?|ftp|file)://[^\s<>()\[\]`"]{{1,2000}}(?<![*_.,;:!?']))
    |(?P<entity>&(?:\#\d{{1,7}}|\#[xX][0-9a-fA-F]{{1,6}}|[A-Za-z][A-Za-z0-9]{{1,30}});)
    |(?P<note>(?<=\S)\[\^\d{{1,3}}\](?!\w)|^\[\^\d{{1,3}}\]:)
    |(?P<open>!?\[)
    |(?P<close>\](?P<target>{_TARGET})?)
    |(?P<stars>\*+)
    |(?P<lines>(?<!\w)__?(?=[^\W_]|["'(`])|(?<=[.!?\w])(?<!_)__?(?!\w))
    |(?P<space>\s{{2,}}|[^\S\x20])
    """,
    re.VERBOSE,
)
_INLINE = re.compile(
    "(?:abbr|a|big|b|cite|code|del|dfn|em|font|ins|i|kbd|label|mark|q|samp|small|span|strike|strong|sub|sup|s|tt|u|var)"
)
_BLOCK = re.compile(
    "(?:article|aside|blockquote|body|caption|center|dd|details|div|dl|dt|figcaption|figure|footer|h[1-6]|head|header|html"
    "|li|main|nav|ol|p|pre|section|summary|table|tbody|td|tfoot|th|thead|tr|ul)"
)
_VOID = frozenset(("br", "hr", "img", "wbr", "col"))
_OFTEN_UNCLOSED = frozenset(("p", "li", "dt", "dd", "tr", "td", "th"))
_CLOSED = re.compile(r"</([A-Za-z][A-Za-z0-9]{0,10})")
_WORD = re.compile(r"\w")
_PATH = re.compile(r"\\[A-Za-z]")
"""The beginning of a path of Windows' or of a pattern, in which a backslash is no escape."""
# What a star before or after such a word means: arguments of a function, and a pointer.
_STARRED = re.compile(r"\**(?:args|kwargs|kwds|kw|argv|self|options)\b")
_POINTER = re.compile(r"(?:\b(?:char|int|void|float|double|long|short|unsigned|const|bool|FILE|PyObject)|_t)$")
_NEVER_BEFORE_OPENING = frozenset("_.)]}*\\")
_NEVER_AFTER_OPENING = frozenset("./,;:)]}*=|\\?")
_NEVER_BEFORE_CLOSING = frozenset("/-([{,;:|=*\\")
_TARGET_OF_NAME = re.compile(r"\s*<[^<>]*>$")


class Traced(NamedTuple):
    """A text with the source of its characters.

    :param text: The text.
    :param starts: Where its stretches begin, the first at 0.
    :param sources: Where each stretch begins in the source.
    """

    text: str
    starts: list[int]
    sources: list[int]

    def source(self, at: int) -> int:
        """Return the position in the source of the character at `at`."""
        stretch = bisect_right(self.starts, at) - 1
        return self.sources[stretch] + at - self.starts[stretch]


def traced(stretches: Iterable[tuple[str, int]]) -> Traced:
    """Return stretches of a source as one text, with a line break between two.

    :param stretches: The text of each and its position in the source, at least one.
    """
    texts, starts, sources = list[str](), list[int](), list[int]()
    length = 0
    for text, source in stretches:
        texts.append(text)
        starts.append(length)
        sources.append(source)
        length += len(text) + 1
    return Traced("\n".join(texts), starts, sources)


def bare(marked: Traced) -> Traced:
    """Return a text without its inline markup, with white space folded.

    The texts of links, emphasis and code stay. A sign goes only where it can be nothing but markup: ``__init__``,
    ``*args``, ``a * b``, ``List<String>`` and ``<placeholder>`` stay as they are.
    """
    text = marked.text
    texts, starts, sources = list[str](), list[int](), list[int]()
    length, at, spaced = 0, 0, True

    def put(part: str, source: int) -> None:
        nonlocal length, spaced
        if spaced and part.startswith(" "):
            stripped = part.lstrip(" ")
            source += len(part) - len(stripped)
            part = stripped
        if part:
            texts.append(part)
            starts.append(length)
            sources.append(source)
            length += len(part)
            spaced = part.endswith(" ")

    for start, end, replacement in sorted(_changes(text)):
        if start > at:
            put(text[at:start], marked.source(at))
        if end > at:
            put(replacement, marked.source(max(start, at)))
            at = end
    if at < len(text):
        put(text[at:], marked.source(at))
    return Traced("".join(texts).rstrip(" "), starts or [0], sources or [marked.source(0)])


Change = tuple[int, int, str]
"""Start and end of what is replaced, and by what."""


def _changes(text: str) -> list[Change]:
    tokens = [*_TOKEN.finditer(text)]
    if not tokens:
        return []
    changes: list[Change] = []
    spans = _code_spans(text, tokens)
    closed = {name.lower() for name in _CLOSED.findall(text)} if "</" in text else set[str]()
    emphasis = _Emphasis(text, changes)
    brackets: list[re.Match[str]] = []
    comment_end = text.rfind("-->")
    done = 0
    for token in tokens:
        start, end = token.span()
        kind = token.lastgroup
        if kind == "space":
            changes.append((start, end, " "))
        elif start < done:
            pass
        elif kind == "ticks":
            if start in spans:
                changes += _of_code(text, end, *spans[start])
                done = spans[start][1]
        elif kind == "role":
            if end in spans:
                changes.append((start, end, ""))
        elif kind == "escape":
            if not _PATH.search(text[max(0, start - 100) : start].rpartition(" ")[2]):
                changes.append((start, end, text[end - 1]))
        elif kind == "comment":
            if comment_end > start:
                done = text.index("-->", start) + 3
                changes.append((start, done, " "))
        elif kind == "tag":
            changes += _of_tag(text, token, closed)
        elif kind == "address":
            changes.append((start, end, ""))
            changes.append((at := text.index(">", end), at + 1, ""))
        elif kind == "url":
            done = end
        elif kind == "entity":
            changes.append((start, end, html.unescape(token.group()).replace("\xa0", " ")))
        elif kind == "note":
            changes.append((start, end, ""))
        elif kind == "open":
            brackets.append(token)
        elif kind == "close":
            if brackets:
                changes += _of_link(text, brackets.pop(), token)
        elif kind == "stars":
            emphasis.stars(start, end)
        else:
            emphasis.lines(start, end)
    return changes


def _code_spans(text: str, tokens: list[re.Match[str]]) -> dict[int, tuple[int, int]]:
    """Return the ends of the code spans, inner and outer, by their start."""
    by_length: dict[int, deque[int]] = defaultdict(deque)
    ticks = [token.span() for token in tokens if token["ticks"]]
    for start, end in ticks:
        by_length[end - start].append(start)
    spans: dict[int, tuple[int, int]] = {}
    done = 0
    for start, end in ticks:
        if start < done:
            continue
        following = by_length[end - start]
        while following and following[0] <= start:
            following.popleft()
        if not following:
            continue
        closing = following[0]
        done_here = closing + end - start
        if closing - end > LONGEST_CODE:
            continue
        # `this' and `that' are quotes of another kind
        if not (text[done_here : done_here + 1].isalnum() and any(map(str.isspace, text[end:closing]))):
            spans[start] = (closing, done_here)
            done = done_here
    return spans


def _of_code(text: str, opened: int, closing: int, end: int) -> Iterable[Change]:
    """Yield what goes from a code span: the backquotes, and the target of a reference of reStructuredText's."""
    start = opened
    while text[start - 1 : start] == "`":
        start -= 1
    padded = closing - opened > 2 and text[opened] == text[closing - 1] == " "
    role = text[start - 1 : start] == ":"
    yield start, opened + (padded or (role and text[opened] in "~!")), ""
    reference = end - closing == 1 and text[end : end + 1] == "_" and not text[end + 1 : end + 2].isalnum()
    target = _TARGET_OF_NAME.search(text[max(opened, closing - 500) : closing]) if role or reference else None
    if target and closing - len(target.group()) > opened:
        closing -= len(target.group())
    yield closing - padded, end + (reference and len(text[end : end + 2].rstrip("_ ")) == 0), ""


def _of_tag(text: str, token: re.Match[str], closed: set[str]) -> Iterable[Change]:
    name = token["name"].lower()
    start, end = token.span()
    inline = _INLINE.fullmatch(name) is not None
    if not (inline or name in _VOID or _BLOCK.fullmatch(name)):
        return
    shut = token.group().startswith("</") or token.group().endswith("/>")
    lone = name in _OFTEN_UNCLOSED and not text[:start].strip() if start < 20 else False
    # <table> and <b> may stand for what the reader fills in
    if shut or token["attributes"] or name in closed or name in ("br", "hr", "wbr") or lone:
        yield start, end, "" if inline or name == "wbr" else " "


def _of_link(text: str, opening: re.Match[str], closing: re.Match[str]) -> Iterable[Change]:
    target = closing["target"]
    if target is None:
        return
    start, inner = opening.span()
    before = text[start - 1 : start]
    # handlers[key](event) is code
    is_code = (before.isalnum() or (before and before in "_])")) and not any(sign in target for sign in "/.#")
    image = opening.group() == "!["
    if not is_code and (image or _WORD.search(text, inner, closing.start())):
        yield start, inner, ""
        yield *closing.span(), ""


class _Emphasis:
    """Pairs of stars and of underscores that emphasise what is between them."""

    def __init__(self, text: str, changes: list[Change]) -> None:
        self.text = text
        self.changes = changes
        self.open_stars: list[tuple[int, int]] = []
        self.open_lines: list[tuple[int, int]] = []

    def stars(self, start: int, end: int) -> None:
        text = self.text
        before, after = text[start - 1 : start] if start else " ", text[end : end + 1] or " "
        closes = not before.isspace() and before not in _NEVER_BEFORE_CLOSING and not (after.isalnum() or after == "_")
        rest = end - start
        if (closes or end - start == 3) and self.open_stars:
            for length in (rest,) if rest != 3 else (3, 2, 1):
                if length <= rest and self._close(start + end - start - rest, length):
                    rest -= length
                    if not rest:
                        return
        opens = not after.isspace() and (after not in _NEVER_AFTER_OPENING or text[end + 1 : end + 2].isdigit())
        if opens and rest <= 3 and (rest < end - start or not (before.isalnum() or before in _NEVER_BEFORE_OPENING)):
            self.open_stars.append((end - rest, end))

    def _close(self, at: int, length: int) -> bool:
        for place in range(len(self.open_stars) - 1, max(-1, len(self.open_stars) - 1 - FAR), -1):
            start, end = self.open_stars[place]
            if end - start != length:
                continue
            if at - end > LONGEST_EMPHASIS:
                return False
            inner = self.text[end:at]
            spaced = any(map(str.isspace, inner))
            if spaced and (_STARRED.match(inner) or _POINTER.search(inner)):
                return False
            if (inner[-1] == "_" and inner[0] != "_") or (
                inner[-1] == "." and length == 1 and not (spaced or inner[0].isupper())
            ):  # a pattern
                return False
            del self.open_stars[place:]
            self.changes += [(start, end, ""), (at, at + length, "")]
            return True
        return False

    def lines(self, start: int, end: int) -> None:
        """Take up underscores. A name may begin or end with one, so only a sentence or the whole text goes without."""
        text = self.text
        if start == 0 or text[end : end + 1].isalnum() or not (text[start - 1].isalnum() or text[start - 1] in ".!?"):
            self.open_lines = [(start, end)]
            return
        if not self.open_lines:
            return
        opened, inner = self.open_lines.pop()
        several = end - start == inner - opened and any(map(str.isspace, text[inner : min(start, inner + 100)]))
        whole = opened == 0 and end == len(text) and "_" not in text[inner:start] and text.count(" ", inner, start) > 1
        if several and start - inner <= LONGEST_EMPHASIS and (text[start - 1] in ".!?" or whole):
            self.changes += [(opened, inner, ""), (start, end, "")]
