"""Passages from files: folders of text, Markdown and HTML, JSONL corpora and BEIR folders."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from .errors import ReadError
from .passage import MetadataValue, Passage

logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
SOURCE_KEY = "source"
TITLE_TOKENS = 32
"""Tokens of a passage left free for its title and the special tokens."""
MAX_CHUNK_TOKENS = 480
DEFAULT_CHUNK_TOKENS = 224
DEFAULT_CHUNK_CHARACTERS = 900


def read_passages(path: str | Path, tokenizer: Tokenizer | None = None, max_length: int = 0) -> list[Passage]:
    """The passages of a folder of documents, a document, a JSONL corpus or a BEIR folder.

    Documents (.txt, .md, .html) are split into passages that the backbone reads whole; ``metadata["source"]`` is the
    file. A JSONL corpus (``_id``, ``title``, ``text`` a line; of a BEIR folder, its ``corpus.jsonl``) is taken as it
    is, because relevance judgements name its ids.

    :param tokenizer: The backbone's; without one, documents are split by characters.
    :param max_length: The backbone's longest input, in tokens.
    :raises ReadError: When there is nothing to read, or a line of a JSONL file is not a passage.
    """
    root = Path(path)
    if root.is_dir() and (root / "corpus.jsonl").is_file():
        root = root / "corpus.jsonl"
    if root.is_file() and root.suffix == ".jsonl":
        passages = list(_jsonl_passages(root))
    elif root.is_file() and root.suffix.lower() in SUFFIXES:
        passages = _document_passages([root], root.parent, tokenizer, max_length)
    elif root.is_dir():
        files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        passages = _document_passages(files, root, tokenizer, max_length)
    elif root.exists():
        raise ReadError(f"{root} is not a document to index; use {', '.join(SUFFIXES)}, .jsonl or a folder of them.")
    else:
        raise ReadError(f"There is no file or folder {root}.")
    if not passages:
        raise ReadError(f"{root} holds no text to index; use {', '.join(SUFFIXES)} files, a .jsonl or a BEIR folder.")
    return passages


def _jsonl_passages(path: Path) -> Iterator[Passage]:
    blank = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                passage = _jsonl_passage(line, f"{path}, line {number}")
                if passage.content.strip():
                    yield passage
                else:
                    blank += 1
    except ReadError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error
    if blank:
        logger.warning("%s: left out %d passages without text.", path, blank)


def _jsonl_passage(line: str, where: str) -> Passage:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ReadError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ReadError(f'{where} is not a passage: each line needs a "text", and may have "_id", "title", "metadata".')
    metadata = row.get("metadata") or {}
    return Passage(
        text=row["text"],
        id=str(row["_id"]) if row.get("_id") not in (None, "") else "",
        title=str(row.get("title") or ""),
        metadata={str(k): v for k, v in metadata.items() if isinstance(v, str | int | float | bool)},
    )


def _document_passages(files: list[Path], root: Path, tokenizer: Tokenizer | None, max_length: int) -> list[Passage]:
    plain, marked = _splitters(tokenizer, max_length)
    passages: dict[str, Passage] = {}
    for file in files:
        title, text = _read_document(file)
        source = file.relative_to(root).as_posix()
        splitter = plain if file.suffix.lower() == ".txt" else marked
        for chunk in splitter.chunks(text):
            # The file counts in the id: the same paragraph may stand in two of them.
            digest = hashlib.sha256(f"{source}\0{title}\0{chunk}".encode()).hexdigest()[:32]
            metadata: dict[str, MetadataValue] = {SOURCE_KEY: source}
            passages.setdefault(digest, Passage(chunk, id=digest, title=title, metadata=metadata))
    return list(passages.values())


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
    """Title and text; HTML becomes Markdown, so that headings and code keep their place."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ReadError(f"Cannot read {file}: {error}") from error
    text = raw.decode("utf-8-sig", errors="replace")
    if "\ufffd" in text:
        logger.warning("%s is not UTF-8 throughout; unreadable characters are replaced.", file)
    if file.suffix.lower() in (".html", ".htm"):
        return _read_html(text, file.stem)
    heading = re.search(r"^#\s+(.+?)\s*#*$", text, re.MULTILINE) if file.suffix.lower() != ".txt" else None
    return (heading.group(1) if heading else file.stem), text


def _read_html(html: str, fallback: str) -> tuple[str, str]:
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(html, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for hidden in soup(["script", "style", "noscript", "template", "head"]):
        hidden.decompose()
    # Escapes would cut into the very words people search for: snake_case, *args.
    converter = MarkdownConverter(
        heading_style="ATX", escape_underscores=False, escape_asterisks=False, escape_misc=False
    )
    return title or fallback, str(converter.convert_soup(soup)).strip()
