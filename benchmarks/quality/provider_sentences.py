"""Compare whose sentence vectors serve the rerank over another model's passages: its own, or the embedded backbone's.

    python -m benchmarks.quality.provider_sentences MODELS squad=FOLDER nq=FOLDER cranfield=FOLDER --backbones mpnet e5

MODELS is the folder that ``python -m benchmarks.models MODELS`` fills; FOLDER is in BEIR layout with ``metadata.kind``.
For each backbone and set it prints MRR@10 by kind of query: without sentences, with the model's own, and with those of
the embedded all-MiniLM-L6-v2. The cosines of two models do not compare. The embedded one's count as deviations from
their mean over the candidates considered, scaled by the square of the model's spread: "halfway" takes their mean with
the deviations of the passage's own cosine, as the default does with own sentences; "added" adds them to it.

Collections are kept in ``--kept``, so that a second run embeds queries alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.models import e5, mpnet
from lsb_rag import LexSemBridgeEncoder, PassageStore, ProviderBackbone, Retriever
from lsb_rag.evaluation import read_beir
from lsb_rag.evaluation.significance import paired_difference
from lsb_rag.passage import SENTENCE_SHARE
from lsb_rag.reading import read_passages
from lsb_rag.retriever import CANDIDATES, RERANK_WEIGHT
from lsb_rag.sentences.best import CONSIDERED
from lsb_rag.sentences.vectors import cosines

KINDS = ("question", "keyword")
ADDED = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Candidates:
    """A query's candidates, best first without sentences.

    :param score: ``cosine + 0.4 * lexical``.
    :param cosine: Of the passages.
    :param own: Of the best sentence of each of the first ten, by the model itself.
    :param local: The same by the embedded backbone and the query's plain vector.
    :param relevant: Whether they are relevant.
    """

    score: NDArray[np.float64]
    cosine: NDArray[np.float64]
    own: NDArray[np.float64]
    local: NDArray[np.float64]
    relevant: NDArray[np.bool_]

    def gain(self, change: NDArray[np.float64]) -> float:
        """Return the reciprocal rank among ten after `change` to the scores of the candidates considered."""
        score = self.score.copy()
        score[:CONSIDERED] += change
        found = np.flatnonzero(self.relevant[np.argsort(-score, kind="stable")[:10]])
        return 1 / (1 + int(found[0])) if len(found) else 0.0


def encoder(backbone: str, models: Path) -> LexSemBridgeEncoder:
    """Return an encoder over a model of the folder."""
    if backbone == "mpnet":
        return LexSemBridgeEncoder(mpnet(models))
    engine = e5(models)
    return LexSemBridgeEncoder(
        ProviderBackbone(engine.passage, embed_queries=engine.query, name="multilingual-e5-small", batch_size=32)
    )


def candidates(own: PassageStore, local: PassageStore, folder: Path, kind: str) -> list[Candidates]:
    """Return the candidates of the queries of one kind."""
    dataset = read_beir(folder)
    queries = [query for query in dataset.queries if query.kind == kind and dataset.qrels.get(query.id)]
    texts = [query.text for query in queries]
    vectors = np.concatenate([Retriever(own).embed(texts[at : at + 64]) for at in range(0, len(texts), 64)])
    plain = local.encoder.embed_query(texts)
    rows: list[Candidates] = []
    for query, vector, of_local in track(list(zip(queries, vectors, plain, strict=True)), f"{own.name}, {kind}"):
        hits = own.query(vector, CANDIDATES)
        lexical = own.rerank.scores(query.text, [hit.embedded_text for hit in hits])
        cosine = np.array([hit.cosine for hit in hits])
        score = cosine + RERANK_WEIGHT * lexical
        order = np.argsort(-score, kind="stable")
        considered = [hits[row] for row in order[:CONSIDERED]]
        own_best, local_best = (
            np.array([found.max(initial=-1) for found in cosines(store.sentences.of(considered), by, in_context=True)])
            for store, by in ((own, vector), (local, of_local))
        )
        relevant = np.array([hits[row].id in dataset.qrels[query.id] for row in order])
        rows.append(Candidates(score[order], cosine[order], own_best, local_best, relevant))
    return rows


def gains(rows: Iterable[Candidates], way: str, weight: float, spread: float) -> dict[int, float]:
    """Return the reciprocal rank of each query."""
    found = {}
    for number, row in enumerate(rows):
        cosine = row.cosine[:CONSIDERED]
        deviations = spread**2 * (row.local - row.local.mean())
        change = {
            "without": np.zeros_like(cosine),
            "own": weight * (row.own - cosine),
            "halfway": weight * (deviations - (cosine - cosine.mean())),
            "added": weight * deviations,
        }[way]
        found[number] = row.gain(change)
    return found


def main() -> None:
    """Index, ask, and print a table for each backbone."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.provider_sentences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", type=Path)
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--backbones", nargs="+", choices=("mpnet", "e5"), default=["mpnet", "e5"])
    parser.add_argument("--kept", type=Path, default=Path("sentences-kept"), help="Where collections are kept.")
    given = parser.parse_args()
    embedded = LexSemBridgeEncoder()
    for backbone in given.backbones:
        model = encoder(backbone, given.models)
        table = Table(title=f"{backbone}, MRR@10: {' / '.join(KINDS)}; in brackets the difference to without, 95 %")
        table.add_column("sentences")
        columns = []
        for one in given.sets:
            name, _, folder = one.partition("=")
            passages = read_passages(Path(folder))
            stores = [
                PassageStore(given.kept, f"{prefix}-{name}", by)
                for prefix, by in ((backbone, model), ("set", embedded))
            ]
            for store in stores:
                store.add(track(passages, f"indexing {store.name}"), sentences=True)
            columns.append({kind: rows for kind in KINDS if (rows := candidates(*stores, Path(folder), kind))})
            table.add_column(f"{name}, n = {' / '.join(str(len(rows)) for rows in columns[-1].values())}")
        ways = [("without", 0.0), ("own", SENTENCE_SHARE), ("halfway", SENTENCE_SHARE), *(("added", w) for w in ADDED)]
        for way, weight in ways:
            cells = []
            for kinds in columns:
                parts = []
                for rows in kinds.values():
                    mine = gains(rows, way, weight, model.spread)
                    against = paired_difference(mine, gains(rows, "without", 0.0, 1.0))
                    parts.append(f"{np.mean(list(mine.values())):.4f} [{against.low:+.3f}, {against.high:+.3f}]")
                cells.append(" / ".join(parts))
            table.add_row(f"{way} {weight:.2f}" if weight else way, *cells)
        Console(width=220).print(table)


if __name__ == "__main__":
    main()
