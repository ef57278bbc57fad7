"""Read tables in CSV and TSV."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ..block import Document
from .failures import reading
from .table import table

DELIMITERS = ",;\t|"
SAMPLED_CHARACTERS = 1 << 16


def read_csv(text: str, delimiter: str = "") -> Document:
    """Read a table.

    :param delimiter: What is between the cells; without it, what parts the first rows into equally many.
    :raises ReadError: When it cannot be read.
    """
    with reading("table"), _long_cells():
        first, _, rest = text.partition("\n")
        if first.lower().startswith("sep=") and len(first.rstrip()) <= 5:  # a line that Excel writes
            delimiter, text = (first[4:5] or delimiter), rest
        delimiter = delimiter or _delimiter(text)
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except csv.Error:  # a quotation mark that is a character as any other, such as for inches
            lines = io.StringIO(text, newline="")
            rows = list(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
        return Document("", table(rows))


def read_tsv(text: str) -> Document:
    """Read a table whose cells are parted by tabs.

    :raises ReadError: When it cannot be read.
    """
    return read_csv(text, "\t")


def _delimiter(text: str) -> str:
    """Return the delimiter that parts most of the first rows into equally many cells."""
    sample = text[:SAMPLED_CHARACTERS]
    if len(sample) < len(text):
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        widths = Counter(len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row)
        usual, count = max(widths.items(), key=lambda width: (width[1], width[0]), default=(1, 0))
        score = count / max(1, widths.total()) if usual > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


@contextmanager
def _long_cells() -> Iterator[None]:
    """Accept cells of any length; the standard library's limit is one for the whole program."""
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(limit)
