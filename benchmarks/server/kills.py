"""Kill processes at random moments while they index, delete, fit, adapt or evaluate, and look at what they leave.

    python -m benchmarks.server.kills --kills 50

After every kill each id is in the collection once, the statistics are those of a new fit, and the same operation, run
again, comes to what it comes to without a kill. The database is in a temporary folder.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import track

from benchmarks.installed_docs import installed_passages
from lsb_rag import CorpusStatistics, LexSemBridgeEncoder, Passage, PassageStore, Retriever, cli
from lsb_rag.statistics.base import at_unit_length
from lsb_rag.store.integrity import compare
from tests.statistics.test_in_memory import assert_same

NAME = "kills"
PASSAGES = 160
EVALUATED = 60
"""Passages of the folder that is evaluated, one question about each tenth of them."""
OPERATIONS = ("index", "delete", "fit", "adapt", "evaluate")
console = Console(stderr=True)


def passages(edition: int) -> list[Passage]:
    """Return what is indexed: every third passage differs from edition to edition."""
    texts = installed_passages(PASSAGES)
    return [Passage(f"{text} edition {edition if n % 3 else 0}", id=f"p{n}") for n, text in enumerate(texts)]


def operate(operation: str, folder: Path, edition: int) -> None:
    """Run one operation to its end."""
    store = PassageStore(folder / "db", NAME)
    if operation == "index":
        store.add(passages(edition))
    elif operation == "delete":
        store.delete([f"p{n}" for n in range(edition % 2, PASSAGES, 2)])
    elif operation == "fit":
        for file in (folder / "db" / "lsb_rag").glob("*.sqlite3*"):
            file.unlink()
        store.fit()
    elif operation == "adapt":
        command("adapt", NAME, "-n", "50", "--db", str(folder / "db"))
    else:
        places = ("--db", str(folder / "db"), "--cache", str(folder / "cache"), "--out", str(folder / "report"))
        command("evaluate", str(folder / "questions"), "--arms", "vanilla,lsb", *places)


def command(*arguments: str) -> None:
    """Run a command of lsb-rag in this process."""
    sys.argv = ["lsb-rag", *arguments]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        cli.main()


def write_questions(folder: Path) -> None:
    """Write a BEIR folder to evaluate on."""
    (folder / "qrels").mkdir(parents=True)
    corpus = passages(0)[:EVALUATED]
    rows = ({"_id": one.id, "title": "", "text": one.text} for one in corpus)
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    asked = corpus[::10]
    queries = ({"_id": f"q-{one.id}", "text": " ".join(one.text.split()[:8])} for one in asked)
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), "utf-8")
    qrels = ["query-id\tcorpus-id\tscore", *(f"q-{one.id}\t{one.id}\t1" for one in asked)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(qrels), "utf-8")


def look(folder: Path, encoder: LexSemBridgeEncoder) -> dict[str, str]:
    """Return the texts by id, after a look at ids, statistics, index and a search.

    :raises AssertionError: When something is wrong with them.
    """
    with PassageStore(folder / "db", NAME, encoder) as store:
        Retriever(store).search("a search that brings the statistics up to date")
        found = store.collection.get(include=["documents", "embeddings"])
        assert max(Counter(found["ids"]).values(), default=1) == 1
        expected = CorpusStatistics(encoder.dimension)
        for document, vector in zip(found["documents"], found["embeddings"], strict=True):
            expected.add([encoder.analyze(document)], at_unit_length(vector)[None])
        assert_same(store.bridge.statistics, expected)
    report = compare(folder / "db", NAME, sample=None)
    assert not report.problems, report.problems
    return dict(zip(found["ids"], found["documents"], strict=True))


def started(operation: str, folder: Path, edition: int) -> subprocess.Popen[str]:
    """Start a process, and return it at the moment where it begins with the operation."""
    words = [sys.executable, "-m", __spec__.name, "--child", operation, "--folder", str(folder), "--edition"]
    process = subprocess.Popen(  # noqa: S603
        [*words, str(edition)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    return process


def main(
    kills: int = typer.Option(50, help="Processes to kill."),
    seed: int = typer.Option(0, help="Of the moments."),
    child: str = typer.Option("", hidden=True),
    folder: Path = typer.Option(Path(), hidden=True),  # noqa: B008
    edition: int = typer.Option(0, hidden=True),
) -> None:
    """Kill, look, and run to the end."""
    if child:
        PassageStore(folder / "db", NAME).encoder.encode_document(["loaded"])
        print("ready", flush=True)
        sys.stdin.readline()
        operate(child, folder, edition)
        return
    dice, killed, seconds = random.Random(seed), Counter[str](), dict[str, float]()  # noqa: S311
    encoder = LexSemBridgeEncoder()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_questions(root / "questions")
        PassageStore(root / "db", NAME, encoder).close()
        for number in track(range(kills), "Killing", console=console):
            operation = OPERATIONS[number % len(OPERATIONS)]
            if operation == "delete":
                with started("index", root, number) as whole:
                    whole.wait()
            with started(operation, root, number) as process:
                time.sleep(dice.uniform(0, seconds.get(operation, 3.0)))
                killed[operation] += process.poll() is None
                process.kill()
            before = look(root, encoder)
            began = time.monotonic()
            with started(operation, root, number) as process:
                began = time.monotonic()
                process.wait()
                seconds[operation] = time.monotonic() - began
            assert process.returncode == 0, (operation, process.returncode)
            after = look(root, encoder)
            if operation == "index":
                assert after == {one.id: one.text for one in passages(number)}
            elif operation == "delete":
                assert after.keys() == {f"p{n}" for n in range(1 - number % 2, PASSAGES, 2)}
            else:
                assert after == before
    console.print(f"{killed.total()} of {kills} processes were killed at work: {dict(killed)}. Nothing was lost.")


if __name__ == "__main__":
    typer.run(main)
