"""Passages from files: folders of text, Markdown and HTML, JSONL corpora and BEIR folders."""

from __future__ import annotations

import codecs
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from .errors import ReadError
from .passage import MetadataValue, Passage
from .store.passage_store import PassageStore
from .store.records import is_storable
from .utils.digests import content_id

logger = logging.getLogger(__name__)

SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
SOURCE_KEY = "source"
ROOT_KEY = "lsb_rag:root"
"""A hash of the folder that was read, so that equal file names in two folders do not stand for each other."""
SOURCES_A_QUERY = 500
TITLE_CHARACTERS = 100
TITLE_TOKENS = 32
"""Tokens of a passage left free for its title and the special tokens."""
MAX_CHUNK_CHARACTERS = 6000
"""A chunk longer than this is one endless word, which a tokenizer may count as one token."""
MAX_CHUNK_TOKENS = 480
DEFAULT_CHUNK_TOKENS = 224
DEFAULT_CHUNK_CHARACTERS = 900


def read_passages(path: str | Path, tokenizer: Tokenizer | None = None, max_length: int = 0) -> list[Passage]:
    """The passages of a folder of documents, a document, a JSONL corpus or a BEIR folder.

    Documents (.txt, .md, .html) are split into passages that the backbone reads whole; ``metadata["source"]`` is the
    file. Hidden files and folders are passed over. A JSONL corpus (``_id``, ``title``, ``text`` a line; of a BEIR
    folder, its ``corpus.jsonl``) is taken as it is, because relevance judgements name its ids.

    :param tokenizer: The backbone's; without one, documents are split by characters.
    :param max_length: The backbone's longest input, in tokens.
    :raises ReadError: When there is nothing to read, or a line of a JSONL file is not a passage.
    """
    root = Path(path)
    if root.is_dir() and (root / "corpus.jsonl").is_file():
        root = root / "corpus.jsonl"
    if root.is_file() and root.suffix.lower() == ".jsonl":
        passages = list(_jsonl_passages(root))
    elif root.is_file() and root.suffix.lower() in SUFFIXES:
        passages = _document_passages([root], root.parent, tokenizer, max_length)
    elif root.is_dir():
        files = sorted(
            file
            for file in root.rglob("*")
            if file.suffix.lower() in SUFFIXES and file.is_file() and not _hidden(file.relative_to(root))
        )
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
    metadata = row.get("metadata")
    kept = metadata.items() if isinstance(metadata, dict) else ()
    return Passage(
        text=_clean(row["text"]),
        id=_clean(str(row["_id"])) if row.get("_id") not in (None, "") else "",
        title=_clean(str(row.get("title") or "")),
        # Nested values are left out, lists too.
        metadata={str(k): value for k, value in kept if is_storable(str(k), value) and not isinstance(value, list)},
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _clean(text: str) -> str:
    """`text` with lone surrogates, which no file can hold and JSON escapes can, replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _document_passages(files: list[Path], root: Path, tokenizer: Tokenizer | None, max_length: int) -> list[Passage]:
    plain, marked = _splitters(tokenizer, max_length)
    passages: dict[str, Passage] = {}
    metadata_root = content_id(str(root.resolve()))
    for file in files:
        title, text = _read_document(file)
        source = _clean(file.relative_to(root).as_posix())
        splitter = plain if file.suffix.lower() == ".txt" else marked
        for chunk in splitter.chunks(text):
            # Folder and file count in the id: the same paragraph may stand in several.
            id = content_id(f"{metadata_root}\0{source}\0{title}\0{chunk}")
            metadata: dict[str, MetadataValue] = {SOURCE_KEY: source, ROOT_KEY: metadata_root}
            for part in (
                [chunk] if len(chunk) <= MAX_CHUNK_CHARACTERS else TextSplitter(MAX_CHUNK_CHARACTERS).chunks(chunk)
            ):
                passages.setdefault(id, Passage(part, id=id, title=title, metadata=metadata))
                id = content_id(id)
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
    utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = raw.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")
    if "\ufffd" in text:
        logger.warning("%s is not UTF-8 throughout; unreadable characters are replaced.", file)
    if file.suffix.lower() in (".html", ".htm"):
        return _read_html(text, _clean(file.stem))
    stem = _clean(file.stem)
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
    # Escapes would cut into the very words people search for: snake_case, *args.
    converter = MarkdownConverter(
        heading_style="ATX", escape_underscores=False, escape_asterisks=False, escape_misc=False
    )
    return title[:TITLE_CHARACTERS] or fallback, str(converter.convert_soup(soup)).strip()


def outdated_passages(store: PassageStore, passages: Sequence[Passage]) -> list[str]:
    """Ids of stored passages of the documents in `passages` that are no longer in them.

    Only what was read from documents of the same folder counts; the rows of a JSONL corpus are never outdated.
    """
    read: dict[str, set[str]] = {}
    for passage in passages:
        if ROOT_KEY in passage.metadata:
            read.setdefault(str(passage.metadata[ROOT_KEY]), set()).add(str(passage.metadata[SOURCE_KEY]))
    current = {passage.id for passage in passages}
    outdated: list[str] = []
    for root, sources in read.items():
        listed = sorted(sources)
        for start in range(0, len(listed), SOURCES_A_QUERY):
            part = {"$in": listed[start : start + SOURCES_A_QUERY]}
            found = store.ids({"$and": [{ROOT_KEY: root}, {SOURCE_KEY: part}]})
            outdated += [id for id in found if id not in current]
    return outdated
