"""Show how the default settings were chosen: MRR@10 of bridge and rerank with one setting changed at a time.

    python -m benchmarks.quality.settings squad=FOLDER nq=FOLDER "together=FOLDER FOLDER FOLDER"

Folders are in BEIR layout with ``metadata.kind``; with several, the queries of the first are asked over the passages of
all. Search is exact, with the vector alone and with the rerank of its best 100.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.quality.heads import embedded
from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder
from lsb_rag.bridge import unit_means
from lsb_rag.bridge.fusion import fuse
from lsb_rag.bridge.weighting import slr
from lsb_rag.evaluation import read_beir
from lsb_rag.reading import read_passages
from lsb_rag.rerank import LexicalRerank
from lsb_rag.retriever import CANDIDATES, RERANK_WEIGHT

KINDS = ("question", "keyword")
A_KIND = 1000


@dataclass
class Asked:
    """A set with its embeddings and statistics."""

    texts: list[str]
    vectors: NDArray[np.float32]
    statistics: CorpusStatistics
    queries: dict[str, list[tuple[str, list[int]]]]
    embedded: dict[str, NDArray[np.float32]]


def asked(encoder: LexSemBridgeEncoder, name: str, folders: list[Path], kept: Path) -> Asked:
    """Return the queries of the first folder, to be asked over the passages of all."""
    first = read_passages(folders[0])
    more = [passage for folder in folders[1:] for passage in read_passages(folder)]
    texts = [passage.content for passage in [*first, *more]]
    vectors = embedded(encoder, [*first, *more], kept / f"{name}.npy")
    statistics = CorpusStatistics(encoder.dimension)
    statistics.add([encoder.analyze(text) for text in texts], vectors)
    rows, dataset = {passage.id: row for row, passage in enumerate(first)}, read_beir(folders[0])
    queries: dict[str, list[tuple[str, list[int]]]] = {}
    for kind in KINDS:
        of_kind = [
            (query.text, relevant)
            for query in dataset.queries
            if query.kind == kind and (relevant := [rows[id] for id in dataset.qrels.get(query.id, {}) if id in rows])
        ]
        random.Random(0).shuffle(of_kind)  # noqa: S311
        if of_kind:
            queries[kind] = of_kind[:A_KIND]
    return Asked(
        texts, vectors, statistics, queries, {k: encoder.embed_query([t for t, _ in q]) for k, q in queries.items()}
    )


def mrr(
    encoder: LexSemBridgeEncoder, one: Asked, kind: str, strength: float, weight: float, ridge: float, gate: bool
) -> float:
    """Return the MRR@10 of one kind of query; without the gate, every direction has length 1."""
    bridge, rerank = CorpusBridge(one.statistics, ridge), LexicalRerank(encoder.analyze, one.statistics)
    gained = []
    for (text, relevant), e in zip(one.queries[kind], one.embedded[kind], strict=True):
        c = bridge.direction(slr(encoder.analyze(text))) if strength else None
        if c is not None and not gate:
            c = c / np.linalg.norm(c)
        vector = e if c is None else fuse(torch.tensor(e)[None], torch.tensor(c)[None].float(), "residual", strength)[0]
        scores = one.vectors @ np.asarray(vector)
        best = np.argsort(-scores, kind="stable")[:CANDIDATES]
        final = scores[best]
        if weight:
            final = final + weight * rerank.scores(text, [one.texts[row] for row in best])
        ranked = best[np.argsort(-final, kind="stable")][:10].tolist()
        gained.append(next((1 / rank for rank, row in enumerate(ranked, 1) if row in relevant), 0.0))
    return float(np.mean(gained))


@contextmanager
def changed(**constants: float) -> Iterator[None]:
    """Change constants of the means by unit, and restore them afterwards."""
    before = {name: getattr(unit_means, name) for name in constants}
    for name, value in constants.items():
        setattr(unit_means, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(unit_means, name, value)


def main() -> None:
    """Measure each setting and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.settings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument(
        "--kept", type=Path, default=Path("settings-vectors"), help="Where vectors are kept between runs."
    )
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder(device="cpu")
    sets = {
        name: asked(encoder, name, [Path(folder) for folder in folders.split()], given.kept)
        for name, folders in (one.split("=", 1) for one in given.sets)
    }
    table = Table(title=f"MRR@10: {' / '.join(KINDS)}")
    table.add_column("setting")
    for name, one in sets.items():
        table.add_column(f"{name}, n = {' / '.join(str(len(queries)) for queries in one.queries.values())}")

    def row(
        label: str,
        strength: float = 0.8,
        weight: float = 0.0,
        ridge: float = 0.15,
        gate: bool = True,
        **constants: float,
    ) -> None:
        with changed(**constants):
            of: Callable[[Asked], str] = lambda one: " / ".join(  # noqa: E731
                f"{mrr(encoder, one, kind, strength, weight, ridge, gate):.3f}" for kind in one.queries
            )
            table.add_row(label, *map(of, sets.values()))

    row("vanilla", strength=0)
    for weight in (RERANK_WEIGHT, 1.0):
        row(f"vanilla + rerank {weight}", strength=0, weight=weight)
    everything = {"SHARPNESS": 0, "AVERAGED": 10**9, "AVERAGED_AT_MOST": 10**9}
    row("bridge by plain means, strength 0.6, no gate", strength=0.6, gate=False, **everything)
    row("the same + rerank 1.0", strength=0.6, weight=1.0, gate=False, **everything)
    row("bridge (default, vector alone)")
    for strength in (0.6, 0.8):
        row(f"strength {strength}, no gate", strength=strength, gate=False)
    for strength in (0.5, 1.0):
        row(f"strength {strength}", strength=strength)
    for sharpness in (1, 2, 8):
        row(f"exponent {sharpness}", SHARPNESS=sharpness)
    for averaged in (8, 128):
        row(f"averaged over {averaged}", AVERAGED=averaged)
    for ridge in (0.05, 1.0):
        row(f"ridge {ridge}", ridge=ridge)
    row("bridge + rerank (default)", weight=RERANK_WEIGHT)
    row("the same, strength 0.6, no gate", strength=0.6, weight=RERANK_WEIGHT, gate=False)
    for weight in (0.2, 0.7):
        row(f"rerank {weight}", weight=weight)
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
