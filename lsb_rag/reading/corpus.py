"""Read a folder of documents, a document, a JSONL corpus or a BEIR folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ..errors import ReadError
from ..passage import Passage
from ..store.passage_store import PassageStore
from ..utils.batches import batched
from .documents import ROOT_KEY, SOURCE_KEY, SUFFIXES, document_passages
from .jsonl import jsonl_passages

SOURCES_PER_FILTER = 500


def read_passages(path: str | Path, tokenizer: Tokenizer | None = None, max_length: int = 0) -> list[Passage]:
    """Return the passages of a folder of documents, a document, a JSONL corpus or a BEIR folder.

    Documents (.txt, .md, .html) are split into passages that the backbone reads whole; ``metadata["source"]`` is the
    file. Hidden files and folders are skipped. A JSONL corpus has ``_id``, ``title`` and ``text`` on each line; that of
    a BEIR folder is its ``corpus.jsonl``. It is not split, because relevance judgements refer to its ids.

    :param tokenizer: The backbone's tokenizer. Without one, documents are split by characters.
    :param max_length: The backbone's longest input, in tokens.
    :raises ReadError: When there is nothing to read, or a line of a JSONL file is not a passage.
    """
    root = Path(path)
    if root.is_dir() and (root / "corpus.jsonl").is_file():
        root = root / "corpus.jsonl"
    if root.is_file() and root.suffix.lower() == ".jsonl":
        passages = list(jsonl_passages(root))
    elif root.is_file() and root.suffix.lower() in SUFFIXES:
        passages = document_passages([root], root.parent, tokenizer, max_length)
    elif root.is_dir():
        files = sorted(
            file
            for file in root.rglob("*")
            if file.suffix.lower() in SUFFIXES and file.is_file() and not _hidden(file.relative_to(root))
        )
        passages = document_passages(files, root, tokenizer, max_length)
    elif root.exists():
        raise ReadError(f"{root} is not a document to index; use {', '.join(SUFFIXES)}, .jsonl or a folder of them.")
    else:
        raise ReadError(f"There is no file or folder {root}.")
    if not passages:
        raise ReadError(f"{root} holds no text to index; use {', '.join(SUFFIXES)} files, a .jsonl or a BEIR folder.")
    return passages


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def outdated_passages(store: PassageStore, passages: Sequence[Passage]) -> list[str]:
    """Return the ids of stored passages that the documents of `passages` no longer contain.

    Only documents that were read from the same folder are compared. Rows of a JSONL corpus are never outdated.
    """
    sources_of: dict[str, set[str]] = {}
    for passage in passages:
        if ROOT_KEY in passage.metadata:
            root, source = str(passage.metadata[ROOT_KEY]), str(passage.metadata[SOURCE_KEY])
            sources_of.setdefault(root, set()).add(source)
    current = {passage.id for passage in passages}
    outdated: list[str] = []
    for root, sources in sources_of.items():
        for batch in batched(sorted(sources), SOURCES_PER_FILTER):
            stored = store.ids({"$and": [{ROOT_KEY: root}, {SOURCE_KEY: {"$in": batch}}]})
            outdated += [id for id in stored if id not in current]
    return outdated
