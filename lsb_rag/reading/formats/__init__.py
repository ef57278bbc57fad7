"""Which format a suffix stands for, and who reads it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import PurePath

from ...errors import ReadError
from ...utils.arguments import checked
from ...utils.text import without_controls, without_surrogates
from ..block import Document
from ..decoding import decode
from ..html import read_html
from ..markdown import read_markdown
from ..plain_text import read_text
from .csv import read_csv, read_tsv
from .docx import read_docx
from .epub import read_epub
from .failures import reading
from .json_file import read_json
from .notebook import read_notebook
from .pdf import read_pdf
from .pptx import read_pptx
from .restructured_text import read_rst
from .source_code import LANGUAGES, read_source_code
from .xlsx import read_xlsx

logger = logging.getLogger(__name__)

Reader = Callable[[bytes], Document]

TEXTS: dict[str, Callable[[str], Document]] = {
    ".txt": read_text,
    ".text": read_text,
    ".log": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".rst": read_rst,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".json": read_json,
    ".ipynb": read_notebook,
    **{suffix: partial(read_source_code, language=language) for suffix, language in LANGUAGES.items()},
}
"""Those that are read as text, by suffix."""
MARKUP: dict[str, Callable[[str], Document]] = dict.fromkeys((".html", ".htm", ".xhtml"), read_html)
"""Those that may declare their encoding."""


def _decoded(raw: bytes, *, suffix: str, name: str = "") -> Document:
    """Decode a text and read it."""
    decoded = decode(raw, markup=suffix in MARKUP)
    if name and decoded.note:
        logger.warning("%s %s", name, decoded.note)
    with reading("file"):
        return (TEXTS.get(suffix) or MARKUP[suffix])(decoded.text)


FORMATS: dict[str, Reader] = {
    **{suffix: partial(_decoded, suffix=suffix) for suffix in (*TEXTS, *MARKUP)},
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".xlsx": read_xlsx,
    ".pptx": read_pptx,
    ".epub": read_epub,
}
"""What reads the bytes of a file, by its suffix in lower case."""
SUFFIXES = tuple(FORMATS)


@checked
def read_document(raw: bytes, name: str) -> Document:
    """Read the bytes of a file by the suffix of its name, and warn where its encoding had to be guessed.

    :raises MissingExtraError: When its format needs the extra ``documents``, and that is not installed.
    :raises ReadError: With one sentence, when it cannot be read.
    """
    suffix = PurePath(name).suffix.lower()
    if suffix not in FORMATS:
        raise ReadError(f"The format is not read; use one of {', '.join(SUFFIXES)}.")
    if suffix in TEXTS or suffix in MARKUP:
        return _decoded(raw, suffix=suffix, name=without_controls(without_surrogates(name)))
    return FORMATS[suffix](raw)


__all__ = ["FORMATS", "SUFFIXES", "Reader", "read_document"]
