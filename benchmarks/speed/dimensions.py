"""Measure what the width of vectors costs: counting passages, memory, solving the bridge, and a query's direction.

The passages are made, alike in every run: 60 words of a Zipf vocabulary and a code, and vectors whose spectrum decays.
Each width is measured in a process of its own, and times that repeat are the best of several.

    python -m benchmarks.speed.dimensions [--widths 384,768,1536,3072,4096] [--passages 20000] [--folder FOLDER] [--cpu]

For figures that others can repeat, set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.fft import dct

from lsb_rag.bridge.corpus import CorpusBridge
from lsb_rag.bridge.unit_means import unit_means
from lsb_rag.statistics.base import Record, at_unit_length
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.utils.digests import text_digest

WIDTHS = "384,768,1024,1536,3072,4096"
PAGE, BATCH = 2000, 256
"""Passages counted at once when a collection is attached, and when passages are added."""
VOCABULARY, LENGTH = 30_000, 60
QUERIES, REPEATS = 40, 7
CPU = "LSB_DIMENSIONS_CPU"
"""Variable that lets the process of a width count processor time."""
COLUMNS = {
    "attach_s": "attach s",
    "add_s": "add s",
    "one_ms": "add one ms",
    "solve_ms": "solve ms",
    "direction_ms": "direction ms",
    "means_ms": "of it means ms",
    "peak_mb": "peak MB",
    "file_mb": "file MB",
}


class Passages:
    """Passages of one width; a passage is the same whichever batch it is made in.

    :param width: Width d of the vectors.
    """

    def __init__(self, width: int) -> None:
        rng = np.random.default_rng(0)
        self._width = width
        share = 1 / np.arange(1, VOCABULARY + 1)
        self._cumulated = np.cumsum(share / share.sum())
        # As text embeddings are: all on one side of the origin, and most of the variance in a few hundred directions.
        self._scale = (np.arange(width) + 10.0) ** -0.6
        self._mean = rng.normal(size=width) * 0.7 * np.linalg.norm(self._scale) / np.sqrt(width)
        self._signs = rng.choice([-1.0, 1.0], size=width)

    def units(self, number: int) -> list[str]:
        """Return the words of a passage and its code."""
        drawn = np.random.default_rng([1, number]).random(LENGTH)
        return [f"word{rank}" for rank in np.searchsorted(self._cumulated, drawn).tolist()] + [f"E-{number}"]

    def vectors(self, numbers: Sequence[int]) -> NDArray[np.float64]:
        """Return the vectors of passages; a cosine transform of scaled noise turns it without a d x d matrix."""
        noise = np.stack([np.random.default_rng([2, number]).standard_normal(self._width) for number in numbers])
        turned = dct(self._signs * self._scale * noise, norm="ortho", axis=1)
        return at_unit_length(turned + self._mean)

    def batches(self, n: int, size: int) -> Iterator[list[Record]]:
        """Yield the first `n` passages as records."""
        for start in range(0, n, size):
            numbers = range(start, min(start + size, n))
            yield [self.record(number, vector) for number, vector in zip(numbers, self.vectors(numbers), strict=True)]

    def record(self, number: int, vector: NDArray[np.float64]) -> Record:
        """Return a passage as it is counted."""
        return Record(str(number), text_digest(str(number)), self.units(number), vector)

    def query(self, number: int, n: int) -> dict[str, float]:
        """Return a query of ten units: eight words of one passage, one of another, and one that nobody wrote."""
        rng = np.random.default_rng([3, number])
        passage, other = rng.integers(0, n, 2).tolist()
        mine = rng.choice(self.units(passage), 8, replace=False).tolist()
        return dict.fromkeys([*mine, self.units(other)[0], f"unknown{number}"], 1.0)


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    clock = time.process_time if os.environ.get(CPU) else time.perf_counter
    start = clock()
    work()
    return clock() - start


def median_of_best(tasks: Sequence[Callable[[], object]]) -> float:
    """Return the median over the tasks of the least seconds each takes, when it has been done before."""
    turns = [[seconds(task) for task in tasks] for _ in range(REPEATS + 1)]
    return float(np.median(np.min(turns[1:], axis=0)))


def counted(path: Path, passages: Passages, width: int, n: int, size: int) -> tuple[StatisticsFile, float]:
    """Return a file of `n` passages, with the seconds that counting them and solving the bridge took."""
    file, spent = StatisticsFile(path, width, {}), 0.0
    for records in passages.batches(n, size):
        spent += seconds(partial(file.count, records))
    spent += seconds(file.checkpoint)
    return file, spent + seconds(partial(CorpusBridge, file, units="words"))


def measure(width: int, n: int, folder: Path) -> dict[str, float]:
    """Return the figures of one width."""
    passages = Passages(width)
    file, add = counted(folder / "added.sqlite3", passages, width, n, BATCH)
    file.close()
    (folder / "added.sqlite3").unlink()
    path = folder / "attached.sqlite3"
    file, attach = counted(path, passages, width, n, PAGE)
    file_mb = path.stat().st_size / 1e6
    more = [passages.record(n + i, vector) for i, vector in enumerate(passages.vectors(range(n, n + REPEATS)))]
    one, solve = [], []
    bridge = CorpusBridge(file, units="words")
    for record in more:
        one.append(seconds(partial(file.count, [record])))
        solve.append(seconds(bridge.refit))
    queries = [passages.query(number, n) for number in range(QUERIES)]
    directions = median_of_best([partial(bridge.direction, query) for query in queries])
    information = [{unit: value for unit, value in bridge.information(query).items() if value} for query in queries]
    means = median_of_best([partial(unit_means, file, one) for one in information])
    return {
        "width": width,
        "attach_s": attach,
        "add_s": add,
        "one_ms": 1000 * min(one),
        "solve_ms": 1000 * min(solve),
        "direction_ms": 1000 * directions,
        "means_ms": 1000 * means,
        "peak_mb": peak(),
        "file_mb": file_mb,
    }


def peak() -> float:
    """Return the most memory that this process has held, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def main(
    widths: str = WIDTHS,
    passages: int = 20_000,
    folder: Annotated[Path | None, typer.Option(help="Where the files are written for the while.")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Count processor time, where others use the machine.")] = False,
    measure_only: Annotated[int, typer.Option("--measure", hidden=True)] = 0,
) -> None:
    """Measure each width in a process of its own, and print a table."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        if measure_only:
            print(json.dumps(measure(measure_only, passages, Path(temporary))))
            return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("d", *COLUMNS.values()):
        table.add_column(column, justify="right", no_wrap=True)
    for width in widths.split(","):
        command = [sys.executable, "-m", "benchmarks.speed.dimensions", "--measure", width, "--passages", str(passages)]
        command += ["--folder", str(folder)] if folder else []
        environment = os.environ | ({CPU: "1"} if cpu else {})
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603
        found: dict[str, Any] = json.loads(done.stdout)
        table.add_row(width, *(f"{found[name]:.{1 if found[name] < 100 else 0}f}" for name in COLUMNS))
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "all"
    console = Console(width=120)
    console.print(f"{passages} passages, {threads} threads of {os.cpu_count()} cores{', processor time' * cpu}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
