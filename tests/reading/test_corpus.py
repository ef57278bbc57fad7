from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag.errors import ReadError
from lsb_rag.reading import read_passages


def test_a_folder_of_text_markdown_and_html(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "pump.md").write_text("# Pump manual\n\nE-4012: inlet blocked.\n", encoding="utf-8")
    (tmp_path / "deep" / "notes.txt").write_text("Plain notes.", encoding="utf-8")
    (tmp_path / "page.html").write_text(
        "<html><head><title>A &amp; B</title><style>p{}</style></head><body><script>bad()</script>"
        "<p>Set <code>snake_case</code> to *args.</p></body></html>",
        encoding="utf-8",
    )
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.txt").write_text(" \n")
    passages = {p.metadata["source"]: p for p in read_passages(tmp_path)}
    assert set(passages) == {"pump.md", "deep/notes.txt", "page.html"}
    assert passages["pump.md"].title == "Pump manual"
    assert passages["deep/notes.txt"].content == "notes\nPlain notes."
    assert passages["page.html"].title == "A & B"
    assert passages["page.html"].text == "Set `snake_case` to *args."


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.jsonl", '{"text": "fine"}\n{"text": ', r"bad\.jsonl, line 2 is not JSON"),
        ("bad.jsonl", '{"text": 3}', r"line 1 is not a passage"),
        ("bad.jsonl", "[1]", r"line 1 is not a passage"),
        ("bad.jsonl", "\n", "holds no text"),
        ("file.pdf", "%PDF", r"The PDF is damaged"),
        ("file.png", "x", r"not a document to index"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ReadError, match=message):
        read_passages(tmp_path / name)


def test_a_missing_or_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no file or folder"):
        read_passages(tmp_path / "none")
    with pytest.raises(ReadError, match="holds no text"):
        read_passages(tmp_path)
