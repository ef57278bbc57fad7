"""Read Excel workbooks: a heading for each sheet, and its tables."""

from __future__ import annotations

import datetime
import io
import warnings
from collections.abc import Iterator
from typing import Any

from ...errors import MissingExtraError, ReadError
from ..block import Block, Document
from .archive import core_title, open_archive, refuse_entities
from .failures import reading
from .table import table

KIND = "workbook"
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
"""As many as Excel has; a damaged file may name a cell far beyond."""


def read_xlsx(raw: bytes) -> Document:
    """Read a workbook, of formulas the values that they had when it was saved.

    :raises MissingExtraError: When the extra ``documents`` is not installed.
    :raises ReadError: When it cannot be read.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise MissingExtraError(
            "Excel workbooks need openpyxl. Install it with `pip install 'lsb-rag[documents]'`."
        ) from error
    with open_archive(raw, KIND) as archive:
        refuse_entities(archive, KIND)
        with reading(KIND), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is not read in any case, such as styles
            workbook = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
            try:
                blocks = [block for sheet in workbook.worksheets for block in _sheet(sheet)]
                return Document(core_title(archive), blocks)
            finally:
                workbook.close()


def _sheet(sheet: Any) -> Iterator[Block]:
    sheet.reset_dimensions()  # some programs write wrong ones
    rows: list[list[str]] = []
    found: list[Block] = []
    after_blank = False
    for number, values in enumerate(sheet.iter_rows(values_only=True)):
        if number >= MAX_ROWS or len(values) > MAX_COLUMNS:
            raise ReadError("The workbook names cells beyond the largest sheet.")
        cells = [_shown(value) for value in values]
        while cells and not cells[-1]:
            del cells[-1]
        if not cells:
            after_blank = True
            continue
        is_note = sum(map(bool, cells)) == 1 and (after_blank or not rows)
        # A line of its own parts tables: their titles and notes stand so.
        if is_note:
            found += table(rows)
            found.append(Block(next(filter(None, cells))))
            rows = []
        else:
            rows.append(cells)
        after_blank = False
    found += table(rows)
    if found:
        yield Block(str(sheet.title), kind="heading", level=1)
        yield from found


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return format(value, ".15g")
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return str(value).strip()
