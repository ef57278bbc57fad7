"""Time a cold start: imports and the first hit, each in fresh processes, in turns.

    python -m benchmarks.speed.cold_start [--repeats 5]

The collection is the demo's. "Backbone alone" imports sentence-transformers and loads the same weights, as any program
that embeds a query must.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.cli.console import passages_progress
from lsb_rag.cli.options import database
from lsb_rag.demo.run import collection_name, index_demo

LANGCHAIN = "from langchain_core.embeddings import Embeddings; from langchain_core.retrievers import BaseRetriever"
LLAMA_INDEX = (
    "from llama_index.core.embeddings import BaseEmbedding; from llama_index.core.retrievers import BaseRetriever"
)


def programs(db: str) -> dict[str, tuple[str, str]]:
    """Return programs by name, each with the name of the one it is compared with."""
    load = f"from sentence_transformers import SentenceTransformer as S; S({str(embedded_backbone())!r}, device='cpu')"
    search = "Retriever(PassageStore({!r}, {!r})).search('what does shutil.SameFileError mean')"
    return {
        "nothing": ("", "nothing"),
        "import lsb_rag": ("import lsb_rag", "nothing"),
        "langchain-core": (LANGCHAIN, "nothing"),
        "langchain_lexsembridge": (f"{LANGCHAIN}; import langchain_lexsembridge", "langchain-core"),
        "llama-index-core": (LLAMA_INDEX, "nothing"),
        "llama_index ... lexsembridge": (
            f"{LLAMA_INDEX}; import llama_index.embeddings.lexsembridge, llama_index.retrievers.lexsembridge",
            "llama-index-core",
        ),
        "backbone alone": (load, "backbone alone"),
        "first hit": (
            f"from lsb_rag import PassageStore, Retriever; {search.format(db, collection_name())}",
            "backbone alone",
        ),
    }


def seconds(program: str) -> float:
    """Return the seconds until the program's last statement is done, without Python's shutdown."""
    started = time.time()
    code = f"{program}\nimport os, time; print(time.time(), flush=True); os._exit(0)"
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    return float(done.stdout.split()[-1]) - started


def main(
    db: Annotated[str | None, typer.Option(help="Database for the demo's collection.")] = None, repeats: int = 5
) -> None:
    """Run each program `repeats` times, after a first run that is not counted."""
    folder = database(db)
    with passages_progress("Indexing the documentation") as progress:
        store, _, _ = index_demo(folder, progress)
    store.fit()
    del store
    tasks = programs(str(folder))
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for name in track(list(tasks) * (repeats + 1), "Starting"):
        taken[name].append(seconds(tasks[name][0]))
    table = Table(title="Seconds, median (range); the first start of each is left out")
    for column in ("", "seconds", "less", "beyond it", "ratio"):
        table.add_column(column)
    for name, (_, base) in tasks.items():
        mine, theirs = taken[name][1:], taken[base][1:]
        beyond = statistics.median(one - other for one, other in zip(mine, theirs, strict=True))
        ratio = statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
        table.add_row(
            name,
            f"{statistics.median(mine):.2f} ({min(mine):.2f} - {max(mine):.2f})",
            base,
            f"{beyond:.2f}",
            f"{ratio:.2f}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
