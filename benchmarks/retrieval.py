"""Every arm on a BEIR folder whose queries carry ``metadata.kind``: means by kind and differences to vanilla.

    python benchmarks/retrieval.py FOLDER [--limit N] [--db FOLDER]

The collection is kept in the database (a temporary one by default), so a second run does not embed again.
"""

from __future__ import annotations

import csv
import json
import random
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lsb_rag import PassageStore
from lsb_rag.console import passages_progress, steps_progress
from lsb_rag.demo.show import show_summary
from lsb_rag.evaluation import Query, compare
from lsb_rag.reading import read_passages


def judged_queries(folder: Path) -> tuple[list[Query], dict[str, dict[str, int]]]:
    """Queries that have a relevant passage, and their judgements."""
    qrels: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            if int(row["score"]) > 0:
                qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    queries = []
    for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["_id"] in qrels:
            queries.append(Query(row["_id"], row["text"], row.get("metadata", {}).get("kind", "question")))
    return queries, qrels


def main(
    folder: Path,
    limit: Annotated[int, typer.Option(help="Queries of each kind, drawn by a fixed seed; 0: all.")] = 0,
    db: Annotated[Path | None, typer.Option(help="Database to keep the collection in.")] = None,
) -> None:
    """Index the corpus with the embedded backbone and compare."""
    queries, qrels = judged_queries(folder)
    if limit:
        drawn = random.Random(0).sample(queries, len(queries))  # noqa: S311 - a reproducible draw
        kinds = dict.fromkeys(query.kind for query in queries)
        queries = [query for kind in kinds for query in [q for q in drawn if q.kind == kind][:limit]]
    with tempfile.TemporaryDirectory() as temporary:
        store = PassageStore(db or temporary, f"beir-{folder.name}")  # Chroma wants at least 3 characters
        with passages_progress("Indexing") as progress:
            store.add(read_passages(folder), progress=progress)
        with steps_progress("Comparing") as step:
            comparisons = compare(store, queries, qrels, progress=step)
        console = Console()
        console.print(f"{folder.name}: {len(store)} passages, statistics {store.statistics_bytes / 1e6:.1f} MB")
        show_summary(console, comparisons)


if __name__ == "__main__":
    typer.run(main)
