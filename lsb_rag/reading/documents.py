"""Split documents in text, Markdown and HTML into passages that the backbone reads whole."""

from __future__ import annotations

import codecs
import logging
import re
from pathlib import Path

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from ..errors import ReadError
from ..passage import MetadataValue, Passage
from ..utils.digests import content_id
from ..utils.text import without_surrogates

logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
SOURCE_KEY = "source"
ROOT_KEY = "lsb_rag:root"
"""Metadata key of a hash of the folder. It tells apart files of the same name in two folders."""
TITLE_CHARACTERS = 100
TITLE_TOKENS = 32
"""Tokens of a passage that are reserved for its title and the special tokens."""
MAX_CHUNK_CHARACTERS = 6000
"""A longer chunk is one endless word, which a tokenizer may count as one token."""
MAX_CHUNK_TOKENS = 480
DEFAULT_CHUNK_TOKENS = 224
DEFAULT_CHUNK_CHARACTERS = 900


def document_passages(files: list[Path], root: Path, tokenizer: Tokenizer | None, max_length: int) -> list[Passage]:
    """Return the distinct passages of documents.

    :param root: The folder that the files were found in.
    :param tokenizer: The backbone's tokenizer. Without one, documents are split by characters.
    :param max_length: The backbone's longest input, in tokens.
    :raises ReadError: When a file cannot be read.
    """
    plain, marked = _splitters(tokenizer, max_length)
    passages: dict[str, Passage] = {}
    metadata_root = content_id(str(root.resolve()))
    for file in files:
        title, text = _read_document(file)
        source = without_surrogates(file.relative_to(root).as_posix())
        splitter = plain if file.suffix.lower() == ".txt" else marked
        for chunk in splitter.chunks(text):
            # The id depends on folder and file, because several files may contain the same paragraph.
            id = content_id(f"{metadata_root}\0{source}\0{title}\0{chunk}")
            metadata: dict[str, MetadataValue] = {SOURCE_KEY: source, ROOT_KEY: metadata_root}
            for part in _parts(chunk):
                passages.setdefault(id, Passage(part, id=id, title=title, metadata=metadata))
                id = content_id(id)
    return list(passages.values())


def _parts(chunk: str) -> list[str]:
    if len(chunk) <= MAX_CHUNK_CHARACTERS:
        return [chunk]
    return TextSplitter(MAX_CHUNK_CHARACTERS).chunks(chunk)


def _splitters(tokenizer: Tokenizer | None, max_length: int) -> tuple[TextSplitter, MarkdownSplitter]:
    if tokenizer is None:
        return TextSplitter(DEFAULT_CHUNK_CHARACTERS), MarkdownSplitter(DEFAULT_CHUNK_CHARACTERS)
    own = Tokenizer.from_str(tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    fits = max_length - TITLE_TOKENS if max_length else DEFAULT_CHUNK_TOKENS
    capacity = max(16, min(fits, MAX_CHUNK_TOKENS))
    return (
        TextSplitter.from_huggingface_tokenizer(own, capacity),
        MarkdownSplitter.from_huggingface_tokenizer(own, capacity),
    )


def _read_document(file: Path) -> tuple[str, str]:
    """Return title and text. HTML is converted to Markdown, which keeps headings and code."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ReadError(f"Cannot read {file}: {error}") from error
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    if "\ufffd" in text:
        logger.warning("%s is not UTF-8 throughout; unreadable characters are replaced.", file)
    if file.suffix.lower() in (".html", ".htm"):
        return _read_html(text, without_surrogates(file.stem))
    stem = without_surrogates(file.stem)
    if file.suffix.lower() == ".txt":
        return stem, text
    prose = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)  # a comment in code is no heading
    heading = re.search(r"^#\s+(.+?)\s*#*$", prose, re.MULTILINE)
    return (heading.group(1)[:TITLE_CHARACTERS] if heading else stem), text


def _read_html(html: str, fallback: str) -> tuple[str, str]:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for hidden in soup(["script", "style", "noscript", "template", "head"]):
        hidden.decompose()
    # Escapes would break up the very words that people search for, such as snake_case and *args.
    converter = MarkdownConverter(
        heading_style="ATX", escape_underscores=False, escape_asterisks=False, escape_misc=False
    )
    return title[:TITLE_CHARACTERS] or fallback, str(converter.convert_soup(soup)).strip()
