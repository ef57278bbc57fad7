"""What every format is read into: a document of blocks, from which passages are cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "paragraph", "item", "definition", "table", "code", "caption"]


@dataclass(frozen=True, slots=True)  # a large table has a million
class Block:
    """A piece of a document that is not cut as long as it fits into a passage.

    :param text: Its text in Markdown, without a blank line at either end. An item keeps its mark and indentation
        (``- text``, ``1. text``), a definition is ``:   text`` with its term as header, a table has a row on each
        line, code stands between fences.
    :param kind: What it is. A caption belongs to the block after it.
    :param level: Of a heading, from 1.
    :param header: The lines above it, no part of `text`: the header of a table and the terms of the definitions that
        it stands in, the outermost first. They head each passage that holds some of it.
    """

    text: str
    kind: Kind = "paragraph"
    level: int = 0
    header: str = ""


@dataclass(frozen=True)
class Document:
    """A document as it was read.

    :param title: Its own title, or an empty string.
    :param blocks: What it holds, in order.
    """

    title: str
    blocks: Sequence[Block]
