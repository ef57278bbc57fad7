"""Measure how quality, times, memory and disk grow with the number of passages; print tables and draw a picture.

    python -m benchmarks.scale.growth --kept FOLDER

The passages are docstrings of the packages installed beside this project, each size the beginning of the next. All
queries are drawn from the smallest, so the curves differ by the passages around the right one. Measurements are kept in
``growth.json`` in the folder `--out`: an interrupted run continues with the next size, and ``python -m
benchmarks.scale.growth_curves FOLDER`` draws it again.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.installed_docs import embedded_passages
from benchmarks.scale.growth_at_size import CHANGED, build, measure
from benchmarks.scale.growth_curves import RESULTS, show
from lsb_rag import LexSemBridgeEncoder


def apart(work: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Return the result of `work`, run in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def main(
    sizes: Annotated[
        str, typer.Option(help="Numbers of passages, separated by commas.")
    ] = "1000,3000,10000,30000,100000",
    kept: Annotated[Path, typer.Option(help="Folder that keeps the embedded passages.")] = Path("installed-docs"),
    out: Annotated[Path, typer.Option(help="Folder for the results and the picture.")] = Path("growth"),
    queries: Annotated[int, typer.Option(help="Queries of each kind.")] = 300,
) -> None:
    """Embed and measure what is missing, print the tables and draw the curves."""
    numbers = sorted(map(int, sizes.split(",")))
    smallest, largest = numbers[0], numbers[-1]
    about = {"smallest": smallest, "queries": queries, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"about": about, "sizes": {}}
    if (out / RESULTS).is_file():
        results = json.loads((out / RESULTS).read_text(encoding="utf-8"))
        if results["about"] != about:
            sys.exit(f"{out / RESULTS} was measured with {results['about']}, this is {about}; give another --out.")
    missing = [size for size in numbers if str(size) not in results["sizes"]]
    if missing:
        embedded_passages(LexSemBridgeEncoder(), largest + CHANGED, kept)
    with Progress() as bar:
        task = bar.add_task("", total=2 * sum(missing))
        for size in missing:
            with tempfile.TemporaryDirectory() as folder:
                found = results["sizes"][str(size)] = {}
                for work, *arguments in ((build, largest, kept), (measure, smallest, largest, kept, queries)):
                    bar.update(task, description=f"{work.__name__} {size:,}")
                    found.update(apart(work, folder, size, *arguments))
                    bar.advance(task, size)
            unfinished = out / f"{RESULTS}.unfinished"
            unfinished.write_text(json.dumps(results, indent=1), encoding="utf-8")
            unfinished.replace(out / RESULTS)
    show(out, Console(width=160))


if __name__ == "__main__":
    typer.run(main)
