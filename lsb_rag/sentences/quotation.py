"""The units in which an extractive generator quotes a passage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from .boundaries import pieces, sentences
from .lines import OF_CODE, RULER, Line, lines_of
from .markup import Traced, bare, traced
from .tables import BARS, begins_table, columns_of, is_rule, rows_of

Kind = Literal["sentence", "list item", "table row", "definition", "signature", "heading", "code"]

LONGEST = 300
"""Longest text of a quotation, in characters."""
LONGEST_TERM = 100
MOST_TERMS = 8
LONGEST_HEADING = 120
LONGEST_SIGNATURE = 2000
DEEPEST = 4
"""How many definitions may stand in one another."""
CACHED_TEXTS = 4096


@dataclass(frozen=True)
class Quotation:
    """A unit of a text that can be quoted.

    :param text: What is quoted, without markup and with white space folded, 300 characters at most.
    :param kind: What it is.
    :param start: Where its source begins in the text.
    :param end: Where its source ends in the text.
    :param term: The term whose definition it is a part of; else an empty string.
    """

    text: str
    kind: Kind
    start: int
    end: int
    term: str = ""


@lru_cache(CACHED_TEXTS)
def quotations(text: str, language: str = "en") -> tuple[Quotation, ...]:
    """Return the units in which `text` is quoted, in its order.

    A unit is a sentence, a list item, a table's row with the header of each cell, a definition with its term, a
    signature with the first sentence after it, a heading, or some code. The text may be Markdown, also as converters
    of HTML write it, a docstring or plain text, and it may be cut out of any of them.

    :param text: The text of a passage.
    :param language: Code of the language of its sentences.
    """
    lines = lines_of(text)
    reader = _Reader(language)
    at, signature = _signature(lines)
    if signature:
        rest = reader.read(lines[at:], 0)
        return tuple(_with_signature(signature, rest))
    return tuple(reader.read(_with_indent(_with_fence(lines)), 0))


_FENCE = re.compile(r"(`{3,}|~{3,})([^`]*)")
_HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t]*#*")
_BOLD_LINE = re.compile(r"(\*\*|__)(?=[^\s*_])(?:(?!\1).)+\1:?|<(?:b|strong)>[^<>]+</(?:b|strong)>")
_UNDERLINE = re.compile(r"([=\-~^\"'`+#*.:])\1{2,}")
_ITEM = re.compile(
    r"(?:[\-*+\u2022\u2023\u25e6\u2043\u25aa\u25cf\u00b7]|\(?(?:\d{1,3}|[A-Za-z])[.)]|\d{1,3}\))[ \t]+(?=\S)"
)
_ORDINAL_ITEM = re.compile(r"\(?(\w+)([.)])")
_TASK = re.compile(r"\[[ xX]\][ \t]+")
_DETAIL = re.compile(r":[ \t]+(?=\S)")
_DIRECTIVE = re.compile(r"\.\.[ \t]+[\w\-:]+::[ \t]*")
_CODE_DIRECTIVE = re.compile(r"\.\.[ \t]+(?:code|code-block|sourcecode|highlight|prompt|parsed-literal)::.*")
_ENDS_SENTENCE = re.compile(r"[.!?\u3002\uff01\uff1f\u2026][\"'\u201d\u2019)\]*_]*$")
_LETTER = re.compile(r"[^\W_]")


class _Reader:
    """Reads blocks, one after the other.

    :param language: Code of the language of the sentences.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def read(self, lines: list[Line], depth: int) -> list[Quotation]:
        """Return the quotations of `lines`.

        :param depth: How many definitions they stand in.
        """
        units: list[Quotation] = []
        at = 0
        while at < len(lines):
            if not lines[at].text:
                at += 1
                continue
            for block in (self._code, self._table, self._heading, self._item, self._definition, self._paragraph):
                end, found = block(lines, at, depth)
                if end > at:
                    units += found
                    at = end
                    break
        return units

    def _code(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        fence = _FENCE.fullmatch(lines[at].text)
        if fence:
            mark, end = fence[1], at + 1
            while end < len(lines) and not (lines[end].text.startswith(mark) and not lines[end].text.strip(mark[0])):
                end += 1
            body = lines[at + 1 : end]
            if fence[2].startswith("{") and "code" not in fence[2] and depth < DEEPEST:  # a directive of MyST's
                return end + 1, self.read([line for line in body if not _OPTION.match(line.text)], depth + 1)
            return end + 1, _code_units(body)
        end = at
        if lines[at].text.startswith(">>>"):
            while end < len(lines) and lines[end].text:
                end += 1
        elif (at == 0 or not lines[at - 1].text) and lines[at].indent >= 2:
            end = _end_of_code(lines, at)
        return end, _code_units(lines[at:end])

    def _table(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        if not begins_table(lines, at):
            return at, []
        end = at
        while end < len(lines) and (is_rule(lines[end].text) or any(bar in lines[end].text for bar in BARS)):
            end += 1
        header, rows = rows_of(lines[at:end])
        return end, self._of_rows(header, rows)

    def _of_rows(self, header: list[str], rows: list[list[Traced]]) -> list[Quotation]:
        units: list[Quotation] = []
        for cells in rows:
            named = [
                (f"{header[place]}: " if place < len(header) and header[place] and len(header) > 1 else "", cell)
                for place, cell in enumerate(cells)
                if cell.text
            ]
            if not named or [cell.text for cell in cells] == header:
                continue
            whole = "; ".join(name + cell.text for name, cell in named)
            if len(whole) <= LONGEST:
                units.append(Quotation(whole, "table row", named[0][1].source(0), _end(named[-1][1])))
            elif len(named) == 1:
                units += self._sentences(named[0][1], "table row")
            else:
                key = named[0][0] + named[0][1].text
                if len(key) > LONGEST_TERM:
                    key = ""
                for name, cell in named[bool(key) :]:
                    units += self._packed(f"{key}; {name}" if key else name, cell, 0, "table row")
        return units

    def _heading(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        line = lines[at]
        following = lines[at + 1].text if at + 1 < len(lines) else ""
        heading = _HEADING.fullmatch(line.text)
        if heading and line.indent < 4:
            start = line.start + heading.start(2)
            return at + 1, self._sentences(bare(traced([(heading[2], start)])), "heading")
        if RULER.fullmatch(line.text):
            return at + 1, []
        short = len(line.text) <= LONGEST_HEADING and _LETTER.search(line.text)
        alone = at == 0 or not lines[at - 1].text or not _LETTER.search(lines[at - 1].text)
        underlined = _UNDERLINE.fullmatch(following) and (following[0] in "=-" or len(following) >= len(line.text) - 2)
        if short and alone and underlined and not _ITEM.match(line.text):
            return at + 2, self._sentences(bare(traced([(line.text, line.start)])), "heading")
        bold = short and alone and _BOLD_LINE.fullmatch(line.text) and not _DETAIL.match(following)
        if bold and not following[:1].islower() and not _ENDS_SENTENCE.search(line.text):
            return at + 1, self._sentences(bare(traced([(line.text, line.start)])), "heading")
        return at, []

    def _item(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        mark = _item_mark(lines, at)
        if not mark:
            return at, []
        line, end = lines[at], at + 1
        skipped = mark.end()
        if task := _TASK.match(line.text, skipped):
            skipped = task.end()
        while end < len(lines) and not _interrupts(lines, end):
            ends = lines[end].indent <= line.indent and _ENDS_SENTENCE.search(lines[end - 1].text)
            if ends and not lines[end].text[:1].islower():
                break
            end += 1
        first = (line.text[skipped:], line.start + skipped)
        item = traced([first, *((other.text, other.start) for other in lines[at + 1 : end])])
        return end, self._entry(item, "list item", anywhere=True)

    def _definition(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        """Read terms and what they mean: ``term``, then ``:   meaning``, or ``term`` and an indented meaning."""
        term_lines, body = _terms(lines, at)
        if depth >= DEEPEST or body == at or body >= len(lines):
            return at, []
        first = lines[body]
        if mark := _DETAIL.match(first.text):
            first = Line(first.text[mark.end() :], first.start + mark.end(), first.indent + mark.end())
        end = body + 1
        indent = min(first.indent, lines[body].indent + 2) if mark else first.indent
        while end < len(lines) and (not lines[end].text or (lines[end].indent >= indent and indent > 0)):
            if _DETAIL.match(lines[end].text) and lines[end].indent <= lines[body].indent:
                break
            end += 1
        inner = [first, *lines[body + 1 : end]]
        terms = [bare(traced([(line.text, line.start)])) for line in term_lines]
        paragraph_end = 1
        while paragraph_end < len(inner) and not _interrupts(inner, paragraph_end):
            paragraph_end += 1
        prose = not (_item_mark(inner, 0) or _FENCE.match(first.text) or begins_table(inner, 0))
        term = ", ".join(term.text.rstrip(" :") for term in terms)
        section = terms[-1].text.endswith(":") and any(
            _begins_parameter(line) for line in inner if line.indent == indent
        )
        if not prose or not term or section or _is_code(inner[:paragraph_end], 2):
            kind: Kind = "heading" if terms[-1].text.endswith(":") else "definition"
            found = [unit for one in terms for unit in self._sentences(one, kind)]
            return end, found + self.read(inner, depth + 1)
        meaning = bare(traced((line.text, line.start) for line in inner[:paragraph_end]))
        units = self._defined(term, terms[0].source(0), meaning)
        rest = self.read(inner[paragraph_end:], depth + 1)
        return end, units + [one if one.term else replace(one, term=term) for one in rest]

    def _defined(self, term: str, start: int, meaning: Traced) -> list[Quotation]:
        """Return ``term: first sentences``, then the other sentences."""
        if len(term) > LONGEST_TERM * 2:
            return self._sentences(Traced(term, [0], [start]), "definition") + self._sentences(meaning, "sentence")
        spans = sentences(meaning.text, self.language)
        if not spans:
            return [Quotation(f"{term}:", "definition", start, start + len(term), term)]
        room = LONGEST - len(term) - 2
        count = 1
        while count < len(spans) and spans[count][1] <= room:
            count += 1
        units = [
            Quotation(
                f"{term}: {text}",
                "definition",
                start if not number else meaning.source(first),
                _at(meaning, last),
                term,
            )
            for number, (text, first, last) in enumerate(pieces(meaning.text, 0, spans[count - 1][1], room))
        ]
        for first, last in spans[count:]:
            units += [replace(one, term=term) for one in _pieces(meaning, first, last, "sentence")]
        return units

    def _paragraph(self, lines: list[Line], at: int, depth: int) -> tuple[int, list[Quotation]]:
        end = at + 1
        while end < len(lines) and not _interrupts(lines, end) and not _indents(lines, at, end):
            end += 1
        paragraph = lines[at:end]
        if mark := _DIRECTIVE.match(paragraph[0].text):
            first = paragraph[0]
            code = _CODE_DIRECTIVE.fullmatch(first.text)
            skipped = len(first.text) if code else mark.end()
            paragraph[0] = Line(first.text[skipped:], first.start + skipped, first.indent)
            paragraph = [line for line in paragraph if not _OPTION.match(line.text)]
        elif mark := _DETAIL.match(paragraph[0].text):  # its term was cut away
            first = paragraph[0]
            paragraph[0] = Line(first.text[mark.end() :], first.start + mark.end(), first.indent)
        if end < len(lines) and paragraph[-1].text.endswith("::"):
            last = paragraph[-1]
            paragraph[-1] = Line(last.text[:-1], last.start, last.indent)
        if len(paragraph) == 1 and end == len(lines) and _is_name(paragraph[0].text):  # what it names was cut away
            return end, self._sentences(bare(traced([(paragraph[0].text, paragraph[0].start)])), "heading")
        columns = columns_of(paragraph)
        if columns[1]:
            return end, self._of_columns(*columns)
        units: list[Quotation] = []
        for kind, entry in _entries(paragraph):
            source = traced((line.text, line.start) for line in entry)
            units += self._entry(source, kind, anywhere=kind == "definition")
        return end, units

    def _of_columns(self, header: list[str], rows: list[list[Traced]]) -> list[Quotation]:
        if header:
            return self._of_rows(header, rows)
        units: list[Quotation] = []
        for row in rows:
            if len(row) == 2:
                units += self._defined(row[0].text.rstrip(" :"), row[0].source(0), row[1])
            else:
                units += self._of_rows([], [row])
        return units

    def _entry(self, source: Traced, kind: Kind, *, anywhere: bool) -> list[Quotation]:
        """Return the units of a paragraph or an item, of which each sentence that begins with a term begins a unit.

        :param anywhere: Whether any short beginning before a colon is a term, or only what looks like an identifier.
        """
        text = bare(source)
        marked = _MARKED_TERM.match(source.text)
        name = bare(traced([(marked[1], 0)])).text if marked else ""
        if _CALLS_ATTENTION.fullmatch(name):
            return self._sentences(text, kind)
        term = len(name) if name and text.text.startswith(name) else _term(text.text, strict=not anywhere)
        if not term:
            if kind == "list item" and len(text.text) <= LONGEST:
                return _pieces(text, 0, len(text.text), kind)
            return self._sentences(text, "sentence" if kind == "definition" else kind)
        units: list[Quotation] = []
        spans = sentences(text.text, self.language)
        starts = [0, *(i for i in range(1, len(spans)) if _term(text.text[slice(*spans[i])], strict=True)), len(spans)]
        for first, last in pairwise(starts):
            start, end = spans[first][0], spans[last - 1][1]
            length = term if first == 0 else _term(text.text[start : spans[first][1]], strict=True)
            if end - start <= LONGEST:
                units += _pieces(text, start, end, "definition")
                continue
            count = first + 1
            while count < last and spans[count][1] - start <= LONGEST:
                count += 1
            units += _pieces(text, start, spans[count - 1][1], "definition")
            prefix = text.text[start : start + length].rstrip(" :") + ": "
            for begin, stop in spans[count:last]:
                units += _pieces(text, begin, stop, "definition", prefix)
        return units

    def _packed(self, prefix: str, text: Traced, start: int, kind: Kind) -> list[Quotation]:
        """Return the sentences of `text` from `start`, as many in a unit as it holds, each unit with the prefix."""
        if len(prefix) > LONGEST // 2:
            prefix = ""
        units: list[Quotation] = []
        spans = sentences(text.text[start:], self.language)
        begin = 0
        for place in range(len(spans)):
            last = place + 1 == len(spans)
            if last or spans[place + 1][1] - spans[begin][0] > LONGEST - len(prefix):
                units += _pieces(text, start + spans[begin][0], start + spans[place][1], kind, prefix)
                begin = place + 1
        return units

    def _sentences(self, text: Traced, kind: Kind) -> list[Quotation]:
        """Return the sentences of `text`. One that begins with a term is a definition."""
        if kind in ("heading", "list item") and len(text.text) <= LONGEST:
            return _pieces(text, 0, len(text.text), kind)
        units: list[Quotation] = []
        for start, end in sentences(text.text, self.language):
            is_term = kind == "sentence" and _term(text.text[start:end], strict=True)
            units += _pieces(text, start, end, "definition" if is_term else kind)
        return units


def _end(text: Traced) -> int:
    return _at(text, len(text.text))


def _at(text: Traced, end: int) -> int:
    """Return the position in the source after the characters before `end`."""
    return text.source(end - 1) + 1 if end else text.source(0)


def _pieces(text: Traced, start: int, end: int, kind: Kind, prefix: str = "") -> list[Quotation]:
    """Return ``text[start:end]`` as a quotation, or as several when it is too long."""
    if not _LETTER.search(text.text, start, end) and kind != "code" and end - start > 4:
        return []
    return [
        Quotation(prefix + piece, kind, text.source(first), _at(text, last))
        for piece, first, last in pieces(text.text, start, end, LONGEST - len(prefix))
    ]


# Terms

_SEPARATOR = r"(?:\s*(?:::|=>|->|\u2192)\s+|:\s+|\uff1a\s*|\t+|\s+[\-\u2013\u2014=]{1,2}\s+)(?=\S)"
_TERM = re.compile(rf"(\S.{{0,{LONGEST_TERM}}}?){_SEPARATOR}")
_MARKED_TERM = re.compile(
    r"((?:\*\*[^*\n]{1,80}\*\*|`[^`\n]{1,80}`)(?:(?:, |,? or | )`[^`\n]{1,80}`){0,4})"
    r"(?:\s*[:\u2013\u2014]\s|\s+[\-=]\s|\uff1a)"
)
_CALLS_ATTENTION = re.compile(
    r"(?:NOTES?|WARNINGS?|TODO|FIXME|XXX|IMPORTANT|CAUTION|TIP|HINT|DANGER|INFO|ERRORS?|PS|NB|BUGS?|Q|A|Q&A)",
    re.IGNORECASE,
)
_FIELD = re.compile(r":(?:param|type|returns?|raises|rtype|arg|keyword|ivar|var|yields?)\b[^:]{0,80}:(?:\s|$)")
_CALL_ENTRY = re.compile(
    r"[\w.]+\([^()]{0,100}(?:\([^()]{0,100}\)[^()]{0,100})?\)\s*(?:--?|->|=>|[\u2013\u2014\u2192:])\s"
)
_NUMBERED = re.compile(
    r"\b(?:error|code|status|exit|fault|alarm|warning|rule|step|option|signal|message|event|state|parameter)\b",
    re.IGNORECASE,
)
_OPTION = re.compile(r":[\w\-]+:(?:\s|$)")
_LOG = re.compile(
    r"\[?\d{4}-\d\d-\d\d[T \]]|\[?\d\d:\d\d:\d\d|\[\w+\] |(?:ERROR|WARN(?:ING)?|INFO|DEBUG|FATAL|TRACE|CRITICAL)\b"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d"
)


def _term(text: str, *, strict: bool) -> int:
    """Return the length of the term that `text` begins with, or 0.

    :param strict: Whether the term has to look like an identifier.
    """
    match = _TERM.match(text)
    if not match:
        return 0
    term = match[1]
    words = term.split()
    if len(words) > 5 or _ENDS_SENTENCE.search(term) or _CALLS_ATTENTION.fullmatch(term) or ": " in term:
        return 0
    if strict:
        last = words[-1].strip("`*\"'()[],")
        if words[0].startswith("-") and len(words) <= 4:
            return len(term)
        # "Error 42", but no title such as "Part 2"
        numbered = len(words) <= 3 and any(map(str.isdigit, last)) and (not last.isdigit() or _NUMBERED.search(term))
        if not ((len(words) == 1 or numbered) and OF_CODE.match(last)):
            return 0
        named = text[len(term)] in ":\uff1a" or text[len(term) : len(term) + 2] == " ="
        return len(term) if named or (any(map(str.isdigit, last)) and any(map(str.isalpha, last))) else 0
    if text[len(term)].isspace() and len(words) > 3:
        return 0
    if any(sign in term for sign in ".;!?") and not OF_CODE.match(words[0].strip("`*")):
        return 0
    return len(term)


def _begins_entry(line: Line) -> bool:
    if _LOG.match(line.text):
        return True
    if _MARKED_TERM.match(line.text) or _begins_parameter(line) or _FIELD.match(line.text):
        return True
    if _CALL_ENTRY.match(line.text):
        return True
    length = _term(line.text, strict=False)
    first = line.text[:1]
    return bool(length) and (
        not first.islower() or bool(_term(line.text, strict=True)) or " " not in line.text[:length]
    )


_PARAMETER = re.compile(r"\*{0,2}[\w.\-]+(?: ?\([^()]{1,80}\))?:\s+\S")


def _begins_parameter(line: Line) -> bool:
    return bool(_PARAMETER.match(line.text))


def _entries(lines: list[Line]) -> Iterator[tuple[Kind, list[Line]]]:
    """Yield the lines of a paragraph in groups: one, or one for each entry where the lines are entries."""
    if len(lines) < 2:
        yield "sentence", lines
        return
    begins = [_begins_entry(line) for line in lines]
    logs = sum(bool(_LOG.match(line.text)) for line in lines)
    outer = lines[0].indent if len(lines) == 1 else min(line.indent for line in lines)
    entries = sum(begins)
    level = sum(line.indent == outer for line in lines)
    if entries >= 2 and entries * 2 >= min(level, len(lines)):
        kind: Kind = "sentence" if logs * 2 > len(lines) else "definition"
        group: list[Line] = []
        for line, begin in zip(lines, begins, strict=True):
            own = (
                line.indent <= outer and group and _ENDS_SENTENCE.search(group[-1].text) and not line.text[0].islower()
            )
            if group and (begin or own):
                yield kind, group
                group = []
            group.append(line)
        yield kind, group
    elif len(lines) >= 3 and all(
        len(line.text) <= 60 and not line.text[0].islower() and line.text[-1] not in ".,;!?:" for line in lines
    ):
        for line in lines:
            yield "sentence", [line]
    else:
        yield "sentence", lines


# Lists, definitions and paragraphs


def _item_mark(lines: Sequence[Line], at: int) -> re.Match[str] | None:
    """Return the mark of the list item that begins at a line, if one does."""
    mark = _ITEM.match(lines[at].text)
    ordinal = _ORDINAL_ITEM.match(lines[at].text) if mark else None
    if not ordinal:
        return mark
    if ordinal[1].isalpha() and ordinal[2] == ".":  # the initial of a name
        return None
    before = lines[at - 1] if at else None
    if before is None or not before.text or before.text.endswith(":") or _ITEM.match(before.text):
        return mark
    # the number that ends a wrapped sentence
    follows = ordinal[1] == "1" or before.indent > lines[at].indent or _ENDS_SENTENCE.search(before.text)
    return mark if follows else None


def _interrupts(lines: Sequence[Line], at: int) -> bool:
    """Whether a paragraph ends before a line."""
    text = lines[at].text
    if not text or (
        text[0] in "`~#:>"
        and (
            _FENCE.fullmatch(text)
            or (lines[at].indent < 4 and _HEADING.fullmatch(text))
            or text.startswith(">>> ")
            or _DETAIL.match(text)
        )
    ):
        return True
    return bool(RULER.fullmatch(text)) or _item_mark(lines, at) is not None or begins_table(lines, at)


def _indents(lines: Sequence[Line], first: int, at: int) -> bool:
    """Whether a paragraph ends before a line because of the line's indent."""
    before, line = lines[at - 1], lines[at]
    if line.indent > before.indent:
        return before.text.endswith(":")
    if line.indent >= lines[first].indent:
        return False
    # the first line of a paragraph may be indented
    return at - first > 1 or bool(_ENDS_SENTENCE.search(before.text)) or not line.text[:1].islower()


def _terms(lines: list[Line], at: int) -> tuple[list[Line], int]:
    """Return the lines of the terms that begin at a line, and the place of what they mean; `at` if there is none."""
    meaning = at
    while meaning < len(lines) and lines[meaning].text and not _DETAIL.match(lines[meaning].text):
        meaning += 1
    marked = lines[at:meaning]
    if 1 < len(marked) <= MOST_TERMS and meaning < len(lines) and lines[meaning].text and all(map(_is_marked, marked)):
        return marked, meaning
    terms: list[Line] = []
    place = at
    while place + 1 < len(lines) and len(terms) < MOST_TERMS:
        line, following = lines[place], lines[place + 1]
        if not _may_be_term(line.text) and not (_DETAIL.match(following.text) and len(line.text) <= 2 * LONGEST_TERM):
            break
        terms.append(line)
        if _DETAIL.match(following.text):
            return terms, place + 1
        if following.text:
            deeper = (
                following.indent >= line.indent + 2
                and not _ITEM.match(following.text)
                and not _DIRECTIVE.match(line.text)
            )
            if _begins_entry(line) and not line.text.endswith(":"):  # the entry goes on in the indented lines
                break
            if len(terms) == 1 and deeper and not line.text.endswith("::"):
                return terms, place + 1
            if terms[0].text[0] == "-" == following.text[0]:
                place += 1
                continue
            break
        # terms that stand apart, as converters of HTML write them
        if place + 2 >= len(lines) or not (line.text[0] in "-`*<[$" or " " not in line.text):
            break
        place += 2
        if not lines[place].text:
            break
    return [], at


def _is_marked(line: Line) -> bool:
    """Whether a line may be one of several terms above ``: what they mean``, where only prose is none."""
    return len(line.text) <= LONGEST_TERM and not _ITEM.match(line.text) and not _ENDS_SENTENCE.search(line.text)


def _may_be_term(text: str) -> bool:
    if not text or len(text) > LONGEST_TERM or not _LETTER.search(text) or _ITEM.match(text) or text[0] in "|#>":
        return False
    if (_ENDS_SENTENCE.search(text) and not text.endswith("...")) or text[-1] in ",;{([\\":
        return False
    return len(text.split()) <= (3 if text[-1] == ":" else 6) or text[0] in "-`*<"


def _is_name(text: str) -> bool:
    words = text.split()
    if _term(text, strict=False) or _MARKED_TERM.match(text):
        return False
    return len(words) <= 3 and _may_be_term(text) and bool(OF_CODE.match(words[0].strip("`*\"'()[],")))


def _with_fence(lines: list[Line]) -> list[Line]:
    """Return the lines of a text that may begin in a block of code with the fence that was cut away."""
    fences = [(place, mark) for place, line in enumerate(lines) if (mark := _FENCE.fullmatch(line.text))]
    if not fences or fences[0][0] == 0 or fences[0][1][2].strip():
        return lines
    first = fences[0][0]
    before, after = lines[:first], lines[first + 1 : fences[1][0] if len(fences) > 1 else None]
    prose = [_is_prose(line.text) for line in after if line.text]
    reads = sum(prose) * 2 > len(prose)
    code = _is_code(before, 2)
    if (reads and (code or len(fences) % 2 == 1)) or (code and len(fences) % 2 == 1 and not _is_code(after, 2)):
        return [Line(fences[0][1][1], lines[0].start, 0), *lines]
    return lines


def _with_indent(lines: list[Line]) -> list[Line]:
    """Return the lines of a text, whose first may have lost its indent, with the indent of the others."""
    others = [line.indent for line in lines[1:] if line.text]
    first = lines[0]
    if not others or not first.text or first.indent or not (indent := min(others)) or _may_be_term(first.text):
        return lines
    return [Line(first.text, first.start, indent), *lines[1:]]


# Code

_CODE = re.compile(
    r".*[{};]$|[\w.\[\]\"'$\-]+\s*(?:[+\-*/|]?=|:=)\s*\S.*|.*\w\([^)]*\)[:;]?$|.*\)\s*->.*|.*[=!]=.*"
    r"|(?:for|while|if|elif|else|try|except|with|def|class|async)\b.*:$|import \w|from \S+ import|@\w+|return\b"
    r"|[$#%>] |//|/\*|\*/|--\w|<[/?!\w].*>$|(?:\(?[\w/~\-]+\)?)?[$#>] "
    r"|(?:SELECT|INSERT|UPDATE|CREATE|ALTER|DELETE|DROP|GRANT|BEGIN|COMMIT|WITH|SET|SHOW)\b"
    r"|(?:git|sudo|pip|npm|cd|python3?|curl|docker|make|apt|export|echo|cat|psql)\b [\w\-./<]|\[\w[\w.\- \"]*\]$"
)


_PLAIN_WORD = re.compile(r"(?:^|(?<=[\s(]))[A-Za-z]?[a-z]+(?=[\s,.)]|$)")


def _is_prose(text: str) -> bool:
    return len(_PLAIN_WORD.findall(text)) >= 5 and not re.search(r"[{};=]$| [=!<>+\-*/]?= |^[$#%>] |[\w)]\(.*\);", text)


def _is_code(lines: Sequence[Line], parts: int) -> bool:
    """Whether at least one line in `parts` looks like code and not like a sentence."""
    texts = [line.text for line in lines if line.text]
    coded = sum(bool(_CODE.match(text)) and not _is_prose(text) for text in texts)
    return bool(texts) and coded * parts >= len(texts)


def _announces_code(lines: Sequence[Line], at: int) -> bool:
    place = at - 1
    while place >= 0 and place > at - 3 and not lines[place].text:
        place -= 1
    return place >= 0 and (lines[place].text.endswith("::") or bool(_CODE_DIRECTIVE.fullmatch(lines[place].text)))


def _end_of_code(lines: Sequence[Line], at: int) -> int:
    """Return the end of the indented code that begins at a line, or `at` if it is none."""
    expected = _announces_code(lines, at)
    indent, end, place = lines[at].indent, at, at
    while (indent >= 4 or expected) and place < len(lines) and lines[place].indent >= indent:
        first = place
        while place < len(lines) and lines[place].text and lines[place].indent >= indent:
            place += 1
        if not _is_code(lines[first:place], 5 if expected else 2):
            break
        end = place
        while place < len(lines) and not lines[place].text:
            place += 1
    return end


def _code_units(lines: Sequence[Line]) -> list[Quotation]:
    """Return a block of code as one unit, or in groups of lines when it is long."""
    groups: list[list[Line]] = [[]]
    whole = sum(len(line.text) + 1 for line in lines) <= LONGEST + 1
    length = 0
    for line in lines:
        if not whole and (not line.text or length + len(line.text) + 1 > LONGEST):
            groups.append([])
            length = 0
        if line.text:
            groups[-1].append(line)
            length += len(line.text) + 1
    units: list[Quotation] = []
    for group in groups:
        if group:
            source = traced((line.text, line.start) for line in group)
            text = _folded(source)
            units += _pieces(text, 0, len(text.text), "code")
    return units


def _folded(source: Traced) -> Traced:
    """Return the text with white space folded, and with what looks like markup."""
    texts, starts, sources, length = list[str](), list[int](), list[int](), 0
    for word in re.finditer(r"\S+", source.text):
        texts.append(word.group())
        starts.append(length)
        sources.append(source.source(word.start()))
        length += len(word.group()) + 1
    return Traced(" ".join(texts), starts or [0], sources or [source.source(0)])


# Signatures

_CALL = re.compile(r"(?:(?:async\s+)?def\s+|class\s+)?[\w.:~$]+\(|(?:[\w*]+\s+){1,5}\**\w+\((?=[^)]*\)\s*;?$)")
_AFTER_CALL = re.compile(r"\s*(?:(?:->|=>|\u2192|:)\s*\S.{0,200}|[:;])?\s*")
_DOTTED = re.compile(r"[A-Za-z_][\w]*(?:\.\w+)+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|\w+_\w*")


@dataclass(frozen=True)
class _Signature:
    """A signature.

    :param opens: Where its arguments begin, or 0 without any.
    """

    text: Traced
    opens: int


def _signature(lines: list[Line]) -> tuple[int, _Signature | None]:
    """Return the place of the line after the signature that heads a text, and the signature."""
    first = next((place for place, line in enumerate(lines) if line.text), None)
    if first is None:
        return 0, None
    line = lines[first]
    name = line.text.strip("`")
    alone = first + 1 == len(lines) or not lines[first + 1].text
    if alone and len(lines) > first + 2 and name.isidentifier() and lines[first + 2].text.startswith(f"{name}("):
        first += 2  # C functions of Python's repeat their name
        line = lines[first]
        name = line.text.strip("`")
    elif alone and _DOTTED.fullmatch(name) and len(lines) > first + 1:
        return first + 1, _Signature(bare(traced([(line.text, line.start)])), 0)
    if not _CALL.match(name):
        return 0, None
    taken, depth, length, end = list[Line](), 0, 0, first
    while end < len(lines) and lines[end].text and length <= LONGEST_SIGNATURE:
        taken.append(lines[end])
        depth += sum(lines[end].text.count(sign) for sign in "([{") - sum(lines[end].text.count(sign) for sign in ")]}")
        length += len(lines[end].text)
        end += 1
        if depth <= 0:
            break
    text = _folded(traced((one.text.strip("`"), one.start + one.text.startswith("`")) for one in taken))
    opens = text.text.find("(")
    closes = _closing(text.text, opens)
    if closes < 0:
        return 0, None
    following = lines[end] if end < len(lines) else None
    ends = following is None or not following.text or following.indent > line.indent or _CALL.match(following.text)
    if not ends or not _AFTER_CALL.fullmatch(text.text, closes + 1):
        return 0, None
    return end, _Signature(text, opens)


def _closing(text: str, opens: int) -> int:
    """Return the place of the bracket that closes the one at `opens`, or -1."""
    depth = 0
    for place in range(opens, min(len(text), LONGEST_SIGNATURE)):
        depth += (text[place] in "([{") - (text[place] in ")]}")
        if not depth:
            return place
    return -1


def _repeats(unit: str, signature: str) -> bool:
    """Whether a unit is the name of a signature or the signature again, as C functions of Python's have it."""
    name = signature.partition("(")[0].rpartition(" ")[2].rpartition(".")[2]
    again = unit.startswith(f"{name}(") and " -> " in unit and not _ENDS_SENTENCE.search(unit)
    return bool(name) and (unit == name or again)


def _with_signature(signature: _Signature, units: list[Quotation]) -> Iterator[Quotation]:
    """Yield the units with the signature before the first sentence. A long one also stands alone."""
    text = signature.text
    whole = text.text.rstrip(" :;") if signature.opens else text.text
    repeated = 0
    while (
        repeated + 1 < len(units) and units[repeated + 1].kind == "sentence" and _repeats(units[repeated].text, whole)
    ):
        repeated += 1
    rest = units[repeated:]
    first = rest[0] if rest and rest[0].kind == "sentence" else None
    alone = repeated > 0 or first is None or len(whole) + 2 + len(first.text) > LONGEST
    if alone:
        yield from _pieces(text, 0, len(text.text), "signature")
        yield from (replace(unit, kind="signature") for unit in units[:repeated])
    if first is not None and signature.opens and len(whole) + 2 + len(first.text) > LONGEST:
        whole = f"{text.text[: signature.opens + 1]}\u2026)"
    if first is None or (len(whole) > 2 * LONGEST_TERM and len(whole) + 2 + len(first.text) > LONGEST):
        yield from rest
        return
    start = first.start if alone else text.source(0)
    for piece, _, _ in pieces(first.text, 0, len(first.text), LONGEST - len(whole) - 2):
        yield Quotation(f"{whole}: {piece}", "signature", start, first.end)
    yield from rest[1:]
