"""Read Word documents, by way of HTML."""

from __future__ import annotations

import io
from typing import Any

from ...errors import MissingExtraError
from ..block import Document
from ..html import read_html
from .archive import core_title, open_archive, refuse_entities
from .failures import reading

KIND = "Word document"
STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
p[style-name='caption'] => figcaption:fresh
p[style-name='Caption'] => figcaption:fresh
p[style-name='HTML Preformatted'] => pre:separator('\\n')
p[style-name='Source Code'] => pre:separator('\\n')
p[style-name='Code'] => pre:separator('\\n')
p[style-name='Plain Text'] => pre:separator('\\n')
r[style-name='HTML Code'] => code
r[style-name='Verbatim Char'] => code
"""


def read_docx(raw: bytes) -> Document:
    """Read a Word document. Headings, lists, tables and footnotes are kept; headers, comments and pictures are not.

    :raises MissingExtraError: When the extra ``documents`` is not installed.
    :raises ReadError: When it cannot be read.
    """
    try:
        import mammoth
    except ImportError as error:
        raise MissingExtraError(
            "Word documents need mammoth. Install it with `pip install 'lsb-rag[documents]'`."
        ) from error
    with open_archive(raw, KIND) as archive:
        refuse_entities(archive, KIND)
        with reading(KIND):
            html = mammoth.convert_to_html(io.BytesIO(raw), style_map=STYLES, convert_image=_no_image).value
            return Document(core_title(archive), read_html(html).blocks)


def _no_image(_: Any) -> list[Any]:
    return []
