"""What keeping the statistics costs: fitting a collection, and changing 1,000 of its passages, at several sizes.

    python benchmarks/growth.py --sizes 10000,100000 --kept FOLDER

The passages are docstrings of the packages installed beside this project; their vectors are made before, so that the
times are of the statistics alone. Times are medians of the repeats, with their range.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from installed_docs import embedded_passages, indexed
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.counted import Record, at_unit_length, text_digest

CHANGED = 1000
REPEATS = 5


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def spread(seconds: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.2f} [{min(seconds):.2f}, {max(seconds):.2f}]"


def main(
    sizes: Annotated[str, typer.Option(help="Numbers of passages.")] = "10000,100000",
    kept: Annotated[Path, typer.Option(help="Folder that keeps the embedded passages.")] = Path("installed-docs"),
) -> None:
    """Fit, add, delete and open at each size."""
    encoder = LexSemBridgeEncoder()
    largest = max(map(int, sizes.split(",")))
    texts, vectors = embedded_passages(encoder, largest + 2000, kept)
    table = Table(title="seconds")
    for column in (
        "passages",
        "fit",
        "open, with a scan",
        f"count {CHANGED:,} in",
        f"take {CHANGED:,} out",
        "statistics",
    ):
        table.add_column(column)
    for size in map(int, sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            collection = indexed(folder, texts[:size], vectors[:size])
            store = PassageStore.from_collection(collection, encoder)
            _ = store.encoder  # verified
            fit = timed(store.fit)
            ids = [f"new{number}" for number in range(CHANGED)]
            records = [
                Record(id, text_digest(text), encoder.analyze(text), at_unit_length(vector))
                for id, text, vector in zip(ids, texts[size:], vectors[size:], strict=False)
            ]
            added, removed, opened = [], [], []
            for _ in range(REPEATS):
                added.append(timed(partial(store.fitted.file.count, records)))
                removed.append(timed(partial(store.fitted.file.count, [], ids)))
                again = PassageStore.from_collection(collection, encoder)
                opened.append(timed(again.fitted.bridge))
            table.add_row(
                f"{size:,}",
                f"{fit:.1f}",
                spread(opened),
                spread(added),
                spread(removed),
                f"{store.statistics_bytes / 1e6:.0f} MB",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
