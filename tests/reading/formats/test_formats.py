from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest

from lsb_rag.errors import LsbRagError, ReadError
from lsb_rag.reading.formats import FORMATS, SUFFIXES, failures, read_document


def test_every_format_is_read_by_its_suffix() -> None:
    assert set(SUFFIXES) == set(FORMATS)
    assert {".txt", ".md", ".markdown", ".html", ".htm", ".xhtml", ".pdf", ".docx", ".py", ".ipynb"} <= set(SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    assert read_document(b"# A\n\nb", "folder/x.MD").blocks[0].kind == "heading"
    assert FORMATS[".html"]("<meta charset=koi8-r><p>Вход".encode("koi8-r")).blocks[0].text == "Вход"
    with pytest.raises(ReadError, match=r"^The format is not read; use one of \.txt, "):
        read_document(b"", "x.png")


def test_an_encoding_that_was_guessed_is_warned_of_with_the_name(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_document("Größe ok".encode("latin-1"), "a\x1b.txt").blocks[0].text == "Größe ok"
        read_document("Größe".encode("utf-16"), "b.txt")
        read_document("Größe".encode(), "c.py")
    assert [record.getMessage() for record in caplog.records] == ["a\ufffd.txt is not UTF-8; it was read as cp1252."]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_hostile_bytes_are_read_or_refused_in_a_sentence(suffix: str) -> None:
    for raw in (b"", b"\n", b"\0\1\2", b"PK\x03\x04junk", b"%PDF-1.7 junk", b"\xff\xfe\x00", b"<" * 2000, b"[{(" * 700):
        try:
            document = FORMATS[suffix](raw)
        except LsbRagError as error:
            said = [str(error)]
        else:
            said = []
            assert all(block.text.strip() for block in document.blocks)
        assert all(re.fullmatch(r".+\.", sentence) for sentence in said)


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (ValueError("bad\n  thing."), "The PDF is damaged: bad thing."),
        (KeyError(), "The PDF is damaged: KeyError."),
        (RecursionError(), "The PDF is nested too deeply."),
        (MemoryError(), "The PDF needs more memory than is left."),
        (ReadError("As it is."), "As it is."),
        (ValueError("x" * 1000), f"The PDF is damaged: {'x' * failures.MAX_REASON}."),
    ],
)
def test_what_a_parser_raises_becomes_a_sentence(raised: Exception, sentence: str) -> None:
    with pytest.raises(ReadError) as caught, failures.reading("PDF"):
        raise raised
    assert str(caught.value) == sentence
    with pytest.raises(KeyboardInterrupt), failures.reading("PDF"):
        raise KeyboardInterrupt


def test_the_libraries_of_the_formats_are_loaded_on_use() -> None:
    heavy = {"pypdfium2", "mammoth", "openpyxl", "pptx", "docutils", "charset_normalizer"}
    code = f"import lsb_rag.reading.formats, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
