"""Measure passages per second: ``encode_document`` against the embedding classes of LangChain and LlamaIndex.

    pip install langchain-huggingface llama-index-embeddings-huggingface
    python -m benchmarks.speed.indexing [--passages 2000] [--repeats 5] [--data BEIR_FOLDER]

All use the same backbone in one process. The passages are dealt into one part per repeat; all embed each part in turns,
and a ratio compares rates on the same part. Loading, and the export, are not timed. By default the passages are the
demo's, the documentation of Python's standard library, of mixed length. To imitate a processor without AVX512-BF16, as
far as the libraries heed it, run

    ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.speed.indexing
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.demo.corpus import build_demo_corpus
from lsb_rag.reading import read_passages

Embed = Callable[[list[str]], Any]
WARM_UP = 64


def chosen_texts(data: Path | None, limit: int) -> list[str]:
    """Return `limit` passages drawn at random, the same on every call."""
    passages = read_passages(data) if data else build_demo_corpus()
    return random.Random(0).sample([passage.content for passage in passages], limit)  # noqa: S311


def ours() -> dict[str, Embed]:
    """Return our encoders by the engines and precisions of this machine."""
    encoders = [
        LexSemBridgeEncoder(load_backbone(device="cpu")),
        LexSemBridgeEncoder(device="cpu", precision="float32"),
        LexSemBridgeEncoder(device="cpu", precision="auto"),
    ]
    return {f"lsb-rag, {encoder.computation}": encoder.encode_document for encoder in encoders}


def main(
    passages: int = 2000,
    repeats: int = 5,
    data: Annotated[Path | None, typer.Option(help="BEIR folder with other passages.")] = None,
) -> None:
    """Time all embedding functions and compare their vectors."""
    try:
        from langchain_huggingface import HuggingFaceEmbeddings
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
    except ImportError as error:
        raise SystemExit(f"{error}; pip install langchain-huggingface llama-index-embeddings-huggingface") from error

    texts, folder = chosen_texts(data, passages), str(embedded_backbone())
    langchain = HuggingFaceEmbeddings(model_name=folder, model_kwargs={"device": "cpu"})
    llama_index = HuggingFaceEmbedding(model_name=folder, device="cpu")
    tasks: dict[str, Embed] = {
        "LangChain, HuggingFaceEmbeddings": langchain.embed_documents,
        "LlamaIndex, HuggingFaceEmbedding": llama_index.get_text_embedding_batch,
    }
    tasks |= ours()
    names = list(tasks)
    for name in names:  # warm up
        tasks[name](texts[:WARM_UP])
    vectors = {name: np.asarray(embed(texts[:64])) for name, embed in tasks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in track(range(repeats * len(tasks)), "Embedding"):
        part, place = divmod(turn, len(tasks))
        name = names[(place + part) % len(tasks)]  # each goes first equally often
        started = time.perf_counter()
        tasks[name](texts[part::repeats])
        seconds[name].append(time.perf_counter() - started)
    lengths = sorted(len(text.split()) for text in texts)
    console = Console(width=150)
    console.print(
        f"{len(texts)} passages of {lengths[len(lengths) // 20]} - {lengths[-len(lengths) // 20]} words (5 - 95 %), "
        f"{repeats} repeats, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    )
    table = Table()
    for column in ("", "passages/s", "x LangChain (spread)", "x LlamaIndex (spread)", "lowest cosine to LangChain's"):
        table.add_column(column, justify="right" if column else "left", no_wrap=not column)
    first, second = names[:2]
    for name in tasks:
        row = [name, f"{len(texts) / sum(seconds[name]):.1f}"]
        for other in (first, second):
            ratios = [theirs / mine for theirs, mine in zip(seconds[other], seconds[name], strict=True)]
            row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})")
        table.add_row(*row, f"{(vectors[name] * vectors[first]).sum(axis=1).min():.6f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
