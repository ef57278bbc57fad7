"""Measure what sentences cost: indexing, a first sight, a search and an answer with the sentences kept, bytes.

    OMP_NUM_THREADS=2 python -m benchmarks.speed.sentences BEIR_FOLDER [--passages 600] [--queries 60]

Passages of the folder are indexed with and without sentences, in turns of 100. Then each query is asked of the
collection without sentences, first by a retriever that needs them, then, after all are embedded, with and without them
in turns; and the answer to it is quoted. Queries are embedded beforehand, and that is timed apart.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.evaluation import read_beir
from lsb_rag.generation import ExtractiveGenerator
from lsb_rag.reading import read_passages
from lsb_rag.utils.batches import batched

PART = 100


def timed(function: Callable[[], Any]) -> float:
    """Return the milliseconds that a call takes."""
    began = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - began)


def main(data: Path, passages: int = 600, queries: int = 60) -> None:
    """Measure and print a table."""
    folder, encoder = Path(tempfile.mkdtemp(prefix="sentences-")), LexSemBridgeEncoder()
    chosen = random.Random(0).sample(read_passages(data), passages)  # noqa: S311
    asked = [query.text for query in read_beir(data).queries if query.kind == "question"][:queries]
    bare, full = (PassageStore(folder / name, "passages", encoder) for name in ("bare", "full"))
    ratios = []
    for part in track(list(batched(chosen, PART)), "Indexing"):
        without = timed(lambda part=part: bare.add(part))  # type: ignore[misc]
        ratios.append(timed(lambda part=part: full.add(part, sentences=True)) / without)  # type: ignore[misc]
    bare.fit()
    off, on = Retriever(bare, sentences=False), Retriever(bare)
    vectors = dict(zip(asked, off.embed(asked), strict=True))

    def search(retriever: Retriever, query: str) -> float:
        return timed(lambda: retriever.search(query, 5, vector=vectors[query]))

    search(off, asked[0])
    first, made = [], [len(bare.sentences)]
    for query in track(asked, "First sights"):
        first.append(search(on, query))
        made.append(len(bare.sentences))
    bare.embed_sentences()
    pairs = [(search(off, query), search(on, query)) for query in track(asked * 3, "Searching")]
    embedding = []
    for query in track(asked, "Embedding queries"):
        encoder.backbone.forget()  # type: ignore[union-attr]
        embedding.append(timed(lambda query=query: off.embed(query)))  # type: ignore[misc]
    typical = statistics.median(embedding)
    generator = ExtractiveGenerator(encoder, table=bare.sentences)
    answers = []
    for query in track(asked, "Answering"):
        hits = on.search(query, 5, vector=vectors[query])
        encoder.embed_query(query)
        answers.append(timed(lambda query=query, hits=hits: generator.answer(query, hits)))  # type: ignore[misc]
    size = sum(file.stat().st_size for file in (folder / "bare" / "lsb_rag").glob("*-sentences-*"))
    table = Table(title=f"{passages} passages, {queries} queries")
    for column in ("", "median", "range"):
        table.add_column(column)
    new = np.diff(made)
    for name, values in {
        "indexing with sentences / without": ratios,
        "first sight of a collection, ms": first,
        "passages first seen by a query": new[:20].tolist(),
        "search without, ms": [one for one, _ in pairs],
        "search with sentences kept, ms": [one for _, one in pairs],
        "the two, ratio": [other / one for one, other in pairs],
        "embedding a query, ms": embedding,
        "the two with the embedding, ratio": [(other + typical) / (one + typical) for one, other in pairs],
        "answer beyond the search, ms": answers,
    }.items():
        table.add_row(name, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}")
    table.add_row("bytes a passage", f"{size / passages:.0f}", "")
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
