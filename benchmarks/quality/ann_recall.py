"""Measure the recall of Chroma's HNSW index against exact search, for vanilla and for modulated query vectors.

    python -m benchmarks.quality.ann_recall --sizes 10000,100000 --kept FOLDER

The passages are docstrings of the packages installed beside this project. The queries are the beginnings of passages
that are not indexed, and the rarest words of passages that are.
"""

from __future__ import annotations

import random
import tempfile
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.installed_docs import embedded_passages, indexed
from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.evaluation import paired_difference
from lsb_rag.lexical.units import words
from lsb_rag.store.client import HNSW

QUERIES = 500
SETTINGS: dict[str, Any] = {"Chroma's default": {"space": "cosine"}, "ours": HNSW}
DEPTHS = (10, 100)


def queries(texts: list[str], size: int) -> dict[str, list[str]]:
    """Return ordinary and keyword queries for the first `size` of `texts`."""
    draw = random.Random(0)  # noqa: S311
    counts: dict[str, int] = {}
    for text in texts[:size]:
        for word in set(words(text)):
            counts[word] = counts.get(word, 0) + 1
    held_out = [text for text in texts[size:] if len(text.split()) > 12] or texts[:size]
    keyword = []
    for text in draw.sample(texts[:size], QUERIES):
        rarest = sorted(set(words(text)), key=lambda word: (counts[word], word))
        keyword.append(" ".join(rarest[:4]))
    return {
        "beginnings": [" ".join(text.split()[:12]) for text in draw.sample(held_out, min(QUERIES, len(held_out)))],
        "keywords": [query for query in keyword if query.strip()],
    }


def recalls(collection: Any, rows: NDArray[np.float32], vectors: NDArray[np.float32], depth: int) -> dict[str, float]:
    """Return the share of the `depth` nearest passages that the index finds, by query."""
    shares = {}
    for number, row in enumerate(rows):
        found = collection.query(query_embeddings=row[None], n_results=depth, include=[])["ids"][0]
        exact = np.argsort(-(vectors @ row))[:depth]
        shares[str(number)] = len(set(found) & {str(one) for one in exact}) / depth
    return shares


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of passages, separated by commas.")] = "10000,100000",
    kept: Annotated[Path, typer.Option(help="Folder that keeps the embedded passages.")] = Path("installed-docs"),
) -> None:
    """Build an index for each size and setting, and compare it with exact search."""
    encoder = LexSemBridgeEncoder()
    texts, vectors = embedded_passages(encoder, max(map(int, sizes.split(","))) + 2000, kept)
    table = Table(title="recall of the index against exact search, mean over queries")
    for column in ("passages", "settings", "queries", "depth", "vanilla", "modulated", "difference [95 %]"):
        table.add_column(column)
    for size, (name, configuration) in product(map(int, sizes.split(",")), SETTINGS.items()):
        with tempfile.TemporaryDirectory() as folder:
            collection = indexed(folder, texts[:size], vectors[:size], configuration)
            bridge = PassageStore.from_collection(collection, encoder).fit()
            for (kind, asked), depth in product(queries(texts, size).items(), DEPTHS):
                vanilla = recalls(collection, encoder.embed_query(asked), vectors[:size], depth)
                modulated = recalls(collection, encoder.encode_query(asked, bridge=bridge), vectors[:size], depth)
                d = paired_difference(modulated, vanilla)
                table.add_row(
                    *(f"{size:,}", name, f"{kind}, n = {len(asked)}", str(depth)),
                    *(f"{np.mean(list(one.values())):.4f}" for one in (vanilla, modulated)),
                    f"{d.delta:+.4f} [{d.low:+.4f}, {d.high:+.4f}]",
                )
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
