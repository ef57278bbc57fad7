"""Ranking with passages embedded in reduced precision against float32: nDCG@10, the same queries, by question.

python benchmarks/precision_quality.py BEIR_FOLDER ... [--precision auto]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.console import passages_progress
from lsb_rag.evaluation import paired_difference, per_query, read_beir
from lsb_rag.reading import read_passages

ARMS: dict[str, Any] = {"vanilla": {"vanilla": True}, "lsb-vector": {"rerank": 0}, "lsb": {}}
MEASURE = "ndcg@10"


def main(
    folders: Annotated[list[Path], typer.Argument(help="BEIR folders.")],
    precision: Annotated[str, typer.Option(help="What to compare with float32.")] = "auto",
) -> None:
    """Index each corpus in both, search both with the same queries, compare query by query."""
    console = Console(width=150)
    table = Table()
    for column in ("corpus", "queries", "n", "arm", "float32", precision, "difference [95 %]", "same first hit"):
        table.add_column(column)
    for folder in folders:
        data, passages = read_beir(folder), read_passages(folder)
        kinds = sorted({query.kind for query in data.queries})
        scores: dict[str, dict[str, dict[str, float]]] = {}
        found: dict[str, dict[str, dict[str, list[str]]]] = {}
        for one in ("float32", precision):
            encoder = LexSemBridgeEncoder(precision=one)  # type: ignore[arg-type]
            store = PassageStore.in_memory(encoder)
            with passages_progress(f"{folder.name}, {encoder.computation}") as progress:
                store.add(passages, progress=progress)
            found[one], scores[one] = {}, {}
            for arm, options in ARMS.items():
                hits = Retriever(store, **options).search_batch([query.text for query in data.queries], k=10)
                rankings = {
                    query.id: [hit.id for hit in ranking] for query, ranking in zip(data.queries, hits, strict=True)
                }
                found[one][arm], scores[one][arm] = rankings, per_query(data.qrels, rankings, [MEASURE])[MEASURE]
        for kind in kinds:
            ids = [query.id for query in data.queries if query.kind == kind]
            for arm in ARMS:
                theirs, ours = ({id: scores[one][arm][id] for id in ids} for one in ("float32", precision))
                difference = paired_difference(ours, theirs)
                same = sum(found["float32"][arm][id][:1] == found[precision][arm][id][:1] for id in ids)
                table.add_row(
                    folder.name,
                    kind,
                    str(len(ids)),
                    arm,
                    f"{sum(theirs.values()) / len(ids):.4f}",
                    f"{sum(ours.values()) / len(ids):.4f}",
                    f"{difference.delta:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]",
                    f"{same / len(ids):.1%}",
                )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
