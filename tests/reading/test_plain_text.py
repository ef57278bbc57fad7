"""Plain text becomes paragraphs."""

from __future__ import annotations

from lsb_rag.reading.block import Block
from lsb_rag.reading.plain_text import read_text


def test_paragraphs_are_apart_by_blank_lines() -> None:
    assert read_text("one\r\ngoes on\r\n \t\r\n  two\n\n\n") == read_text("one\ngoes on\n\n  two")
    assert read_text("one\ngoes on\n\n  two").blocks == [Block("one\ngoes on"), Block("  two")]
    assert read_text(" \n ").blocks == []
