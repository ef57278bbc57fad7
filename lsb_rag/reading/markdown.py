"""Read Markdown into blocks, as CommonMark has it, with tables and definition lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .block import Block, Document
from .html import read_html

DEEPEST = 60
"""Most blocks in one another; what stands deeper is read as text."""
LONGEST_LINE = 5000
"""Longest line, in characters, that may be Markdown; in a longer one the parser would look for marks for too long."""
MOST_LINES = 10_000
"""Lines after which the next empty one ends what is parsed at once, as the parser takes a hundred times its memory."""
MANY_LINES = 2 * MOST_LINES
"""Lines after which it ends anywhere."""

_FRONT_MATTER = re.compile(r"---[^\S\n]*\n(.*?\n)?(?:---|\.\.\.)[^\S\n]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[^\S\n]*[\"']?([^\n\"']+)", re.MULTILINE)
_DETAIL = re.compile(r"[^\S\n]{0,3}[:~][^\S\n]+")
_QUOTE = re.compile(r"(?:\s{0,3}>\s?)+")
_MARKS_ALONE = re.compile(r"[\s>*+\-_=#]*|\s*\d+[.)]\s*|\s*(?:```|~~~).*")
_ATTRIBUTES = re.compile(r"\s*\{[#.][^}]*\}\s*$")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_EMPHASIS = re.compile(r"(\*{1,3})(\S(?:.*?\S)?)\1(?!\w)")
_PARSER = MarkdownIt("commonmark", {"maxNesting": DEEPEST}).enable("table").disable("inline").disable("reference")


def read_markdown(text: str) -> Document:
    """Read a document. Its title is that of its front matter, or its first heading of level 1."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\ufffd")
    title = ""
    if front := _FRONT_MATTER.match(text):
        named = _FRONT_TITLE.search(front[1] or "")
        title = named[1].strip() if named else ""
        text = text[front.end() :]
    lines = text.expandtabs(4).split("\n")
    blocks: list[Block] = []
    for part in _parts(lines):
        blocks += _Reader(part).blocks() if max(map(len, part)) <= LONGEST_LINE else [Block("\n".join(part))]
    first = next((one.text for one in blocks if one.kind == "heading" and one.level == 1), "")
    return Document(title or first, blocks)


def _parts(lines: list[str]) -> Iterator[list[str]]:
    """Yield the lines in runs: each line that is too long alone, the others as many as are parsed at once."""
    run: list[str] = []
    fenced = False
    for line in lines:
        if len(line) > LONGEST_LINE:
            if run:
                yield run
            yield [line]
            run = []
            continue
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        run.append(line)
        if len(run) >= (MANY_LINES if fenced or line.strip() else MOST_LINES):
            yield run
            run = []
    if run:
        yield run


class _Reader:
    """Reads lines into blocks. They keep their source, but for its indentation within a quotation.

    :param lines: The lines.
    """

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._tokens: Sequence[Token] = _PARSER.parse("\n".join(lines))

    def blocks(self) -> list[Block]:
        """Return the blocks, in order."""
        found: list[Block] = []
        reached = 0
        for start, end, blocks in self._read():
            found += self._between(reached, start)
            found += [block for block in blocks if block.text.strip()]
            reached = max(reached, end)
        return _with_terms([*found, *self._between(reached, len(self._lines))])

    def _between(self, start: int, end: int) -> list[Block]:
        """Return what the parser left out because it stands too deep."""
        lines = [line for line in self._lines[start:end] if not _MARKS_ALONE.fullmatch(line)]
        return [Block("\n".join(line.strip() for line in lines))] if lines else []

    def _read(self) -> Iterator[tuple[int, int, list[Block]]]:
        """Yield the first line of what was read, the one after its last, and its blocks."""
        tokens = self._tokens
        inside: Counter[str] = Counter()
        reached = at = 0
        while at < len(tokens):
            token = tokens[at]
            at += 1
            if token.nesting:
                inside[token.type.rpartition("_")[0]] += token.nesting
            if token.map is None:
                continue
            start, end = token.map
            # An item begins with its mark, whatever it holds first.
            start = max(start, reached)
            if token.type == "heading_open":
                yield start, end, [Block(heading_text(tokens[at].content), "heading", int(token.tag[1]))]
                at += 1
            elif token.type == "inline":
                lines = [line.rstrip() for line in self._lines[start:end]]
                if inside["blockquote"]:
                    lines = [_QUOTE.sub("", line) for line in lines]
                yield start, end, [Block("\n".join(lines), "item")] if inside["list_item"] else _paragraph(lines)
            elif token.type in ("fence", "code_block"):
                yield start, end, [Block(_fenced(token), "code")]
            elif token.type == "html_block":
                yield start, end, [*read_html(token.content).blocks]
            elif token.type == "table_open":
                header = "\n".join(line.strip() for line in self._lines[start : start + 2])
                rows = [Block(row.strip(), "table", header=header) for row in self._lines[start + 2 : end]]
                yield start, end, rows
                while tokens[at - 1].type != "table_close":
                    at += 1
            else:
                continue
            reached = end


def _with_terms(blocks: list[Block]) -> list[Block]:
    """Give definitions that stand a blank line below their term that term."""
    found: list[Block] = []
    for block in blocks:
        if block.kind == "paragraph" and _DETAIL.match(block.text) and found:
            before = found[-1]
            if before.kind == "paragraph":
                del found[-1]
            header = before.text if before.kind == "paragraph" else before.header
            block = replace(block, kind="definition" if header else "paragraph", header=header)
        found.append(block)
    return found


def _paragraph(lines: list[str]) -> list[Block]:
    """Return a paragraph, or the definitions in it: a line or more, then ``: what they mean``."""
    details = [at for at, line in enumerate(lines) if _DETAIL.match(line)]
    if not details or details[0] == 0:
        return [Block("\n".join(lines))]
    terms = "\n".join(lines[: details[0]])
    found: list[Block] = []
    for at, until in pairwise([*details, len(lines)]):
        text = _DETAIL.sub("", lines[at], count=1)
        found.append(Block("\n".join([f":   {text}", *lines[at + 1 : until]]), "definition", header=terms))
    return found


def heading_text(source: str) -> str:
    """Return a heading without marks of emphasis, links, code and attributes."""
    plain = _LINK.sub(r"\1", _ATTRIBUTES.sub("", source))
    return " ".join(_EMPHASIS.sub(r"\2", plain).replace("`", "").split())


def _fenced(token: Token) -> str:
    mark = token.markup or "```"
    return f"{mark}{token.info.strip()}\n{token.content.rstrip()}\n{mark}"
