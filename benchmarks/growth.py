"""What keeping the statistics costs: fitting a collection, and changing 1,000 of its passages, at several sizes.

    python benchmarks/growth.py --sizes 10000,100000

The passages are docstrings of the packages installed beside this project, their vectors random: neither times nor bytes
depend on them. All of it is of the statistics alone, in a file; reading the collection comes on top when it is fitted
(2 s for 50,000 passages). Times are medians of the repeats, with their range.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from installed_docs import installed_passages
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsb_rag.bridge import CorpusBridge
from lsb_rag.counted import Record, at_unit_length, text_digest
from lsb_rag.lexical import slr, words
from lsb_rag.statistics_file import StatisticsFile

DIMENSION = 384
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


def main(sizes: Annotated[str, typer.Option(help="Numbers of passages.")] = "10000,100000") -> None:
    """Fit, add and delete at each size, and ask for a direction."""
    largest = max(map(int, sizes.split(",")))
    texts = installed_passages(largest + CHANGED)
    units = [words(text) for text in track(texts, "Cutting words")]
    vectors = at_unit_length(np.random.default_rng(0).normal(size=(len(texts), DIMENSION))).astype(np.float16)
    records = [Record(str(n), text_digest(text), units[n], vectors[n]) for n, text in enumerate(texts)]
    table = Table(title="seconds")
    for column in ("passages", "fit", f"count {CHANGED:,} in", f"take {CHANGED:,} out", "a direction, ms", "file"):
        table.add_column(column)
    for size in map(int, sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "statistics.sqlite3"
            file = StatisticsFile(path, DIMENSION, {})

            def fit(size: int = size, file: StatisticsFile = file) -> None:
                for start in range(0, size, CHANGED):
                    file.count(records[start : min(start + CHANGED, size)])

            fitted = timed(fit)
            fresh = records[size : size + CHANGED]
            added, removed = [], []
            for _ in range(REPEATS):
                added.append(timed(partial(file.count, fresh)))
                removed.append(timed(partial(file.count, [], [record.id for record in fresh])))
            bridge = CorpusBridge(file, units="words")
            asked = [slr(one[:10]) for one in units[:200]]
            directions = [1000 * timed(partial(bridge.direction, one)) for one in asked]
            file.checkpoint()
            table.add_row(
                f"{size:,}",
                f"{fitted:.1f}",
                spread(added),
                spread(removed),
                f"{statistics.median(directions):.2f}",
                f"{path.stat().st_size / 1e6:.0f} MB",
            )
            file.close()
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
