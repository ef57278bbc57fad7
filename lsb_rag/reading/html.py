"""Read HTML into blocks, with libxml2's parser: any page, however broken, in time that grows with its size alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from .block import Block, Document, Kind


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


UNSEEN = _names("script style noscript template svg math nav select button iframe object head title")
"""Elements whose text is no part of what a page says."""
UNSEEN_ROLES = _names("navigation search banner contentinfo menu menubar toolbar")
UNSEEN_CLASSES = _names(
    "navheader navfooter navbar navigation breadcrumb breadcrumbs toc sphinxsidebar headerlink skip-link sr-only"
)
"""Classes of what surrounds a page, as DocBook, Sphinx and the usual site generators write them."""
PARAGRAPHS = _names(
    "address article aside blockquote body center details dialog div fieldset figcaption figure footer form "
    "header hgroup hr html legend main noframes option p search section summary dl ol ul table tbody thead tfoot "
    "tr caption dt dd li td th h1 h2 h3 h4 h5 h6 pre listing xmp plaintext"
)
CODE = _names("code kbd samp tt var")
PREFORMATTED = _names("pre listing xmp plaintext")
LISTS = _names("ol ul dl li dd")
ADMONITIONS = _names("note tip hint warning caution important danger attention")
"""Headings of boxes, which end with the box."""
DEEPEST = 16
"""Most lists and entries in one another; what stands deeper is read as if it stood here."""
MOST_SPANNED = 100
LONGEST_CELL = 1000
"""Longest cell, in characters, of a table that is no layout of a page."""
FED = 1 << 16

_SPACE = re.compile(r"[\s\u00a0]+")
_LANGUAGE = re.compile(r"(?:language|lang|highlight(?:-source)?|brush:)[-\s]?([\w+#]+)")


@dataclass
class _Entry:
    """A list item or definition that is open, or a list.

    :param kind: ``ol``, ``ul``, ``dl``, ``li`` or ``dd``.
    :param mark: What its first paragraph begins with.
    :param terms: Of a ``dl``: its terms since the last definition.
    """

    kind: str
    mark: str = ""
    number: int = 0
    terms: list[str] = field(default_factory=list)
    defined: bool = False


@dataclass
class _Table:
    """A table that is open.

    :param rows: Texts of its cells.
    :param heads: Of each row, whether all its cells are headings.
    :param spans: Text and number of further rows of the cells above, by column.
    :param is_layout: Whether its cells hold tables, headings or long texts, so that they are read one by one.
    """

    rows: list[list[str]] = field(default_factory=list)
    heads: list[bool] = field(default_factory=list)
    spans: dict[int, tuple[str, int]] = field(default_factory=dict)
    row: list[str] = field(default_factory=list)
    head: bool = True
    cell: tuple[int, int] | None = None
    is_layout: bool = False


def read_html(text: str) -> Document:
    """Read a page.

    Navigation, scripts and forms are left out; emphasis and links are plain text; code stands in backquotes.
    """
    reader = _Reader()
    parser = etree.HTMLParser(target=reader, huge_tree=True, no_network=True)
    for start in range(0, len(text), FED):
        parser.feed(text[start : start + FED])
    if text.strip():
        parser.close()
    return Document(_folded(reader.title), reader.blocks)


class _Reader:
    """What the parser calls: it collects the text between the tags and writes a block where one ends."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.title = ""
        self._text: list[str] = []
        self._entries: list[_Entry] = []
        self._tables: list[_Table] = []
        self._unseen = 0
        self._in_title = False
        self._preformatted: list[str] | None = None
        self._language = ""
        self._caption = False
        self._quoted = 0
        self._in_term = False
        self._too_deep = 0
        self._root = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Begin an element."""
        if self._unseen:
            self._unseen += 1
            self._in_title = tag == "title" and self._root == "head" and not self.title
        elif tag in UNSEEN or _is_unseen(attributes):
            self._unseen, self._root = 1, tag
            self._in_title = tag == "title" and not self.title
        elif self._preformatted is not None:
            if tag == "br":
                self._preformatted.append("\n")
            elif tag == "code":
                self._language = self._language or _language(attributes)
        elif tag in PARAGRAPHS:
            self._begin(tag, attributes)
        elif tag in CODE:
            self._quoted += 1
            if self._quoted == 1:
                self._text.append("\x00")
        elif tag == "br":
            self._text.append("\x01")
        elif tag == "img" and attributes.get("alt", "").strip():
            self._text.append(f" {attributes['alt']} ")

    def end(self, tag: str) -> None:
        """End an element."""
        self._in_title = False
        if self._unseen:
            self._unseen -= 1
        elif self._preformatted is not None:
            if tag in PREFORMATTED:
                self._end_preformatted()
        elif tag in PARAGRAPHS:
            self._finish(tag)
        elif tag in CODE and self._quoted:
            self._quoted -= 1
            if not self._quoted:
                self._text.append("\x00")

    def data(self, data: str) -> None:
        """Take text."""
        if self._in_title:
            self.title += data
        elif not self._unseen:
            (self._text if self._preformatted is None else self._preformatted).append(data)

    def comment(self, text: str) -> None:
        """Leave out a comment."""

    def pi(self, target: str, data: str | None = None) -> None:
        """Leave out a processing instruction, such as the XML declaration."""

    def close(self) -> None:
        """Write what is still open."""
        if self._preformatted is not None:
            self._end_preformatted()
        while self._tables:
            self._end_table()
        self._flush()

    def _begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        table = self._tables[-1] if self._tables else None
        if table and not table.is_layout:
            if tag not in ("table", "h1", "h2", "h3"):
                self._begin_in_table(tag, attributes, table)
                return
            self._lay_out(table)
        if self._in_term and tag not in ("dt", "dd", "dl"):
            self._text.append(" ")
            return
        if self._in_term:
            self._end_term()
        self._flush()
        if tag in PREFORMATTED:
            self._preformatted, self._language = [], _language(attributes)
        elif tag in LISTS and len(self._entries) >= DEEPEST:
            self._too_deep += 1
        elif tag in ("ol", "ul", "dl"):
            self._entries.append(_Entry(tag))
        elif tag == "li":
            self._begin_item()
        elif tag == "dt":
            self._leave_entry("dl")
            self._in_term = True
            of_list = self._own("dl")
            if of_list and of_list.defined:
                of_list.terms, of_list.defined = [], False
        elif tag == "dd":
            self._leave_entry("dl")
            of_list = self._own("dl")
            terms = list(of_list.terms) if of_list else []
            self._entries.append(_Entry("dd", ":   " if terms else "", terms=terms))
            if of_list:
                of_list.defined = True
        elif tag == "table":
            self._tables.append(_Table())
        elif tag in ("caption", "figcaption") or (
            tag in ("p", "div") and "title" in attributes.get("class", "").split()
        ):
            self._caption = True

    def _begin_in_table(self, tag: str, attributes: Mapping[str, str], table: _Table) -> None:
        if tag == "tr":
            self._end_cell(table)
            self._end_row(table)
        elif tag in ("td", "th"):
            self._end_cell(table)
            table.cell = _span(attributes, "rowspan"), _span(attributes, "colspan")
            table.head = table.head and tag == "th"
        elif tag == "caption":
            self._text.clear()
            self._caption = True
        else:
            self._text.append("\x01" if tag in ("p", "li", "dt", "pre", "tr") else " ")

    def _begin_item(self) -> None:
        of_list = next((one for one in reversed(self._entries) if one.kind in ("ol", "ul")), None)
        if of_list is None or of_list.kind == "ul":
            mark = "- "
        else:
            of_list.number += 1
            mark = f"{of_list.number}. "
        self._entries.append(_Entry("li", mark))

    def _own(self, kind: str) -> _Entry | None:
        """Return the innermost list if it is of that kind."""
        return self._entries[-1] if self._entries and self._entries[-1].kind == kind else None

    def _finish(self, tag: str) -> None:
        table = self._tables[-1] if self._tables else None
        if table and tag == "table":
            self._end_table()
            return
        if table and not table.is_layout:
            if tag in ("td", "th"):
                self._end_cell(table)
            elif tag == "tr":
                self._end_cell(table)
                self._end_row(table)
            elif tag == "caption":
                self._write(self._taken(), "caption")
                self._caption = False
            elif tag in ("li", "dt", "dd", "p", "div"):
                self._text.append(" ")
            return
        if self._in_term and tag not in ("dt", "dd", "dl"):
            self._text.append(" ")
            return
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            text = self._taken()
            heading = _folded(text.replace("`", ""))
            if heading.casefold().rstrip(":") in ADMONITIONS:
                self._write(f"{heading.rstrip(':')}:", "caption")
            else:
                self._write(heading, "heading", level=int(tag[1]))
            return
        if tag == "dt":
            self._end_term()
            return
        self._flush()
        if tag in ("caption", "figcaption", "p", "div"):
            self._caption = False
        if tag in LISTS:
            self._close_entry(tag)

    def _end_term(self) -> None:
        self._in_term = False
        of_list = self._own("dl")
        term = self._taken()
        if of_list and term:
            of_list.terms.append(_folded(term))
        else:
            self._write(term, "paragraph")

    def _leave_entry(self, *lists: str) -> None:
        """Close the entry of the innermost list that nobody closed."""
        for at in range(len(self._entries) - 1, -1, -1):
            if self._entries[at].kind in lists:
                del self._entries[at + 1 :]
                return

    def _close_entry(self, tag: str) -> None:
        if self._too_deep:
            self._too_deep -= 1
            return
        bounds = {"dd": ("dd", "dl"), "li": ("li", "ol", "ul")}.get(tag, (tag,))
        kinds = [one.kind for one in self._entries]
        place = max((len(kinds) - 1 - kinds[::-1].index(kind) for kind in bounds if kind in kinds), default=-1)
        if place < 0 or kinds[place] != tag:
            return
        of_list = self._entries[place]
        del self._entries[place:]
        if of_list.kind == "dl" and not of_list.defined:
            self._write("\n".join(of_list.terms), "paragraph")  # terms of nothing

    def _end_preformatted(self) -> None:
        raw = "".join(self._preformatted or ()).replace("\r\n", "\n").replace("\u00a0", " ").replace("\x00", "")
        self._preformatted = None
        lines = [line.rstrip() for line in raw.split("\n")]
        while lines and not lines[0]:
            del lines[0]
        while lines and not lines[-1]:
            del lines[-1]
        if lines:
            fence = "~~~" if any(line.lstrip().startswith("```") for line in lines) else "```"
            self._write("\n".join([f"{fence}{self._language}", *lines, fence]), "code")

    def _end_cell(self, table: _Table) -> None:
        text = self._taken()
        if table.cell is None:
            if text:  # text in a table but in no cell
                self._write(text, "paragraph")
            return
        rows, columns = table.cell
        table.cell = None
        if len(text) > LONGEST_CELL:
            table.row.append(text)
            self._lay_out(table)
            return
        self._spanned(table)
        if rows > 1:
            table.spans.update({len(table.row) + column: (text, rows - 1) for column in range(columns)})
        table.row += [text, *[""] * (columns - 1)]

    @staticmethod
    def _spanned(table: _Table) -> None:
        """Repeat the cells that reach into this row from above."""
        while (at := len(table.row)) in table.spans:
            text, left = table.spans.pop(at)
            if left > 1:
                table.spans[at] = text, left - 1
            table.row.append(text)

    def _end_row(self, table: _Table) -> None:
        if table.row:
            self._spanned(table)
        if any(table.row):
            table.rows.append(table.row)
            table.heads.append(table.head)
        table.row, table.head = [], True

    def _lay_out(self, table: _Table) -> None:
        """Read the cells of a table one by one."""
        table.is_layout = True
        rows = [*table.rows, table.row]
        table.rows, table.row = [], []
        for row in rows:
            for cell in row:
                if cell:
                    self._write(cell, "paragraph")
        self._flush()

    def _end_table(self) -> None:
        table = self._tables[-1]
        if table.is_layout:
            self._flush()
            self._tables.pop()
            return
        self._end_cell(table)
        self._end_row(table)
        self._tables.pop()
        columns = max((len(row) for row in table.rows), default=0)
        if columns < 2:
            for row in table.rows:
                self._write(row[0], "paragraph")
            return
        heads = next((at for at, head in enumerate(table.heads) if not head), len(table.rows))
        if heads == len(table.rows):
            heads = 0
        header = ""
        if heads:
            names = [
                " ".join(dict.fromkeys(cell for cell in column if cell))
                for column in _columns(table.rows[:heads], columns)
            ]
            header = f"{_row(names, columns)}\n|{' --- |' * columns}"
        for row in table.rows[heads:]:
            self._write(_row(row, columns), "table", header=header)

    def _taken(self) -> str:
        """Return the text since the last block, white space folded, lines kept where they were broken on purpose."""
        text, self._text, self._quoted = "".join(self._text), [], 0
        lines = (_code_quoted(_folded(line)) for line in text.split("\x01"))
        return "\n".join(line for line in lines if line)

    def _flush(self) -> None:
        text = self._taken()
        if text:
            self._write(text, "caption" if self._caption else "paragraph")

    def _write(self, text: str, kind: Kind, *, level: int = 0, header: str = "") -> None:
        if not text:
            return
        if kind == "heading":
            self.blocks.append(Block(text, kind, level))
            return
        terms: list[str] = []
        first = rest = ""
        for entry in self._entries:
            if entry.kind in ("li", "dd"):
                terms += [f"{rest}{term}" for term in entry.terms]
                width = len(entry.mark)
                first += entry.mark
                rest += " " * width
        innermost = next((one for one in reversed(self._entries) if one.kind in ("li", "dd")), None)
        if innermost and kind == "paragraph":
            kind = "definition" if innermost.terms else "item"
        for entry in self._entries:
            entry.mark = " " * len(entry.mark)
        above = [*terms, *(f"{rest}{line}" for line in header.split("\n") if line)]
        lines = text.split("\n")
        shown = [f"{first}{lines[0]}", *(f"{rest}{line}" if line else "" for line in lines[1:])]
        self.blocks.append(Block("\n".join(shown), kind, header="\n".join(above)))


def _is_unseen(attributes: Mapping[str, str]) -> bool:
    if not attributes:
        return False
    classes = attributes.get("class", "")
    return (
        "hidden" in attributes
        or attributes.get("role") in UNSEEN_ROLES
        or bool(classes and not UNSEEN_CLASSES.isdisjoint(classes.split()))
    )


def _language(attributes: Mapping[str, str]) -> str:
    found = _LANGUAGE.search(attributes.get("class", ""))
    return found[1] if found else ""


def _span(attributes: Mapping[str, str], name: str) -> int:
    value = attributes.get(name, "1").strip()
    return max(1, min(int(value), MOST_SPANNED)) if value.isascii() and value.isdigit() and len(value) < 6 else 1


def _columns(rows: list[list[str]], columns: int) -> list[list[str]]:
    return [[row[column] if column < len(row) else "" for row in rows] for column in range(columns)]


def _row(cells: list[str], columns: int) -> str:
    escaped = [_folded(cell).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join([*escaped, *[''] * (columns - len(cells))])} |"


def _folded(text: str) -> str:
    return _SPACE.sub(" ", text).strip()


def _code_quoted(line: str) -> str:
    """Put code, which stands between NULs, in backquotes."""
    parts = line.split("\x00")
    if len(parts) % 2 == 0:
        return "".join(parts)
    for at in range(1, len(parts), 2):
        code = parts[at].strip()
        mark = "``" if "`" in code else "`"
        parts[at] = f"{mark}{code}{mark}" if code else parts[at]
    return _folded("".join(parts))
