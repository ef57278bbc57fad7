"""Read a folder of documents, a document, a JSONL corpus or a BEIR folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ..errors import ReadError
from ..passage import SOURCE_KEY, Passage
from ..store.passage_store import PassageStore
from ..utils.arguments import checked
from ..utils.batches import batched
from .documents import ROOT_KEY, DocumentReader, FileProgress
from .folder import Found, files_of, summary
from .formats import SUFFIXES
from .jsonl import jsonl_passages
from .splitting import Splitter

logger = logging.getLogger(__name__)

SOURCES_PER_FILTER = 500


@checked
def read_passages(
    path: str | Path,
    tokenizer: Tokenizer | None = None,
    max_length: int = 0,
    *,
    progress: FileProgress | None = None,
) -> list[Passage]:
    """Return the passages of a folder of documents, a document, a JSONL corpus or a BEIR folder.

    Documents are cut into passages that the backbone reads whole, see :class:`~lsb_rag.reading.splitting.Splitter`.
    Their title is that of the document and the path of headings; ``metadata["source"]`` is the file,
    ``metadata["heading"]`` the path. Hidden files and folders are skipped. What else is left out is logged as a
    warning, by kind and number, with the reason where a file cannot be read.

    A JSONL corpus has ``_id``, ``title`` and ``text`` on each line; that of a BEIR folder is its ``corpus.jsonl``. It
    is not cut, because relevance judgements refer to its ids.

    :param tokenizer: The backbone's tokenizer. Without one, four characters count as a token.
    :param max_length: The backbone's longest input, in tokens.
    :param progress: Called for each document.
    :raises ReadError: When there is nothing to read, or a line of a JSONL file is not a passage.
    """
    root = Path(path)
    corpus = _jsonl_of(root)
    if corpus:
        passages = list(jsonl_passages(corpus))
    else:
        found, folder = _documents_of(root)
        reading = DocumentReader(folder, Splitter(tokenizer, max_length)).read(found.files, progress)
        passages, left_out = reading.passages, [*found.left_out, *reading.left_out]
        if left_out and not root.is_dir():
            raise ReadError(f"{root}: {left_out[0].reason}")
        if left_out:
            logger.warning("%s", summary(left_out))
    if not passages:
        raise ReadError(f"{root} holds no text to index; use {_formats()}, a .jsonl or a BEIR folder.")
    return passages


@checked
def is_stored(store: PassageStore, path: str | Path, tokenizer: Tokenizer | None = None, max_length: int = 0) -> bool:
    """Whether `store` holds the documents of a folder, or a document, as they are now; they are not read for that.

    Of a JSONL corpus it is never known. Where it does, what is left out is logged, as by :func:`read_passages`.

    :raises ReadError: When there is nothing to read.
    """
    root = Path(path)
    if _jsonl_of(root):
        return False
    found, folder = _documents_of(root)
    reader = DocumentReader(folder, Splitter(tokenizer, max_length))
    stored = store.chroma.metadatas({ROOT_KEY: reader.folder})
    are_stored, left_out = reader.are_stored(found.files, stored) if stored else (False, [])
    if are_stored and left_out and not root.is_dir():
        return False  # to be refused when it is read
    if are_stored and (said := [*found.left_out, *left_out]):
        logger.warning("%s", summary(said))
    return are_stored


def _jsonl_of(root: Path) -> Path | None:
    """Return the JSONL corpus that `root` is or holds."""
    if root.is_dir() and (root / "corpus.jsonl").is_file():
        return root / "corpus.jsonl"
    return root if root.suffix.lower() == ".jsonl" and root.is_file() else None


def _documents_of(root: Path) -> tuple[Found, Path]:
    """Return the documents of a folder, or a document, and the folder.

    :raises ReadError: When `root` is neither.
    """
    if root.is_dir():
        return files_of(root, SUFFIXES), root
    if not root.exists():
        raise ReadError(f"There is no file or folder {root}.")
    if root.suffix.lower() not in SUFFIXES:
        raise ReadError(f"{root} is not a document to index; use {_formats()}, .jsonl or a folder of them.")
    return Found([root]), root.parent


def _formats() -> str:
    return "documents (text, Markdown, HTML, PDF, Word and others)"


@checked
def outdated_passages(store: PassageStore, passages: Sequence[Passage], path: str | Path | None = None) -> list[str]:
    """Return the ids of stored passages that the documents of `passages` no longer contain.

    Only documents that were read from the same folder are compared. Rows of a JSONL corpus are never outdated.

    :param path: Where `passages` were read from, so that documents without any text left count too.
    """
    sources_of: dict[str, set[str]] = {}
    for passage in passages:
        if ROOT_KEY in passage.metadata:
            sources = sources_of.setdefault(str(passage.metadata[ROOT_KEY]), set())
            sources.update(passage.sources)
    if path is not None and not _jsonl_of(Path(path)):
        found, folder = _documents_of(Path(path))
        reader = DocumentReader(folder, Splitter())
        sources = sources_of.setdefault(reader.folder, set())
        sources.update(reader.emptied([file for file in found.files if reader.source(file) not in sources]))
    current = {passage.id for passage in passages}
    outdated: list[str] = []
    for root, sources in sources_of.items():
        for batch in batched(sorted(sources), SOURCES_PER_FILTER):
            stored = store.ids({"$and": [{ROOT_KEY: root}, {SOURCE_KEY: {"$in": batch}}]})
            outdated += [id for id in stored if id not in current]
    return outdated
