"""Markdown becomes blocks that keep their source."""

from __future__ import annotations

import pytest

from lsb_rag.reading.block import Block
from lsb_rag.reading.markdown import heading_text, read_markdown


def test_blocks() -> None:
    text = """# The *title*

A paragraph
of two lines.

- one
  goes on

  and on
- two
  1. inner

> quoted
> text

```sh
# no heading
```

Setext
======
"""
    assert read_markdown(text).title == "The title"
    assert [(block.kind, block.text) for block in read_markdown(text).blocks] == [
        ("heading", "The title"),
        ("paragraph", "A paragraph\nof two lines."),
        ("item", "- one\n  goes on"),
        ("item", "  and on"),
        ("item", "- two"),
        ("item", "  1. inner"),
        ("paragraph", "quoted\ntext"),
        ("code", "```sh\n# no heading\n```"),
        ("heading", "Setext"),
    ]


def test_a_table_repeats_its_header() -> None:
    table = "| code | what |\n|---|---|\n| E-1 | worn |\n| E-2 | hot |\n\nAfter."
    header = "| code | what |\n|---|---|"
    assert read_markdown(table).blocks == [
        Block("| E-1 | worn |", "table", header=header),
        Block("| E-2 | hot |", "table", header=header),
        Block("After."),
    ]


@pytest.mark.parametrize(
    "text", ["--all\n: every file\nand more", "--all\n:   every file\nand more", "--all\n\n:   every file\nand more"]
)
def test_definitions(text: str) -> None:
    assert read_markdown(text).blocks == [Block(":   every file\nand more", "definition", header="--all")]


def test_front_matter_and_html() -> None:
    document = read_markdown('---\ntitle: "Pumps"\ntags: [a]\n---\n<dl><dt>E-1<dd>worn</dl>\n\nText.')
    assert document.title == "Pumps"
    assert document.blocks == [Block(":   worn", "definition", header="E-1"), Block("Text.")]


def test_headings_without_marks() -> None:
    assert heading_text("The `core.x` [option](a.md) **now** {#id}") == "The core.x option now"
    assert heading_text("max_keep_size and __init__") == "max_keep_size and __init__"


@pytest.mark.parametrize(
    "text",
    [
        "# a" + " " * 16_000 + "b",
        ">" * 5000 + " b",
        "".join(f"{'  ' * depth}- x\n" for depth in range(300)) + "b",
        "[" * 20_000 + "b",
        "*a " * 20_000 + "b",
        "x" * 200_000 + "\n\nb",
        "~~~\n" * 2001 + "b",
        "<div>" * 3000 + "b",
    ],
)
def test_nothing_is_lost_of_hostile_text(text: str) -> None:
    read = "\n".join(block.text for block in read_markdown(text).blocks)
    assert "b" in read
    assert read.count("x") >= text.count("x")
