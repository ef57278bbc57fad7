"""Add, update, delete and search at random on a Chroma server that is killed and restarted meanwhile.

    python -m benchmarks.server.soak --seconds 300 --restarts 2

At the end the collection and its statistics must agree with a model in memory: a plain dict of the passages, and
statistics fitted to it from scratch. The server listens on loopback; collection and statistics are in a temporary
folder.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress as Bar

from benchmarks.installed_docs import installed_passages
from lsb_rag import CorpusStatistics, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import StoreError
from lsb_rag.statistics.base import at_unit_length
from tests.chroma_server import chroma_server, free_port
from tests.statistics.test_in_memory import assert_same

SEED = 2508
NAME = "soak"
WRITERS = 2
"""Threads, each with ids of its own, so that the final content does not depend on who was first."""
PASSAGES = 400
"""Ids per writer: few enough to be replaced and deleted often."""
BATCH = 16
K = 10
AGAIN_SECONDS = 120.0
"""How long to retry a call while the server is away: longer than a restart takes."""

Result = TypeVar("Result")


class Writer:
    """Random calls of one writer, and a model of what they store.

    :param number: Number of the writer, the first part of its ids.
    """

    def __init__(self, number: int, url: str, encoder: LexSemBridgeEncoder, texts: Sequence[str], seed: int) -> None:
        self.model: dict[str, Passage] = {}
        """Passages that must be stored at the end, by id."""
        self.done: Counter[str] = Counter()
        """Number of times each call was made."""
        self._number, self._url, self._encoder, self._texts = number, url, encoder, texts
        self._random = random.Random(seed + number)  # noqa: S311
        self._open()

    def work(self) -> None:
        """Make one call."""
        calls = [self._add, self._add, self._update, self._update, self._relabel, self._delete, self._delete_kind]
        call = self._random.choice([*calls, *[self._search] * 6, self._open])
        call()
        self.done[call.__name__.lstrip("_")] += 1

    def _open(self) -> None:
        self._store = _again(lambda: PassageStore(self._url, NAME, self._encoder))
        self._retriever = Retriever(self._store)

    def _passage(self, id: str) -> Passage:
        kind = {"kind": self._random.choice("abcdef")} if self._random.random() < 0.8 else {}
        title = self._random.choice(["", "", "a title", "E-4012"])
        return Passage(self._random.choice(self._texts), id, title, {"writer": self._number, **kind})

    def _put(self, passages: list[Passage]) -> None:
        _again(lambda: self._store.add(passages))
        self.model.update((passage.id, passage) for passage in passages)

    def _chosen(self) -> list[str]:
        return self._random.sample(list(self.model), min(len(self.model), self._random.randint(1, BATCH)))

    def _add(self) -> None:
        numbers = self._random.sample(range(PASSAGES), self._random.randint(1, BATCH))
        self._put([self._passage(f"{self._number}-{number}") for number in numbers])

    def _update(self) -> None:
        self._put([self._passage(id) for id in self._chosen()])

    def _relabel(self) -> None:
        kept = [self.model[id] for id in self._chosen()]
        self._put([Passage(one.text, one.id, one.title, {**self._passage(one.id).metadata}) for one in kept])

    def _delete(self) -> None:
        ids = self._chosen()
        _again(lambda: self._store.delete([*ids, "unknown"]))
        for id in ids:
            del self.model[id]

    def _delete_kind(self) -> None:
        kind = self._random.choice("abcdef")
        _again(lambda: self._store.delete(where={"$and": [{"writer": self._number}, {"kind": kind}]}))
        self.model = {id: one for id, one in self.model.items() if one.metadata.get("kind") != kind}

    def _search(self) -> None:
        query = " ".join(self._random.choice(self._texts).split()[:8])
        where = {"writer": self._number} if self._random.random() < 0.5 else None
        hits = _again(lambda: self._retriever.search(query, K, where=where))
        for hit in hits:  # this writer's passages are as it wrote them last
            if where or hit.metadata.get("writer") == self._number:
                assert hit.text == self.model[hit.id].content, f"{hit.id} is not what was written last"


def _again(call: Callable[[], Result]) -> Result:
    """Make a call, and retry it while the server is away."""
    deadline = time.monotonic() + AGAIN_SECONDS
    while True:
        try:
            return call()
        except StoreError as error:
            if "does not answer" not in str(error) or time.monotonic() > deadline:
                raise


@contextmanager
def restarted_server(folder: Path, seconds: float, restarts: int) -> Iterator[str]:
    """Run a server over `folder`, kill and restart it `restarts` times in `seconds`, and yield its address."""
    port, up, over = free_port(), threading.Event(), threading.Event()

    def run() -> None:
        for leg in range(restarts + 1):
            with chroma_server(folder, port=port):  # killed on exit
                up.set()
                over.wait(seconds / (restarts + 1) if leg < restarts else None)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            while not up.wait(0.1):
                if running.done():
                    running.result()
            yield f"http://127.0.0.1:{port}"
        finally:
            over.set()
        running.result()


def soak(
    folder: Path,
    encoder: LexSemBridgeEncoder,
    texts: Sequence[str],
    seconds: float,
    restarts: int,
    *,
    seed: int = SEED,
    progress: Callable[[float], None] = lambda elapsed: None,
) -> Counter[str]:
    """Work for `seconds` with `restarts` restarts, then compare with the model.

    The statistics go to the user's cache: set ``XDG_CACHE_HOME`` to put them elsewhere.

    :return: The number of times each call was made.
    :raises AssertionError: If the collection or its statistics differ from the model.
    """
    with restarted_server(folder, seconds, restarts) as url:
        writers = [Writer(number, url, encoder, texts, seed) for number in range(WRITERS)]
        started, stop = time.monotonic(), threading.Event()

        def work(writer: Writer) -> None:
            try:
                while not stop.is_set() and time.monotonic() - started < seconds:
                    writer.work()
            finally:
                stop.set()

        with ThreadPoolExecutor(WRITERS) as pool:
            working: list[Future[None]] = [pool.submit(work, writer) for writer in writers]
            while not stop.wait(0.5):
                progress(time.monotonic() - started)
        for one in working:
            one.result()
        compare(PassageStore(url, NAME, encoder), {id: one for writer in writers for id, one in writer.model.items()})
    return sum((writer.done for writer in writers), Counter())


def compare(store: PassageStore, model: dict[str, Passage]) -> None:
    """Compare a collection and its statistics with the passages it must hold.

    :raises AssertionError: If they differ.
    """
    ids = sorted(model)
    assert sorted(store.ids()) == ids
    assert store.get(ids) == [model[id] for id in ids]
    found = store.collection.get(ids, include=["embeddings"])  # as Chroma returns them, which is how they are counted
    by_id = dict(zip(found["ids"], found["embeddings"], strict=True))
    stored = np.array([by_id[id] for id in ids]).reshape(len(ids), store.encoder.dimension)
    embedded = store.encoder.encode_document([model[id].content for id in ids])
    np.testing.assert_allclose(stored, embedded, atol=1e-5)  # batched differently, so not bit for bit
    anew = CorpusStatistics(store.encoder.dimension)
    anew.add([store.encoder.analyze(model[id].content) for id in ids], at_unit_length(stored))
    assert_same(store.bridge.statistics, anew)


def main(seconds: float = 300, restarts: int = 2, seed: int = SEED) -> None:
    """Soak a server with docstrings of installed packages."""
    texts, encoder, console = installed_passages(5000), LexSemBridgeEncoder(device="cpu"), Console()
    with tempfile.TemporaryDirectory() as folder, Bar(console=console) as bar:
        os.environ["XDG_CACHE_HOME"] = folder
        task = bar.add_task("Soaking", total=seconds)
        done = soak(
            Path(folder) / "db",
            encoder,
            texts,
            seconds,
            restarts,
            seed=seed,
            progress=lambda elapsed: bar.update(task, completed=elapsed),
        )
    calls = ", ".join(f"{name} {count:,}" for name, count in sorted(done.items()))
    console.print(f"{sum(done.values()):,} calls in {seconds:.0f} s, {restarts} restarts: {calls}. All agrees.")


if __name__ == "__main__":
    typer.run(main)
