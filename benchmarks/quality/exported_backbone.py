"""Compare the hits of an exported backbone with those of PyTorch, over the same collection and statistics.

    python -m benchmarks.quality.exported_backbone FOLDER ... [--limit 500] [--db DB]

Each FOLDER is in BEIR layout. The passages are embedded once; the queries by both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.graph import GraphBackbone
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.cli.console import passages_progress
from lsb_rag.evaluation import read_beir
from lsb_rag.reading import read_passages

K = 10


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders in BEIR layout.")],
    limit: Annotated[int, typer.Option(help="Queries of each folder, the first ones.")] = 500,
    db: Annotated[str | None, typer.Option(help="Folder of the database, to be used again.")] = None,
) -> None:
    """Search with both and count the differences."""
    graph, pytorch = LexSemBridgeEncoder(device="cpu"), LexSemBridgeEncoder(load_backbone(device="cpu"))
    assert isinstance(graph.backbone, GraphBackbone)
    table = Table()
    for column in ("set", "passages", "queries", "other hits", "largest difference of a score", "lowest cosine"):
        table.add_column(column, justify="right" if column != "set" else "left")
    with tempfile.TemporaryDirectory() as temporary:
        for folder in folders:
            store = PassageStore(db or temporary, f"set-{folder.name}", graph)
            with passages_progress(folder.name) as progress:
                store.add(read_passages(folder), progress=progress)
                store.fit(progress=progress)
            texts = [query.text for query in read_beir(folder).queries][:limit]
            mine = Retriever(store).search_batch(texts, K)
            vectors = graph.embed_query(texts), pytorch.embed_query(texts)
            theirs = Retriever(PassageStore(db or temporary, store.name, pytorch)).search_batch(texts, K)
            other = sum([a.id for a in one] != [b.id for b in two] for one, two in zip(mine, theirs, strict=True))
            scores = [
                abs(a.score - b.score)
                for one, two in zip(mine, theirs, strict=True)
                for a, b in zip(one, two, strict=True)
            ]
            cosine = np.einsum("ij,ij->i", *(rows.astype(np.float64) for rows in vectors)).min()
            row = (folder.name, len(store), len(texts), other, f"{max(scores):.1e}", f"{cosine:.8f}")
            table.add_row(*map(str, row))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
