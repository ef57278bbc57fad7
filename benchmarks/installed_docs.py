"""A large corpus on every machine with this project: docstrings of the Python packages installed beside it."""

from __future__ import annotations

import ast
import random
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from lsb_rag import LexSemBridgeEncoder

WORDS = 60
"""Maximum number of words in a passage: few, so that embedding 100,000 takes half an hour on 2 cores."""
SHORTEST = 6
SEED = 2508
BATCH = 1024
NAME = "installed-docs"


def installed_passages(limit: int) -> list[str]:
    """Return `limit` distinct passages of docstrings from files drawn at random, the same on every call."""
    passages: dict[str, None] = {}
    files = sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py"))
    random.Random(SEED).shuffle(files)  # noqa: S311
    for file in files:
        for docstring in _docstrings(file):
            for passage in _cut(docstring):
                passages.setdefault(passage)
                if len(passages) == limit:
                    return list(passages)
    return list(passages)


def _docstrings(file: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield f"{getattr(node, 'name', file.stem)}: {docstring}"


def _cut(text: str) -> Iterator[str]:
    """Yield consecutive parts of at most :data:`WORDS` words."""
    words = text.split()
    for start in range(0, len(words), WORDS):
        part = words[start : start + WORDS]
        if len(part) >= SHORTEST:
            yield " ".join(part)


def embedded_passages(encoder: LexSemBridgeEncoder, limit: int, kept: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Return :func:`installed_passages` with their vectors, float32 of shape ``[n, d]``.

    They are kept in parts, in the order of embedding: after an interruption, a call continues with the next part; a
    larger `limit` embeds what is missing, and a smaller one returns the first passages.

    :param kept: Folder that keeps them between runs: embedding 100,000 takes half an hour.
    """
    kept.mkdir(parents=True, exist_ok=True)
    weights = encoder.fingerprint.weights[:8]
    texts: list[str] = []
    vectors = [np.zeros((0, encoder.dimension), np.float32)]
    for file in sorted(kept.glob(f"{weights}-*.npz")):
        with np.load(file) as found:
            texts += found["texts"].tolist()
            vectors.append(found["vectors"])
    known = set(texts)  # may include passages of packages that have changed since
    missing = limit - len(texts)
    fresh = [text for text in installed_passages(limit) if text not in known][:missing] if missing > 0 else []
    for start in track(range(0, len(fresh), BATCH), "Embedding", disable=not fresh):
        part = fresh[start : start + BATCH]
        vectors.append(encoder.encode_document(part))
        unfinished = kept / "unfinished.npz"
        np.savez(unfinished, texts=np.array(part), vectors=vectors[-1])
        unfinished.replace(kept / f"{weights}-{len(texts):07}.npz")
        texts += part
    return texts[:limit], np.concatenate(vectors)[:limit]


def indexed(folder: str, texts: list[str], vectors: NDArray[np.float32], configuration: Any = None) -> Any:
    """Return a collection of all `texts` in a new database.

    :param configuration: Settings of its HNSW index; Chroma's own by default.
    """
    client = chromadb.PersistentClient(folder)
    collection = client.create_collection(NAME, embedding_function=None, configuration={"hnsw": configuration or {}})
    for start in range(0, len(texts), 1000):
        part = slice(start, start + 1000)
        ids = [str(number) for number in range(len(texts))[part]]
        collection.add(ids=ids, documents=texts[part], embeddings=vectors[part])
    return collection
