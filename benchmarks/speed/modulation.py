"""Compare the modulation alone with the dense formulation: time and peak extra memory for 64 queries.

The dense formulation scatters the weights into |V| numbers per query (for LLR |V| per token, then the maximum) and
multiplies them by the whole |V| x d layer. CLR is compared with the time of the backbone.

    python -m benchmarks.speed.modulation [--repeats 7]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lsb_rag import LearnedBridge, LexSemBridgeEncoder
from lsb_rag.demo.questions import load_questions

QUERIES = 64
SIZES = (30_522, 122_088)


def tensors(vocabulary: int) -> tuple[Tensor, Tensor, Tensor, LearnedBridge]:
    """Return hidden states, ids, counted positions and a bridge for 64 queries of 32 tokens."""
    torch.manual_seed(0)
    bridge = LearnedBridge(vocabulary, 384)
    torch.nn.init.normal_(bridge.weight)
    ids = torch.randint(1000, vocabulary, (QUERIES, 32))
    return torch.randn(QUERIES, 32, 384), ids, torch.ones(QUERIES, 32, dtype=torch.bool), bridge


def sparse(paradigm: str, hidden: Tensor, ids: Tensor, counted: Tensor, bridge: LearnedBridge) -> Tensor:
    """Compute what the library does."""
    from lsb_rag.bridge.weighting import Learned, Statistical

    weighting = Learned(384) if paradigm == "llr" else Statistical()
    return bridge(weighting(hidden, ids, counted))


def dense(paradigm: str, hidden: Tensor, ids: Tensor, counted: Tensor, bridge: LearnedBridge) -> Tensor:
    """Compute the formula as it is written."""
    vocabulary = bridge.weight.shape[0]
    if paradigm == "slr":
        w = torch.zeros(QUERIES, vocabulary).scatter_(1, ids, counted.float())
    else:
        scores = torch.relu(hidden.sum(dim=2) * 0 + 1) * counted
        w = torch.zeros(QUERIES, ids.shape[1], vocabulary).scatter_(2, ids[..., None], scores[..., None]).amax(dim=1)
    return w @ bridge.weight + bridge.bias


def peak(kind: str, paradigm: str, vocabulary: int) -> float:
    """Return the peak extra memory in MB of one formulation, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.modulation", "--measure", f"{kind},{paradigm},{vocabulary}"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603


def measure(kind: str, paradigm: str, vocabulary: int) -> None:
    """Print by how much one call raises the peak resident memory (Linux)."""
    inputs = tensors(vocabulary)
    work = sparse if kind == "sparse" else dense
    with torch.inference_mode():
        work(paradigm, *tensors(2000))  # do not count what a first call loads
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = resident("VmRSS")
        work(paradigm, *inputs)
    print(resident("VmHWM") - before)


def resident(field: str) -> float:
    """Return a field of this process's memory status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def ratios(
    one: Callable[[], Any], other: Callable[[], Any], repeats: int, calls: int = 5
) -> tuple[float, float, list[float]]:
    """Return the median seconds of two calls that take turns, and the ratio of medians of each repeat."""
    firsts: list[float] = []
    seconds: list[float] = []
    found = []
    for _ in range(repeats):
        a, b = [], []
        for _ in range(calls):
            for times, work in ((a, one), (b, other)):
                start = time.perf_counter()
                work()
                times.append(time.perf_counter() - start)
        firsts += a
        seconds += b
        found.append(statistics.median(a) / statistics.median(b))
    return statistics.median(firsts), statistics.median(seconds), found


def main(repeats: int = 7, measure_only: str = typer.Option("", "--measure", hidden=True)) -> None:
    """Compare both formulations, then CLR with the backbone, and print tables."""
    if measure_only:
        kind, paradigm, vocabulary = measure_only.split(",")
        measure(kind, paradigm, int(vocabulary))
        return
    console = Console()
    console.print(f"{QUERIES} queries of 32 tokens, d = 384, {repeats} repeats, {torch.get_num_threads()} threads")
    table = Table(title="Weights and bridge, ours against dense", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("", "|V|", "ours ms", "dense ms", "ratio", "min - max", "ours MB", "dense MB"):
        table.add_column(column, justify="right", no_wrap=True)
    with torch.inference_mode():
        for paradigm in ("slr", "llr"):
            for vocabulary in SIZES:
                inputs = tensors(vocabulary)
                slow, fast, found = ratios(
                    lambda p=paradigm, i=inputs: dense(p, *i), lambda p=paradigm, i=inputs: sparse(p, *i), repeats
                )
                table.add_row(
                    paradigm,
                    str(vocabulary),
                    f"{1000 * fast:.2f}",
                    f"{1000 * slow:.1f}",
                    f"{statistics.median(found):.1f}",
                    f"{min(found):.0f} - {max(found):.0f}",
                    f"{peak('sparse', paradigm, vocabulary):.1f}",
                    f"{peak('dense', paradigm, vocabulary):.1f}",
                )
    console.print(table)
    texts = [question.text for question in load_questions()][:QUERIES]
    table = Table(title="Encoding 64 queries with CLR, against the backbone alone", title_justify="left")
    for column in ("", "backbone ms", "CLR ms", "ratio", "min - max"):
        table.add_column(column, justify="right")
    for top_k in (None, 128):
        encoder = LexSemBridgeEncoder(paradigm="clr", units="wordpieces", fusion="product", top_k=top_k, device="cpu")
        bridge = LearnedBridge(encoder.modulation.vocabulary_size, encoder.dimension)
        torch.nn.init.normal_(bridge.weight)
        encoder.bridge = bridge
        encoder.encode_query(texts)
        clr, alone, found = ratios(
            lambda e=encoder: e.encode_query(texts, batch_size=QUERIES),
            lambda e=encoder: e.embed_query(texts, batch_size=QUERIES),
            repeats,
            calls=3,
        )
        label = "all weights" if top_k is None else f"top {top_k}"
        spread = f"{min(found):.2f} - {max(found):.2f}"
        table.add_row(label, f"{1000 * alone:.0f}", f"{1000 * clr:.0f}", f"{statistics.median(found):.2f}", spread)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
