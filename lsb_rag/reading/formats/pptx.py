"""Read PowerPoint presentations: a heading for each slide, its texts, tables and notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from ...errors import MissingExtraError
from ..block import Block, Document
from .archive import core_title, open_archive, refuse_entities
from .failures import reading
from .table import table

KIND = "presentation"


def read_pptx(raw: bytes) -> Document:
    """Read a presentation.

    :raises MissingExtraError: When the extra ``documents`` is not installed.
    :raises ReadError: When it cannot be read.
    """
    try:
        from pptx import Presentation
    except ImportError as error:
        raise MissingExtraError(
            "PowerPoint presentations need python-pptx. Install it with `pip install 'lsb-rag[documents]'`."
        ) from error
    with open_archive(raw, KIND) as archive:
        refuse_entities(archive, KIND)
        with reading(KIND):
            slides = Presentation(io.BytesIO(raw)).slides
            blocks = [block for number, slide in enumerate(slides, start=1) for block in _slide(slide, number)]
            title = core_title(archive)
            return Document("" if title == "PowerPoint Presentation" else title, blocks)


def _slide(slide: Any, number: int) -> Iterator[Block]:
    title = slide.shapes.title
    named = " ".join(title.text_frame.text.split()) if title is not None else ""
    blocks = [block for shape in _shapes(slide.shapes) for block in _shape(shape, title)]
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        blocks += [Block(text) for paragraph in notes.paragraphs if (text := _text(paragraph))]
    if blocks or named:
        yield Block(f"slide {number}: {named}" if named else f"slide {number}", kind="heading", level=1)
        yield from blocks


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    """Yield the shapes, those of groups too."""
    waiting = list(shapes)[::-1]
    while waiting:
        shape = waiting.pop()
        if hasattr(shape, "shapes"):
            waiting += list(shape.shapes)[::-1]
        else:
            yield shape


def _shape(shape: Any, title: Any) -> Iterator[Block]:
    if getattr(shape, "has_table", False):
        yield from table([[cell.text for cell in row.cells] for row in shape.table.rows])
    elif shape.has_text_frame and (title is None or shape.shape_id != title.shape_id):
        paragraphs = [
            (paragraph.level, text) for paragraph in shape.text_frame.paragraphs if (text := _text(paragraph))
        ]
        # A text box of one paragraph is a sentence or a label, one of several usually a list.
        for level, text in paragraphs:
            if len(paragraphs) == 1:
                yield Block(text)
            else:
                yield Block(f"{'  ' * level}- {text}", kind="item")


def _text(paragraph: Any) -> str:
    return " ".join(paragraph.text.split())
