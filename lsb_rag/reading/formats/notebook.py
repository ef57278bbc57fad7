"""Read Jupyter notebooks: their Markdown, code and text outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...errors import ReadError
from ..block import Block, Document
from ..markdown import read_markdown
from .code import fenced
from .failures import reading
from .json_file import parse_json

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def read_notebook(text: str) -> Document:
    """Read a notebook of any version.

    :raises ReadError: When it is none.
    """
    with reading("notebook"):
        notebook = parse_json(text)
        if not isinstance(notebook, dict):
            raise ReadError("The file is not a notebook.")
        sheets = notebook.get("worksheets") or [notebook]  # up to version 3
        metadata = notebook.get("metadata") or {}
        language = str((metadata.get("language_info") or metadata.get("kernelspec") or {}).get("name") or "python")
        title = ""
        blocks: list[Block] = []
        for sheet in sheets:
            for cell in sheet.get("cells", ()):
                document = _cell(cell, language)
                title = title or document.title
                blocks += document.blocks
        return Document(title, blocks)


def _cell(cell: dict[str, Any], language: str) -> Document:
    source = _joined(cell.get("source", cell.get("input", "")))
    kind = cell.get("cell_type")
    if kind == "markdown":
        return read_markdown(source)
    if kind == "heading":  # up to version 3
        return Document("", [Block(" ".join(source.split()), kind="heading", level=int(cell.get("level") or 1))])
    if kind != "code":
        return Document("", [Block(source.strip())] if source.strip() else [])
    blocks = fenced(source, language)
    for output in cell.get("outputs", ()):
        for shown in _outputs(output):
            blocks += fenced(shown)
    return Document("", blocks)


def _outputs(output: dict[str, Any]) -> Iterator[str]:
    """Yield what an output shows in plain text; of progress bars, their last state."""
    data = output.get("data", output)
    if output.get("output_type") in ("error", "pyerr"):
        shown = f"{output.get('ename', '')}: {output.get('evalue', '')}"
    else:
        shown = _joined(data.get("text/plain") or output.get("text") or "")
    yield "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in _ESCAPE.sub("", shown).split("\n"))


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
