"""Compare ranking with passages embedded in reduced precision and in float32: nDCG@10, paired by query.

python -m benchmarks.quality.precision_quality BEIR_FOLDER ... [--precision auto]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.cli.console import passages_progress
from lsb_rag.evaluation import paired_difference, per_query, read_beir
from lsb_rag.reading import read_passages

ARMS = {"vanilla": 0.0, "lsb-vector": None}
"""Strength by name; None is the default."""
MEASURE = "ndcg@10"


def main(
    folders: Annotated[list[Path], typer.Argument(help="BEIR folders.")],
    precision: Annotated[str, typer.Option(help="Precision to compare with float32.")] = "auto",
) -> None:
    """Embed each corpus in both precisions, search exactly with the same queries, and compare query by query."""
    console = Console(width=150)
    for folder in folders:
        table = Table(title=folder.name)
        for column in ("queries", "n", "arm", "float32", precision, "difference [95 %]", "same first hit"):
            table.add_column(column)
        data, passages = read_beir(folder), read_passages(folder)
        kinds = sorted({query.kind for query in data.queries})
        scores: dict[str, dict[str, dict[str, float]]] = {}
        found: dict[str, dict[str, dict[str, list[str]]]] = {}
        for one in ("float32", precision):
            store = PassageStore.in_memory(LexSemBridgeEncoder(precision=one))  # type: ignore[arg-type]
            with passages_progress(f"{folder.name}, {store.encoder.computation}") as progress:
                store.add(passages, progress=progress)
            ids, texts = np.array(store.ids()), [query.text for query in data.queries]
            rows = store.vectors(ids.tolist())
            found[one], scores[one] = {}, {}
            for arm, strength in ARMS.items():
                similar = store.encoder.encode_query(texts, bridge=store.bridge, strength=strength) @ rows.T
                best = ids[np.argsort(-similar, axis=1, kind="stable")[:, :10]].tolist()
                rankings = {query.id: ranking for query, ranking in zip(data.queries, best, strict=True)}
                found[one][arm], scores[one][arm] = rankings, per_query(data.qrels, rankings, [MEASURE])[MEASURE]
        for kind in kinds:
            ids = [query.id for query in data.queries if query.kind == kind]
            for arm in ARMS:
                theirs, ours = ({id: scores[one][arm][id] for id in ids} for one in ("float32", precision))
                difference = paired_difference(ours, theirs)
                same = sum(found["float32"][arm][id][:1] == found[precision][arm][id][:1] for id in ids)
                table.add_row(
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
