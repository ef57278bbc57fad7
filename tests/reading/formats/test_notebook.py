from __future__ import annotations

import json
from typing import Any

import pytest

from lsb_rag.errors import ReadError
from lsb_rag.reading.formats.notebook import read_notebook


def notebook(*cells: dict[str, Any], **more: Any) -> str:
    return json.dumps({"cells": cells, "nbformat": 4, **more})


def test_markdown_code_and_text_outputs() -> None:
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["10 %\r50 %\r100 %\r\n", "\x1b[31mdone\x1b[0m\n"]},
        {"output_type": "execute_result", "data": {"text/plain": ["42"], "text/html": ["<b>42</b>"]}},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}},
        {"output_type": "error", "ename": "ValueError", "evalue": "E-4012", "traceback": ["\x1b[0;31m..."]},
    ]
    document = read_notebook(
        notebook(
            {"cell_type": "markdown", "source": ["# Pumps\n", "\n", "Start them."]},
            {"cell_type": "code", "source": "pump.start()\n", "outputs": outputs},
            {"cell_type": "raw", "source": "raw text"},
            {"cell_type": "code", "source": "", "outputs": []},
            metadata={"language_info": {"name": "julia"}},
        )
    )
    assert [(block.kind, block.text) for block in document.blocks] == [
        ("heading", "Pumps"),
        ("paragraph", "Start them."),
        ("code", "```julia\npump.start()\n```"),
        ("code", "```\n100 %\ndone\n```"),
        ("code", "```\n42\n```"),
        ("code", "```\nValueError: E-4012\n```"),
        ("paragraph", "raw text"),
    ]


def test_version_3() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Pumps"},
        {"cell_type": "code", "input": "1 + 1", "outputs": [{"output_type": "pyout", "text": ["2"]}]},
    ]
    blocks = read_notebook(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})).blocks
    assert [block.text for block in blocks] == ["Pumps", "```python\n1 + 1\n```", "```\n2\n```"]


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 100_000, '{"cells": 5}', '{"cells": [5]}', '{"metadata": [], "cells": []}']
)
def test_what_is_no_notebook_is_a_sentence(text: str) -> None:
    if text.startswith('{"metadata"'):
        assert read_notebook(text).blocks == []
        return
    with pytest.raises(ReadError, match=r"^The (file|notebook) .+\.$"):
        read_notebook(text)
