"""Show how the weights of the score were chosen: MRR@10 by the share of the best sentence and the weight of the lexical
score.

    python -m benchmarks.quality.sentences squad=FOLDER nq=FOLDER cranfield=FOLDER "together=FOLDER FOLDER FOLDER"

Folders are in BEIR layout with ``metadata.kind``; with several, the queries of the first are asked over the passages of
all. Every query is asked once for its 100 candidates; the weights are then applied to the same candidates. "No titles"
takes the sentences without the title of their passage.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.evaluation import read_beir
from lsb_rag.evaluation.significance import paired_difference
from lsb_rag.passage import SENTENCE_SHARE
from lsb_rag.reading import read_passages
from lsb_rag.retriever import CANDIDATES, RERANK_WEIGHT
from lsb_rag.sentences.best import CONSIDERED, LEAST
from lsb_rag.sentences.vectors import cosines

KINDS = ("question", "keyword")
SHARES = (1 / 3, SENTENCE_SHARE, 0.6)
WEIGHTS = (0.3, RERANK_WEIGHT, 0.5, 0.6)


@dataclass(frozen=True)
class Asked:
    """A query's candidates, best first without their sentences.

    :param cosine: Of the passages, shape ``[n]``.
    :param lexical: Their lexical scores.
    :param sentence: The cosine of the best sentence of each.
    :param bare: The same without titles.
    :param relevant: Whether they are relevant.
    """

    cosine: NDArray[np.float64]
    lexical: NDArray[np.float64]
    sentence: NDArray[np.float64]
    bare: NDArray[np.float64]
    relevant: NDArray[np.bool_]

    def gain(self, share: float, weight: float, considered: int = CONSIDERED, *, titles: bool = True) -> float:
        """Return the reciprocal rank of the first relevant candidate among the best ten, else 0."""
        score = self.cosine + weight * self.lexical
        best = np.argsort(-score, kind="stable")[:considered]
        sentence = self.sentence if titles else self.bare
        score[best] += share * (sentence - self.cosine)[best]
        found = np.flatnonzero(self.relevant[np.argsort(-score, kind="stable")[:10]])
        return 1 / (1 + int(found[0])) if len(found) else 0.0


def asked(store: PassageStore, folder: Path, kind: str) -> list[Asked]:
    """Return the candidates of the queries of one kind."""
    dataset = read_beir(folder)
    queries = [query for query in dataset.queries if query.kind == kind and dataset.qrels.get(query.id)]
    retriever = Retriever(store)
    vectors = retriever.embed([query.text for query in queries])
    rows: list[Asked] = []
    for query, vector in track(list(zip(queries, vectors, strict=True)), f"{store.name}, {kind}"):
        hits = store.query(vector, CANDIDATES)
        of_hits = store.sentences.of(hits)
        best = [
            np.array(
                [
                    found.max() if len(found) >= LEAST else hit.cosine
                    for hit, found in zip(hits, cosines(of_hits, vector, in_context=in_context), strict=True)
                ]
            )
            for in_context in (True, False)
        ]
        lexical = store.rerank.scores(query.text, [hit.embedded_text for hit in hits])
        relevant = np.array([hit.id in dataset.qrels[query.id] for hit in hits])
        rows.append(Asked(np.array([hit.cosine for hit in hits]), lexical, best[0], best[1], relevant))
    return rows


def main() -> None:
    """Ask, apply the weights, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.sentences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--kept", type=Path, default=Path("sentences-kept"), help="Where collections are kept.")
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder()
    found: dict[str, dict[str, list[Asked]]] = {}
    for one in given.sets:
        name, _, folders = one.partition("=")
        store = PassageStore(given.kept, f"set-{name}", encoder)
        passages = {p.id: p for folder in reversed(folders.split()) for p in read_passages(Path(folder))}
        store.add(track(list(passages.values()), f"indexing {name}"), sentences=True)
        first = Path(folders.split()[0])
        found[name] = {kind: rows for kind in KINDS if (rows := asked(store, first, kind))}
    table = Table(title=f"MRR@10: {' / '.join(KINDS)}; in brackets the difference to the first line, 95 %")
    table.add_column("score")
    for name, kinds in found.items():
        table.add_column(f"{name}, n = {' / '.join(str(len(rows)) for rows in kinds.values())}")

    def gains(rows: list[Asked], *arguments: float, titles: bool = True) -> dict[int, float]:
        return {n: one.gain(*arguments, titles=titles) for n, one in enumerate(rows)}  # type: ignore[arg-type]

    def row(label: str, share: float, weight: float, considered: int = CONSIDERED, *, titles: bool = True) -> None:
        cells = []
        for kinds in found.values():
            parts = []
            for rows in kinds.values():
                mine = gains(rows, share, weight, considered, titles=titles)
                found_here = paired_difference(mine, gains(rows, 0, RERANK_WEIGHT))
                parts.append(f"{np.mean(list(mine.values())):.4f} [{found_here.low:+.3f}, {found_here.high:+.3f}]")
            cells.append(" / ".join(parts))
        table.add_row(label, *cells)

    row("cosine + 0.4 lexical", 0, RERANK_WEIGHT)
    for share in SHARES:
        for weight in WEIGHTS:
            row(f"share {share:.2f}, lexical {weight}", share, weight)
    row("default, no titles", SENTENCE_SHARE, RERANK_WEIGHT, titles=False)
    for considered in (5, 20, CANDIDATES):
        row(f"default, {considered} candidates", SENTENCE_SHARE, RERANK_WEIGHT, considered)
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
