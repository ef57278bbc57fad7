"""Measure what is stored beside the vectors: bytes of the statistics, and of a BM25 index over the same words.

    python -m benchmarks.scale.index_bytes squad=FOLDER nq=FOLDER

Folders are corpora in BEIR layout. The vectors are random, of length 1: the bytes do not depend on them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import bm25s
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lsb_rag.lexical.units import words
from lsb_rag.reading import read_passages
from lsb_rag.statistics.base import Record, at_unit_length
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.utils.digests import text_digest

DIMENSION = 384
BATCH = 1000


def bytes_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main(
    sets: Annotated[list[str], typer.Argument(metavar="NAME=FOLDER", help="Corpora in BEIR layout, by name.")],
) -> None:
    """Count and index each corpus, and print a table of bytes."""
    table = Table()
    for column in ("set", "passages", "words", "vectors, float32", "statistics", "bytes a word", "bm25s index"):
        table.add_column(column, justify="right" if table.columns else "left")
    for name, folder in (one.split("=", 1) for one in sets):
        passages = read_passages(folder)
        units = [words(passage.content) for passage in passages]
        vectors = at_unit_length(np.random.default_rng(0).normal(size=(len(passages), DIMENSION)))
        with tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as lexical:
            file = StatisticsFile(Path(kept) / "statistics.sqlite3", DIMENSION, {})
            for start in range(0, len(passages), BATCH):
                rows = range(start, min(start + BATCH, len(passages)))
                file.count(
                    [Record(passages[i].id, text_digest(passages[i].content), units[i], vectors[i]) for i in rows]
                )
            file.checkpoint()
            index = bm25s.BM25(method="lucene")
            index.index(units, show_progress=False)
            index.save(lexical)
            n_words, ours = len({unit for of_one in units for unit in of_one}), bytes_of(Path(kept))
            table.add_row(
                name,
                f"{len(passages):,}",
                f"{n_words:,}",
                f"{4 * DIMENSION * len(passages) / 1e6:.1f} MB",
                f"{ours / 1e6:.1f} MB",
                f"{ours / n_words:.0f}",
                f"{bytes_of(Path(lexical)) / 1e6:.1f} MB",
            )
            file.close()
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
