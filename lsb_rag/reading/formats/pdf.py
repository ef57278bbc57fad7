"""Read PDFs, page by page, with PDFium."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from ctypes import byref, c_double, c_int, create_string_buffer
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import hypot
from typing import TYPE_CHECKING

from ...errors import MissingExtraError, ReadError
from ..block import Block, Document
from .code import fenced
from .failures import reading

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfTextPage

PAGE_LEVEL = 6
"""Level of the headings ``page 7``: they stand below those of the outline, in which a page lies."""
MAX_PAGES = 50_000
MAX_BROKEN_PAGES = 100
MAX_HEADING = 150
MAX_NUMBERING = 12
"""Letters and digits before a heading that its entry in the outline may leave out, such as of ``Chapter 2``."""
HEADING_SIZE = 1.15
"""Without an outline, short lines so much larger than most text are headings."""
RUNNING_PAGES = 3
"""A line that stands first or last on so many pages is a running title, and is kept once."""
NEIGHBOURS = 5
"""Lines above and below one that tell how wide its column is."""

_LOCK = threading.Lock()  # PDFium is not thread-safe
_HYPHEN = "\ufffe"
"""PDFium's mark of a hyphen at the end of a line; the line goes on behind it."""
_BROKEN = re.compile(rf"(\w+){_HYPHEN}(\w+)")
_WORD = re.compile(r"\w+(?:-\w+)*")
_BULLET = re.compile(r"[•◦▪‣●○■□\u2013\u2014∙·*-]\s+(?=\S)")
_NUMBERED = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z])[.)]\s+\S")
_PAGE_NUMBER = re.compile(r"(\d{1,5})(?:\W+(\D.*))?|(.*?)\b(\d{1,5})")
_CODE_FONT = re.compile(rb"(?i)mono|courier|consol|typewriter|cmtt|menlo|code")
_ALPHANUMERIC = re.compile(r"[^\W_]+")
_LEADER = re.compile(r"(?: ?\.){4,} ?")
"""The dots between an entry of a table of contents and its page."""
_FIXED_PITCH = 1
MAX_FONT_NAME = 100


@dataclass
class _Line:
    """A line of a page, its place in points from the lower left corner.

    :param size: That of its letters.
    :param is_code: Whether its font is one of fixed pitch.
    :param level: Of a heading, from 1.
    :param entry: Of a heading that the outline names: its entry.
    """

    text: str
    left: float
    right: float
    baseline: float
    size: float
    is_code: bool
    level: int = 0
    entry: str = ""


def read_pdf(raw: bytes) -> Document:
    """Read a PDF. Each page has a heading such as ``page 7``, below those of the outline.

    :raises MissingExtraError: When the extra ``documents`` is not installed.
    :raises ReadError: When it cannot be read, is encrypted, or holds no text.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise MissingExtraError("PDFs need pypdfium2. Install it with `pip install 'lsb-rag[documents]'`.") from error
    with _LOCK, reading("PDF"):
        try:
            pdf = pypdfium2.PdfDocument(raw)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                raise ReadError("The PDF is encrypted; save it without a password.") from error
            raise
        try:
            pages, has_outline = _pages(pdf)
            title = " ".join(pdf.get_metadata_dict().get("Title", "").split())
        finally:
            pdf.close()
    if not any(pages):
        raise ReadError("The PDF holds no text, only pictures; run OCR over it first, such as ocrmypdf.")
    _leave_out_running_titles(pages)
    if not has_outline:
        _find_headings(pages)
    return Document(title, _joined_words(list(_blocks(pages))))


def _pages(pdf: PdfDocument) -> tuple[list[list[_Line]], bool]:
    """Return the lines of each page, with the levels of those that the outline names."""
    from pypdfium2 import PdfiumError

    if len(pdf) > MAX_PAGES:
        raise ReadError(f"The PDF has {len(pdf):,} pages, which is refused.")
    outline = _outline(pdf)
    pages: list[list[_Line]] = []
    broken = 0
    for number in range(len(pdf)):
        try:
            page = pdf[number]
            lines = _lines(page.get_textpage())
            page.close()
        except PdfiumError:
            broken += 1
            if broken > MAX_BROKEN_PAGES:
                raise
            lines = []
        for level, title, top in outline.get(number, ()):
            _mark(lines, level, title, top)
        pages.append(lines)
    return pages, bool(outline)


def _outline(pdf: PdfDocument) -> dict[int, list[tuple[int, str, float | None]]]:
    """Return the entries of the outline by page: level, title, and distance from the bottom where it is known."""
    entries: dict[int, list[tuple[int, str, float | None]]] = {}
    for bookmark in pdf.get_toc(max_depth=PAGE_LEVEL - 1):
        target = bookmark.get_dest()
        title = " ".join(bookmark.get_title().split())
        page = target.get_index() if target else None
        if target and page is not None and title:
            _, view = target.get_view()
            top = view[1] if len(view) >= 2 else None  # of what points to a place
            entries.setdefault(page, []).append((bookmark.level + 1, title[:MAX_HEADING], top))
    return entries


def _lines(page: PdfTextPage) -> list[_Line]:
    """Return the lines of a page in the order of the file."""
    from pypdfium2 import raw as pdfium

    text = page.get_text_range(errors="replace")
    lines: list[_Line] = []
    position = 0
    for part in text.split("\r\n"):
        end = position + _units(part)
        stripped = part.strip()
        if stripped:
            begin = position + _units(part[: len(part) - len(part.lstrip())])
            first = max(pdfium.FPDFText_GetCharIndexFromTextIndex(page, begin), 0)
            last = max(pdfium.FPDFText_GetCharIndexFromTextIndex(page, begin + _units(stripped) - 1), first)
            left, right = page.get_charbox(first, loose=True)[0], page.get_charbox(last, loose=True)[2]
            # A bullet may be smaller, a mark of a footnote too.
            size, baseline = max(_size(page, first), _size(page, last))
            is_code = all(_is_fixed_pitch(page, at) for at in (first, (first + last) // 2, last))
            lines.append(_Line(_LEADER.sub(" … ", stripped.replace("\0", "")), left, right, baseline, size, is_code))
        position = end + 2
    return lines


def _units(text: str) -> int:
    """Return the length in UTF-16, by which PDFium counts."""
    return len(text) + (0 if text.isascii() else sum(character > "\uffff" for character in text))


def _size(page: PdfTextPage, index: int) -> tuple[float, float]:
    """Return the size of a character, and where it stands."""
    from pypdfium2 import raw as pdfium

    matrix, x, y = pdfium.FS_MATRIX(), c_double(), c_double()
    pdfium.FPDFText_GetMatrix(page, index, byref(matrix))
    pdfium.FPDFText_GetCharOrigin(page, index, byref(x), byref(y))
    return pdfium.FPDFText_GetFontSize(page, index) * hypot(matrix.c, matrix.d), y.value


def _is_fixed_pitch(page: PdfTextPage, index: int) -> bool:
    from pypdfium2 import raw as pdfium

    flags = c_int()
    name = create_string_buffer(MAX_FONT_NAME)
    length = pdfium.FPDFText_GetFontInfo(page, index, name, MAX_FONT_NAME, byref(flags))
    # Not every program sets the flag.
    return bool(flags.value & _FIXED_PITCH or (length <= MAX_FONT_NAME and _CODE_FONT.search(name.value)))


def _mark(lines: list[_Line], level: int, title: str, top: float | None) -> None:
    """Give the line that an entry of the outline names its level, or insert the entry where it points to."""
    wanted = _letters(title)
    for line in lines:
        # The line may have a number before it.
        said = _letters(line.text)
        is_short = len(line.text) <= MAX_HEADING and len(said) <= len(wanted) + MAX_NUMBERING
        if not line.level and wanted and is_short and said.endswith(wanted):
            line.level, line.entry = level, title
            return
    place = 0
    if top is not None:
        place = next((at for at, line in enumerate(lines) if line.baseline < top), len(lines))
    lines.insert(place, _Line(title, 0.0, 0.0, top or 0.0, 0.0, is_code=False, level=level, entry=title))


def _letters(text: str) -> str:
    return "".join(_ALPHANUMERIC.findall(text)).casefold()


def _leave_out_running_titles(pages: Sequence[list[_Line]]) -> None:
    """Drop page numbers, and all but the first of each running title."""
    for edge in (0, -1):
        for _ in range(2):  # a running title may have two lines
            lines = {page: lines[edge] for page, lines in enumerate(pages) if len(lines) > 1 and not lines[edge].level}
            numbers = {page: _page_number(line.text) for page, line in lines.items()}
            offsets = Counter(number - page for page, (number, _) in numbers.items() if number is not None)
            offset, count = offsets.most_common(1)[0] if offsets else (0, 0)
            said = Counter(line.text for line in lines.values())
            met: set[str] = set()
            for page, line in lines.items():
                number, rest = numbers[page]
                is_numbered = count >= RUNNING_PAGES and number is not None and number - page == offset
                if not is_numbered and said[line.text] < RUNNING_PAGES:
                    continue
                rest = rest if is_numbered else line.text
                if rest in met or not rest:
                    del pages[page][edge]
                met.add(rest)


def _page_number(text: str) -> tuple[int | None, str]:
    """Return the number that a line begins or ends with, and the rest of it."""
    found = _PAGE_NUMBER.fullmatch(text)
    if found is None:
        return None, text
    return int(found[1] or found[4]), (found[2] or found[3] or "").strip()


def _find_headings(pages: Sequence[Sequence[_Line]]) -> None:
    """Give short lines that are larger than most of the text a level, by their size."""
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[round(line.size)] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    candidates = [
        line
        for lines in pages
        for line in lines
        if line.size > body * HEADING_SIZE and len(line.text) <= MAX_HEADING and _ALPHANUMERIC.search(line.text)
    ]
    if sum(len(line.text) for line in candidates) > sizes.total() / 4:
        return  # a poster or slides, whose sizes say nothing
    order = sorted({round(line.size) for line in candidates}, reverse=True)
    for line in candidates:
        line.level = min(order.index(round(line.size)) + 1, PAGE_LEVEL - 1)


def _blocks(pages: Sequence[Sequence[_Line]]) -> Iterator[Block]:
    for number, lines in enumerate(pages, start=1):
        named = False
        # Without an outline, a heading may have several lines.
        for (level, _), group in groupby(lines, lambda line: (line.level, line.entry)):
            section = list(group)
            if level:
                yield Block(" ".join(line.text for line in section), kind="heading", level=level)
                named = False
                continue
            if not named:
                yield Block(f"page {number}", kind="heading", level=PAGE_LEVEL)
                named = True
            for is_code, run in groupby(section, lambda line: line.is_code):
                yield from (_code if is_code else _paragraphs)(list(run))


def _code(lines: list[_Line]) -> Iterable[Block]:
    """Return lines of fixed pitch as code, indented as they stand."""
    if len(lines) == 1 and len(lines[0].text.split()) > 6:
        return [Block(lines[0].text)]
    left = min(line.left for line in lines)
    widths = sorted((line.right - line.left) / len(line.text) for line in lines)
    width = widths[len(widths) // 2] or 1.0
    return fenced("\n".join(" " * min(round((line.left - left) / width), 80) + line.text for line in lines))


def _paragraphs(lines: list[_Line]) -> Iterable[Block]:
    """Join lines into paragraphs, by the space between them and where they end."""
    gaps = sorted(gap for one, after in pairwise(lines) if 0 < (gap := one.baseline - after.baseline) < 3 * one.size)
    usual = gaps[len(gaps) // 4] if gaps else 0.0
    reaches = [line.right / _edge(lines, at) for at, line in enumerate(lines)]
    begin = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or _begins(lines[at], lines[at - 1], usual, reaches[at - 1]):
            yield _paragraph(lines[begin:at], reaches[begin:at])
            begin = at


def _edge(lines: list[_Line], at: int) -> float:
    """Return the right edge of the column that a line stands in: how far its neighbours above and below reach."""
    line = lines[at]
    near = lines[max(at - NEIGHBOURS, 0) : at + NEIGHBOURS + 1]
    return max(1.0, *(one.right for one in near if one.left <= line.right and one.right >= line.left), line.right)


def _begins(line: _Line, before: _Line, usual: float, reach: float) -> bool:
    """Tell whether a line begins a paragraph.

    :param usual: The usual distance between two lines.
    :param reach: How far the line before reaches to the edge of its column.
    """
    if _BULLET.match(line.text) or _NUMBERED.match(line.text) or abs(line.size - before.size) > 0.1 * before.size:
        return True
    gap = before.baseline - line.baseline
    if gap > 1.4 * usual > 0:
        return True
    ends = before.text.endswith((".", ":", "!", "?"))
    if gap < -line.size:  # the next column
        return ends
    # The first line of a paragraph may be indented, the last one is short.
    is_indented = line.left > before.left + line.size and not _BULLET.match(before.text)
    return ends and (is_indented or reach < 0.85)


def _paragraph(lines: list[_Line], reaches: list[float]) -> Block:
    """Return a paragraph; lines that end early stay lines, as those of an address or a table do."""
    text = lines[0].text
    for line, reach in zip(lines[1:], reaches, strict=False):
        text += f"\n{line.text}" if reach < 0.7 else f" {line.text}"
    bullet = _BULLET.match(text)
    if bullet:
        return Block(f"- {text[bullet.end() :]}", kind="item")
    return Block(text, kind="item" if _NUMBERED.match(text) else "paragraph")


def _joined_words(blocks: list[Block]) -> list[Block]:
    """Join words that were parted at the end of a line; with their hyphen where the document writes them so."""
    words = {word.casefold() for block in blocks for word in _WORD.findall(block.text)}

    def join(match: re.Match[str]) -> str:
        first, second = match.groups()
        hyphenated = f"{first}-{second}"
        if f"{first}{second}".casefold() in words:
            return f"{first}{second}"
        plain = first[-1].islower() and second[0].islower()
        return hyphenated if not plain or hyphenated.casefold() in words else f"{first}{second}"

    return [
        Block(_BROKEN.sub(join, block.text).replace(_HYPHEN, "-"), block.kind, block.level)
        if _HYPHEN in block.text
        else block
        for block in blocks
    ]
