"""Load a Chroma server with many clients while one writer adds: errors, latency, searches per second, memory.

    OMP_NUM_THREADS=1 python -m benchmarks.server.server_load --clients 16 --seconds 60

Clients are threads of one process, as in a service; 16 processes would hold 16 backbones. They search with LexSemBridge
and its rerank, and in turns with the backbone's vector through chromadb alone, for `--seconds` in total each way. The
server listens on loopback; collection and statistics are in a temporary folder. The passages are docstrings of the
packages installed beside this project, the queries four rare words of a passage. The exit code is 1 after any error.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from benchmarks.installed_docs import installed_passages
from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from tests.chroma_server import chroma_server, url_of

K = 5
WORDS = 4
ADDED = 8
"""Passages per call of the writer."""
PAUSE_SECONDS = 0.5
"""Pause between two calls of the writer."""
SLICE_SECONDS = 10.0
"""Approximate length of a turn of one kind of search."""
MB = 1e6

Search = Callable[[str], int]
"""From a query to the number of passages found."""


@dataclass
class Outcome:
    """Results of one kind of search."""

    seconds: list[float] = field(default_factory=list)
    """Duration of each search."""
    rates: list[float] = field(default_factory=list)
    """Searches per second in each turn."""


def give_back() -> None:
    """Make glibc release free memory, of which its arenas keep hundreds of MB; do nothing elsewhere."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclass
class Memory:
    """Resident memory of processes, one value per turn."""

    processes: list[psutil.Process]
    at: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)

    def look(self, now: float) -> None:
        """Record the current value."""
        self.at.append(now)
        self.bytes.append(sum(process.memory_info().rss for process in self.processes))

    def row(self) -> list[str]:
        """Return the values at the beginning, middle and end, and the slope per minute over the second half."""
        half = len(self.at) // 2
        slope = np.polyfit(self.at[half:], self.bytes[half:], 1)[0] if len(self.at) > half + 1 else 0.0
        shown = [f"{self.bytes[place] / MB:.0f} MB" for place in (0, half, -1)]
        return [*shown, f"{60 * slope / MB:+.1f} MB"]


def clients_at_once(search: Search, queries: Sequence[str], clients: int, seconds: float, errors: list[str]) -> Outcome:
    """Search for `seconds` in `clients` threads, each going through the queries from a place of its own."""
    outcome, started = Outcome(), time.monotonic()

    def client(number: int) -> None:
        turn = number * len(queries) // clients
        while time.monotonic() - started < seconds:
            before = time.perf_counter()
            try:
                found = search(queries[turn % len(queries)])
                if found != K:
                    errors.append(f"{found} passages in place of {K}")
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
            outcome.seconds.append(time.perf_counter() - before)
            turn += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    outcome.rates.append(len(outcome.seconds) / (time.monotonic() - started))
    return outcome


def rare_words(texts: Sequence[str], encoder: LexSemBridgeEncoder, store: PassageStore) -> list[str]:
    """Return the rarest words of each text."""
    bridge = store.bridge.statistics
    return [
        " ".join(sorted(set(encoder.analyze(text)), key=lambda word: (bridge.df(word), word))[:WORDS]) for text in texts
    ]


def main(clients: int = 16, seconds: float = 60, passages: int = 2000) -> None:
    """Index, load the server with both kinds of search in turns, and print the results."""
    console, errors, encoder = Console(width=120), [], LexSemBridgeEncoder(device="cpu")
    texts = installed_passages(passages + int(2 * seconds / PAUSE_SECONDS + 1) * ADDED)
    with tempfile.TemporaryDirectory() as folder, chroma_server(Path(folder) / "db") as (client, server):
        os.environ["XDG_CACHE_HOME"] = folder
        store = PassageStore(url_of(client), "load", encoder)
        with Bar(console=console) as bar:
            task = bar.add_task("Indexing", total=passages)
            store.add(texts[:passages], progress=lambda done, _: bar.update(task, completed=done))
        retriever, plain = Retriever(store), client.get_collection("load", embedding_function=None)

        def vanilla(query: str) -> int:
            vector = encoder.model.encode([query], normalize_embeddings=True, show_progress_bar=False)
            return len(plain.query(query_embeddings=vector, n_results=K)["ids"][0])

        searches: dict[str, Search] = {
            "LexSemBridge": lambda query: len(retriever.search(query, K)),
            "chromadb alone": vanilla,
        }
        queries = rare_words(texts[: min(passages, 500)], encoder, store)
        outcomes = {name: Outcome() for name in searches}
        serving = psutil.Process(server.pid)
        memories = {
            "clients": Memory([psutil.Process()]),
            "server": Memory([serving, *serving.children(recursive=True)]),
        }
        over, started, added = threading.Event(), time.monotonic(), [0]

        def write() -> None:
            for start in range(passages, len(texts), ADDED):
                if over.wait(PAUSE_SECONDS):
                    return
                try:
                    added[0] += store.add(texts[start : start + ADDED])
                except Exception as error:
                    errors.append(f"{type(error).__name__}: {error}")

        with ThreadPoolExecutor(2) as pool, Bar(console=console) as bar:
            for search in searches.values():  # warm up
                clients_at_once(search, queries, clients, 1.0, errors)
            pool.submit(write)
            task = bar.add_task("Searching", total=2 * seconds)

            def watch() -> None:
                while not over.wait(1):
                    bar.update(task, completed=time.monotonic() - started)

            pool.submit(watch)
            turns = max(1, round(seconds / SLICE_SECONDS))
            for turn in range(turns):
                for name in list(searches)[:: 1 if turn % 2 == 0 else -1]:
                    one = clients_at_once(searches[name], queries, clients, seconds / turns, errors)
                    outcomes[name].seconds += one.seconds
                    outcomes[name].rates += one.rates
                    give_back()
                    for memory in memories.values():
                        memory.look(time.monotonic() - started)
            over.set()
        report(console, outcomes, memories, f"{clients} clients, {passages:,} passages, {added[0]:,} added meanwhile")
    console.print(f"{len(errors)} errors", *dict.fromkeys(errors[:5]), sep="\n")
    raise typer.Exit(1 if errors else 0)


def report(console: Console, outcomes: dict[str, Outcome], memories: dict[str, Memory], title: str) -> None:
    """Print both tables and the ratio of the two kinds of search."""
    table = Table(title=title)
    for column in ("", "searches", "a second", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right" if column else "left")
    for name, outcome in outcomes.items():
        cuts = [1000 * value for value in np.percentile(outcome.seconds, [50, 95, 99])]
        rate = statistics.mean(outcome.rates)
        table.add_row(name, f"{len(outcome.seconds):,}", f"{rate:.1f}", *(f"{value:.0f}" for value in cuts))
    console.print(table)
    ours, theirs = outcomes.values()
    ratios = [one / other for one, other in zip(ours.rates, theirs.rates, strict=True)]
    console.print(
        f"searches a second, LexSemBridge / chromadb alone: {statistics.median(ratios):.2f} "
        f"[{min(ratios):.2f}, {max(ratios):.2f}] over {len(ratios)} turns"
    )
    table = Table(title="resident memory after each turn, the clients' without what malloc keeps")
    for column in ("", "beginning", "middle", "end", "slope of the second half, a minute"):
        table.add_column(column, justify="right" if column else "left")
    for name, memory in memories.items():
        table.add_row(name, *memory.row())
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
