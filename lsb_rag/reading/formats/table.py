"""Rows of cells as a table in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..block import Block

SAMPLED_ROWS = 50
_NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,. ]{0,30}(?:[eE][-+]?\d{1,4})?%?")
_YEAR = re.compile(r"(?:19|20)\d\d")


def table(rows: Sequence[Sequence[str]]) -> list[Block]:
    """Return a block for each row, under the first one if that looks like a header. Shorter rows are filled up."""
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return []
    width = max(map(len, rows))
    header = ""
    if has_header(rows):
        header = f"{_line(rows[0], width)}\n|{' --- |' * width}"
        rows = rows[1:]
    return [Block(_line(row, width), kind="table", header=header) for row in rows]


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns: its cells are not blank, distinct, and no values as below them."""
    if len(rows) < 2:
        return False
    first = [cell.strip() for cell in rows[0]]
    named = [cell for cell in first if cell]
    if len(set(named)) < len(named) or len(named) < len(first) / 2:
        return False
    for column, name in enumerate(first):
        if _NUMBER.fullmatch(name) and not _YEAR.fullmatch(name):
            below = [row[column].strip() for row in rows[1 : SAMPLED_ROWS + 1] if column < len(row)]
            if sum(bool(_NUMBER.fullmatch(cell)) for cell in below) > len(below) / 2:
                return False
    return True


def _line(row: Sequence[str], width: int) -> str:
    cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
    return f"| {' | '.join(cells + [''] * (width - len(cells)))} |"
