"""Measure what `pip install lsb-rag` brings: the size of an empty environment before and after, from a built wheel.

    python -m benchmarks.speed.install_weight [--extra embedded] [--graphs FOLDER]

In it a program then indexes and searches over a function of its own. With --graphs, a folder that LSB_RAG_GRAPHS named
where all-MiniLM-L6-v2 was exported, another searches over that, without PyTorch.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

ROOT = Path(__file__).parents[2]
OVER_A_FUNCTION = """
import sys
from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
def embed(texts):
    return [[text.count(letter) + 0.1 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
store = PassageStore(sys.argv[1], "codes", LexSemBridgeEncoder(embed, name="letters"))
store.add(["E-4012: the inlet is blocked", "E-4013: the outlet is blocked", "lunch is at noon"])
assert "inlet" in Retriever(store).search("what does E-4012 mean")[0].text
"""
OVER_A_GRAPH = """
import sys
from lsb_rag import PassageStore, Retriever
store = PassageStore(sys.argv[1], "more-codes")
store.add(["E-4012: the inlet is blocked", "E-4013: the outlet is blocked", "lunch is at noon"])
assert "inlet" in Retriever(store).search("what does E-4012 mean")[0].text
"""


def megabytes(folder: Path) -> float:
    """Return the size of all files of a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def run(*command: str | Path, **environment: str) -> None:
    """Run a program, away from the sources."""
    subprocess.run([*map(str, command)], check=True, cwd="/", env=os.environ | environment)  # noqa: S603


def main(
    extra: Annotated[str, typer.Option(help="Extras to install, by commas.")] = "",
    graphs: Annotated[Path | None, typer.Option(help="Folder with the exported all-MiniLM-L6-v2.")] = None,
) -> None:
    """Build the wheel, install it and run the programs."""
    console = Console(width=120)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", ROOT)
        wheel = next((folder / "dist").glob("*.whl"))
        venv.create(folder / "env", with_pip=True)
        python = folder / "env" / "bin" / "python"
        before = megabytes(folder / "env")
        wanted = f"{wheel}[{extra}]" if extra else str(wheel)
        run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wanted)
        installed = megabytes(folder / "env") - before
        console.print(f"{wheel.name}{f'[{extra}]' if extra else ''}: {installed:,.0f} MB beside Python and pip")
        programs = [("a function of its own", OVER_A_FUNCTION, {})]
        if graphs:
            programs.append(("an exported backbone", OVER_A_GRAPH, {"LSB_RAG_GRAPHS": str(graphs.resolve())}))
        for name, program, environment in programs:
            started = time.perf_counter()
            run(python, "-c", program, folder / "db", **environment)
            console.print(f"a search over {name}: {time.perf_counter() - started:.1f} s from start to end")


if __name__ == "__main__":
    typer.run(main)
