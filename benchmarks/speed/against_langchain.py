"""Measure LexSemBridge against LangChain's vanilla retriever over the same collection: queries, and whole processes.

    pip install langchain-huggingface langchain-chroma
    OMP_NUM_THREADS=1 python -m benchmarks.speed.against_langchain [--size 100000] [--repeats 7] [--starts 5]

The collection is the demo's. With a larger --size, passages are made of its own: their words shuffled, a number added,
their vectors moved by noise. Queries take turns in one process, programs in fresh ones; ratios are medians of pairs.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.speed.query_encoding import Task, in_turns, timings
from lsb_rag import Passage, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.cli.console import passages_progress
from lsb_rag.demo.corpus import build_demo_corpus
from lsb_rag.demo.questions import load_questions

NAME = "passages"
QUERY = "what does shutil.SameFileError mean"
NOISE = 0.7
"""Length of what a made passage's vector is moved by; that of the vector is 1."""
BATCH = 5000

VANILLA = """
from langchain_chroma import Chroma
from langchain_huggingface import HuggingFaceEmbeddings
embeddings = HuggingFaceEmbeddings(model_name={model!r}, model_kwargs={{"device": "cpu"}})
store = Chroma("{name}", embeddings, persist_directory={db!r})
assert store.as_retriever(search_kwargs={{"k": 5}}).invoke({query!r})
"""
OURS = """
from lsb_rag import PassageStore, Retriever
assert Retriever(PassageStore({db!r}, "{name}")).search({query!r})
"""
IN_LANGCHAIN = """
from langchain_lexsembridge import LexSemBridgeRetriever
assert LexSemBridgeRetriever.from_chroma({db!r}, "{name}", k=5).invoke({query!r})
"""


def collection(folder: str, size: int) -> PassageStore:
    """Return the demo's passages in a new collection, and made ones up to `size`."""
    passages = build_demo_corpus()
    store = PassageStore(folder, NAME)
    with passages_progress("Indexing the documentation") as progress:
        store.add(passages, progress=progress)
    draw, noise = random.Random(0), np.random.default_rng(0)  # noqa: S311
    rows = store.vectors([passage.id for passage in passages])
    for begin in track(range(len(passages), size, BATCH), "Making passages"):
        numbers = range(begin, min(begin + BATCH, size))
        texts = [shuffled(passages[number % len(passages)], number, draw) for number in numbers]
        moved = rows[[number % len(passages) for number in numbers]]
        moved = moved + NOISE * noise.normal(size=moved.shape, scale=moved.shape[1] ** -0.5)
        vectors: Any = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
        store.collection.add([f"made {number}" for number in numbers], vectors, documents=texts)
    store.refresh()
    return store


def shuffled(passage: Passage, number: int, draw: random.Random) -> str:
    """Return a passage's words in another order, with a number."""
    words = passage.text.split()
    return " ".join([*draw.sample(words, len(words)), f"E-{number}"])


def queries(store: PassageStore, folder: str, repeats: int, console: Console) -> None:
    """Print the milliseconds of queries in one process."""
    from langchain_chroma import Chroma
    from langchain_huggingface import HuggingFaceEmbeddings
    from sentence_transformers import SentenceTransformer

    model = str(embedded_backbone())
    plain = SentenceTransformer(model, device="cpu")
    embeddings = HuggingFaceEmbeddings(model_name=model, model_kwargs={"device": "cpu"})
    vanilla = Chroma(NAME, embeddings, persist_directory=folder).as_retriever(search_kwargs={"k": 5})
    encoding: dict[str, Task] = {
        "sentence-transformers alone": plain.encode_query,
        "with the bridge": partial(store.encoder.encode_query, bridge=store.bridge),
    }
    searching: dict[str, Task] = {
        "LangChain's Chroma.as_retriever()": vanilla.invoke,
        "LexSemBridge, vector only": partial(Retriever(store, rerank=0).search, k=5),
        "LexSemBridge": partial(Retriever(store).search, k=5),
    }
    texts = [question.text for question in load_questions()][:60]
    in_turns({**encoding, **searching}, texts[:10])  # warm up
    for title, tasks in (("Encoding a query", encoding), ("Searching, k = 5", searching)):
        runs = [in_turns(tasks, texts, [store.encoder]) for _ in range(repeats)]
        table = Table(title=title, title_justify="left")
        for column in ("", "p50 ms", "p95 ms", "ratio", "min - max of ratio"):
            table.add_column(column, justify="right" if column else "left")
        for name, one in timings(runs).items():
            spread = f"{one.least:.2f} - {one.most:.2f}"
            table.add_row(name, f"{one.p50:.2f}", f"{one.p95:.2f}", f"{one.ratio:.2f}", spread)
        console.print(table)


def processes(folder: str, starts: int, console: Console) -> None:
    """Print the seconds and the memory of programs that answer one query."""
    given: dict[str, Any] = {"db": folder, "name": NAME, "query": QUERY, "model": str(embedded_backbone())}
    python = [sys.executable, "-c"]
    programs = {
        "a script of LangChain's vanilla retriever": [*python, VANILLA.format(**given)],
        "a script of lsb_rag": [*python, OURS.format(**given)],
        "a script of langchain_lexsembridge": [*python, IN_LANGCHAIN.format(**given)],
        "lsb-rag search": [sys.executable, "-m", "lsb_rag", "search", QUERY, "--db", folder, "-c", NAME],
        "import chromadb, for comparison": [*python, "import chromadb"],
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for name in track(list(programs) * (starts + 1), "Starting"):
        taken[name].append(run(programs[name]))
    table = Table(title="Whole processes; the first start of each is left out", title_justify="left")
    for column in ("", "seconds", "ratio", "min - max of ratio", "peak MB", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    first = taken[next(iter(programs))][1:]
    for name, measured in taken.items():
        pairs = list(zip(measured[1:], first, strict=True))
        ratios = [mine[0] / theirs[0] for mine, theirs in pairs]
        table.add_row(
            name,
            f"{statistics.median(mine[0] for mine, _ in pairs):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f} - {max(ratios):.2f}",
            f"{statistics.median(mine[1] for mine, _ in pairs):.0f}",
            f"{statistics.median(mine[1] / theirs[1] for mine, theirs in pairs):.2f}",
        )
    console.print(table)


def run(command: list[str]) -> tuple[float, float]:
    """Return the seconds and the peak of memory, in MB, of a program.

    What the kernel reports of a child counts what its parent had, so the peak is read while it runs.
    """
    started = time.perf_counter()
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)  # noqa: S603
    peak = 0.0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        peak = float(found[0]) / 1024 if found else peak
        time.sleep(0.01)
    assert process.returncode == 0, command
    return time.perf_counter() - started, peak


def main(
    size: Annotated[int, typer.Option(help="Passages; those beyond the demo's are made.")] = 0,
    repeats: int = 7,
    starts: int = 5,
) -> None:
    """Measure queries and programs."""
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        folder = str(Path(temporary) / "db")
        store = collection(folder, size)
        console.print(f"{len(store):,} passages, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}")
        if repeats:
            queries(store, folder, repeats, console)
        store.close()
        if starts:
            processes(folder, starts, console)


if __name__ == "__main__":
    typer.run(main)
