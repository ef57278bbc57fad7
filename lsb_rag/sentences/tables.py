"""Tables in text: with bars between the cells, or with cells apart by tabs or aligned by spaces."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from .lines import OF_CODE, RULER, Line
from .markup import Traced, bare, traced

BARS = "|\u2502\u2503\u2551"
_CELLS = re.compile(r"(`+)(?:(?!\1).){0,500}?\1(?!`)|\\.|[|\u2502\u2503\u2551]", re.DOTALL)
_PLAIN_CELLS = re.compile(r"\\.|[|\u2502\u2503\u2551]")
_RULE_SIGNS = frozenset("-=:|+ \t\u2550\u2551" + "".join(map(chr, range(0x2500, 0x256D))))
_EMPTY = Traced("", [0], [0])
_RULE = re.compile(r"-|=|[\u2500\u2501\u2550]")


def is_rule(line: str) -> bool:
    """Whether a line is drawn between rows of a table."""
    return bool(line) and line[0] in _RULE_SIGNS and set(line) <= _RULE_SIGNS and bool(_RULE.search(line))


def begins_table(lines: Sequence[Line], at: int) -> bool:
    """Whether a table with bars between its cells begins here."""
    text = lines[at].text
    following = lines[at + 1].text if at + 1 < len(lines) else ""
    if is_rule(text) and len(text) > 2 and (text[0] in "+|" or text[0] > "\u2500") and not RULER.fullmatch(text):
        return True
    if text[0] in BARS and len(text) > 2 and text[-1] in BARS:
        return True
    bars = any(bar in text for bar in BARS)
    if (
        bars
        and is_rule(following)
        and any(sign in following for sign in "|+\u253c\u256a")
        and "-" * 2 in following + "--"
    ):
        return len(following) > 2
    # a row whose beginning was cut away
    return at == 0 and bars and text[-1] in BARS and following[:1] in (*BARS,) and following[-1:] in (*BARS,)


def rows_of(lines: list[Line]) -> tuple[list[str], list[list[Traced]]]:
    """Return the header of a table, empty if it has none, and the cells of its rows."""
    header: list[str] | None = None
    rows: list[list[Traced]] = []
    rules = [place for place, line in enumerate(lines) if is_rule(line.text)]
    grid = len(rules) > 2 and lines[rules[0]].text[0] in "+\u250c\u2554" and any(b - a > 2 for a, b in pairwise(rules))
    group: list[list[Traced]] = []
    wide = 0
    for place, line in enumerate(lines):
        if place in rules[:3] or is_rule(line.text):
            if header is None and len(rows) == 1 and not grid:
                header = [cell.text for cell in rows.pop()]
            elif grid and group:
                rows.append(_stacked(group))
                group = []
                if header is None:
                    header = [cell.text for cell in rows.pop()] if "=" in line.text else []
            continue
        cells = _cells(line, len(header) if header else wide)
        wide = wide or len(cells)
        (group if grid else rows).append(cells)
    if group:
        rows.append(_stacked(group))
    if header is not None and not any(header):
        texts = [[cell.text for cell in row] for row in rows]
        header = texts[0] if len(rows) > 1 and _is_header(texts) else []
        rows = rows[1:] if header else rows
    if header and not rows:
        first = next(line for line in lines if not is_rule(line.text))
        return [], [_cells(first, 0)]
    return header or [], rows


def _cells(line: Line, expected: int) -> list[Traced]:
    text = line.text
    start, end = int(text[0] in BARS), len(text)
    if end > start and text[-1] in BARS and text[-2:-1] != "\\":
        end -= 1
    spans = _between(_CELLS, text, start, end)
    if expected and len(spans) != expected:
        plain = _between(_PLAIN_CELLS, text, start, end)
        spans = plain if len(plain) == expected else spans
    return [bare(traced([(text[a:b], line.start + a)])) if text[a:b].strip() else _EMPTY for a, b in spans]


def _between(cut: re.Pattern[str], text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for match in cut.finditer(text, start, end):
        if match.group() in BARS:
            spans.append((start, match.start()))
            start = match.end()
    return [*spans, (start, end)]


def _stacked(group: list[list[Traced]]) -> list[Traced]:
    """Return the cells of a row that is written over several lines."""
    width = max(map(len, group))
    cells: list[Traced] = []
    for place in range(width):
        parts = [row[place] for row in group if place < len(row) and row[place].text]
        cells.append(bare(traced((part.text, part.source(0)) for part in parts)) if parts else _EMPTY)
    return cells


def _is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: it has short words where the others have identifiers or longer text."""
    first, others = rows[0], rows[1:]
    if not all(0 < len(cell) <= 30 and not any(map(str.isdigit, cell)) for cell in first):
        return False
    if any(OF_CODE.match(cell) and not cell.isupper() for cell in first):
        return False
    coded = sum(bool(row and (OF_CODE.match(row[0]) or any(map(str.isdigit, "".join(row))))) for row in others)
    return coded * 2 > len(others)


_GAP = re.compile(r"\t+|[ ]{2,}")


def columns_of(lines: list[Line]) -> tuple[list[str], list[list[Traced]]]:
    """Return the header and the rows of a table whose cells are apart by tabs or aligned by spaces, if it is one."""
    if len(lines) < 2 or not any("\t" in line.text or "  " in line.text for line in lines[:2]):
        return [], []
    rules = [place for place, line in enumerate(lines) if is_rule(line.text)]
    rows = [line for line in lines if not is_rule(line.text)]
    tabbed = all("\t" in line.text for line in rows)
    column = column_after(rows)
    if len(rows) < 2 or not (tabbed or column):
        return [], []
    cells: list[list[Traced]] = []
    for line in rows:
        gaps = [match.span() for match in _GAP.finditer(line.text)]
        if column and not tabbed and line.indent >= column and cells:  # the last cell goes on
            last = cells[-1][-1]
            more = bare(traced([(line.text, line.start)]))
            starts = [*last.starts, *(len(last.text) + 1 + start for start in more.starts)]
            cells[-1][-1] = Traced(f"{last.text} {more.text}", starts, last.sources + more.sources)
            continue
        starts, ends = [0, *(end for _, end in gaps)], [*(start for start, _ in gaps), len(line.text)]
        cells.append([bare(traced([(line.text[a:b], line.start + a)])) for a, b in zip(starts, ends, strict=True)])
    texts = [[cell.text for cell in row] for row in cells]
    if len(cells) > 1 and ((rules and rules[-1] > 0 and rules[0] <= 1) or _is_header(texts)):
        return texts[0], cells[1:]
    return [], cells


def column_after(lines: Sequence[Line]) -> int:
    """Return where the second column begins, or 0 if the lines do not have one that is aligned."""
    column, aligned = 0, 0
    for line in lines:
        gap = _GAP.search(line.text)
        if column and line.indent >= column:
            continue
        if not gap or line.text[gap.start() - 1] in ".!?" or (column and line.indent + gap.end() != column):
            return 0
        column = line.indent + gap.end()
        aligned += 1
    return column if aligned > 1 else 0
