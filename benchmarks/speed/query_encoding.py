"""Measure what LexSemBridge adds to a query: encoding with the bridge and with the backbone alone, and whole searches.

Tasks are timed in turns, query by query, in one process; the ratio is of medians, with its spread over repeats.

    python -m benchmarks.speed.query_encoding [--db FOLDER] [--repeats 7] [--queries 60]
    python -m benchmarks.speed.query_encoding --db FOLDER --collection NAME --data BEIR_FOLDER -k 10
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.onnx_graph import threads
from lsb_rag.cli.console import passages_progress
from lsb_rag.cli.options import database
from lsb_rag.demo.questions import load_questions
from lsb_rag.demo.run import index_demo
from lsb_rag.evaluation import read_beir

Task = Callable[[str], object]


def in_turns(
    tasks: dict[str, Task], queries: list[str], encoders: Sequence[LexSemBridgeEncoder] = ()
) -> dict[str, list[float]]:
    """Return the seconds of each task on each query; the tasks take turns, and each goes first equally often.

    :param encoders: Encoders to clear before each task; otherwise only the first task would run the backbone.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for turn, query in enumerate(queries):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for encoder in encoders:
                encoder.forget()
            start = time.perf_counter()
            tasks[name](query)
            seconds[name].append(time.perf_counter() - start)
    return seconds


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a task over all runs; the ratio of its medians to the first task's, with its range over runs."""

    p50: float
    p95: float
    ratio: float
    least: float
    most: float


def timings(runs: list[dict[str, list[float]]]) -> dict[str, Timing]:
    """Summarise several runs of :func:`in_turns` by task."""
    first, found = next(iter(runs[0])), {}
    for name in runs[0]:
        every = sorted(1000 * second for run in runs for second in run[name])
        ratios = [statistics.median(run[name]) / statistics.median(run[first]) for run in runs]
        p95 = every[int(0.95 * len(every))]
        found[name] = Timing(statistics.median(every), p95, statistics.median(ratios), min(ratios), max(ratios))
    return found


def report(console: Console, title: str, runs: list[dict[str, list[float]]]) -> None:
    """Print a table with one row per task."""
    table = Table(title=title, title_justify="left")
    for column in ("", "p50 ms", "p95 ms", "ratio", "min - max of ratio"):
        table.add_column(column, justify="left" if not column else "right")
    for name, one in timings(runs).items():
        spread = f"{one.least:.3f} - {one.most:.3f}"
        table.add_row(name, f"{one.p50:.2f}", f"{one.p95:.2f}", f"{one.ratio:.3f}", spread)
    console.print(table)


def main(
    db: Annotated[str | None, typer.Option(help="Database of the collection.")] = None,
    collection: Annotated[
        str | None, typer.Option(help="Collection to search, together with --data; the demo's by default.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="BEIR folder with questions for the collection.")] = None,
    repeats: int = 7,
    queries: int = 60,
    k: Annotated[int, typer.Option("-k")] = 5,
) -> None:
    """Time the demo's questions on the demo's collection, or those of --data on another."""
    console = Console()
    if collection and data:
        store = PassageStore(database(db), collection)
        texts = [query.text for query in read_beir(data).queries if query.kind == "question"][:queries]
    else:
        with passages_progress("Indexing the documentation") as progress:
            store, _, _ = index_demo(database(db), progress)
        texts = [question.text for question in load_questions()][:queries]
    encoder = store.encoder
    encoding: dict[str, Task] = {
        "backbone alone": encoder.embed_query,
        "with the bridge": partial(encoder.encode_query, bridge=store.bridge),
    }
    vanilla, vector, lsb = Retriever(store, vanilla=True), Retriever(store, rerank=0), Retriever(store)
    searching: dict[str, Task] = {
        "vanilla": partial(vanilla.search, k=k),
        "LSB, vector only": partial(vector.search, k=k),
        "LexSemBridge": partial(lsb.search, k=k),
    }
    encoders = [encoder]
    in_turns({**encoding, **searching}, texts[:10])  # warm up
    console.print(f"{len(store)} passages, {len(texts)} queries, {repeats} repeats, {threads()} threads")
    report(console, "Encoding a query", [in_turns(encoding, texts, encoders) for _ in range(repeats)])
    report(console, f"Searching, k = {k}", [in_turns(searching, texts, encoders) for _ in range(repeats)])
    report(console, "Searching again, the query kept", [in_turns(searching, texts) for _ in range(repeats)])


if __name__ == "__main__":
    typer.run(main)
