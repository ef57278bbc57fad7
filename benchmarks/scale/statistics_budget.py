"""Measure what the statistics cost on disk, by part, and what smaller ones would save and lose.

    python -m benchmarks.scale.statistics_budget --passages 10000 --kept FOLDER

Statistics of a sample of the passages, and of all passages without their rarest or most frequent words, are compared
with the full ones. Known-item queries are drawn from the passages, embedded, and searched exactly, without an index.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.installed_docs import embedded_passages
from benchmarks.scale.growth_curves import markdown, paired, share
from benchmarks.scale.known_items import KnownItems, known_items
from lsb_rag import LexSemBridgeEncoder
from lsb_rag.bridge.corpus import CorpusBridge
from lsb_rag.evaluation import paired_difference, per_query
from lsb_rag.lexical.units import words
from lsb_rag.rerank import LexicalRerank
from lsb_rag.retriever import CANDIDATES, RERANK_WEIGHT
from lsb_rag.statistics.base import Record
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.utils.digests import text_digest

BATCH = 1000
Values = dict[str, dict[str, float]]


def counted(
    path: Path, texts: Sequence[str], vectors: NDArray[np.float32], kept: Callable[[str], bool]
) -> StatisticsFile:
    """Return a file with the statistics of these passages, over the words to be `kept`."""
    file = StatisticsFile(path, vectors.shape[1], {})
    for start in range(0, len(texts), BATCH):
        rows = range(start, min(start + BATCH, len(texts)))
        units = ([word for word in words(texts[i]) if kept(word)] for i in rows)
        file.count([Record(str(i), text_digest(texts[i]), of, vectors[i]) for i, of in zip(rows, units, strict=True)])
    file.checkpoint()
    return file


def bytes_by_table(file: StatisticsFile) -> dict[str, int]:
    """Return the bytes of the tables' content, without SQLite's own."""
    parts = {
        "vectors": "SELECT sum(length(vector)) FROM records",
        "units of each record": "SELECT sum(length(units)) FROM records",
        "ids, digests": "SELECT sum(length(id) + length(digest)) FROM records",
        "postings": "SELECT sum(length(records)) FROM postings",
        "words": "SELECT sum(length(unit)) FROM units",
        "sums": "SELECT sum(length(value)) FROM sums",
    }
    with file.reading():
        return {name: int(file.run(statement).fetchone()[0] or 0) for name, statement in parts.items()}


def reciprocal_ranks(
    encoder: LexSemBridgeEncoder,
    file: StatisticsFile,
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    asked: KnownItems,
) -> Values:
    """Return MRR@10 by retriever and query, for the vector alone and with the rerank."""
    rerank = LexicalRerank(words, file)
    queries = encoder.encode_query(list(asked.texts.values()), bridge=CorpusBridge(file, units="words"))
    alone: dict[str, list[str]] = {}
    reranked: dict[str, list[str]] = {}
    for (id, text), query in zip(asked.texts.items(), queries, strict=True):
        cosines = vectors @ query
        candidates = np.argsort(-cosines, kind="stable")[:CANDIDATES]
        alone[id] = [str(n) for n in candidates[:10]]
        scores = cosines[candidates] + RERANK_WEIGHT * rerank.scores(text, [texts[n] for n in candidates])
        reranked[id] = [str(candidates[place]) for place in np.argsort(-scores, kind="stable")[:10]]
    found = {"vector": alone, "with rerank": reranked}
    return {name: per_query(asked.qrels, rankings, ["mrr@10"])["mrr@10"] for name, rankings in found.items()}


def main(
    passages: int = 10000,
    queries: int = 300,
    kept: Annotated[Path, typer.Option(help="Folder that keeps the embedded passages.")] = Path("installed-docs"),
) -> None:
    """Count each variant, ask the queries and print two tables."""
    encoder = LexSemBridgeEncoder()
    texts, vectors = embedded_passages(encoder, passages, kept)
    asked = known_items(texts, queries)
    df = Counter(word for text in texts for word in set(words(text)))
    order = random.Random(0).sample(range(passages), passages)  # noqa: S311
    variants: dict[str, tuple[float, Callable[[str], bool]]] = {
        "all": (1.0, lambda word: True),
        "a sample of 30 % of the passages": (0.3, lambda word: True),
        "a sample of 10 % of the passages": (0.1, lambda word: True),
        "without words of one passage": (1.0, lambda word: df[word] > 1),
        "without words of fewer than 5 passages": (1.0, lambda word: df[word] >= 5),
        "without words of more than 1 % of the passages": (1.0, lambda word: df[word] <= 0.01 * passages),
    }
    rows: list[list[str]] = []
    best: dict[str, Values] = {}
    for name, (sampled, wanted) in variants.items():
        part = sorted(order[: round(sampled * passages)])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "statistics.sqlite3"
            file = counted(path, [texts[i] for i in part], vectors[part], wanted)
            size, units = path.stat().st_size, sum(map(wanted, df))
            if not best:
                held = bytes_by_table(file)
                print(markdown(["part", "MB"], [[part, f"{n / 1e6:.2f}"] for part, n in held.items()]) + "\n")
            row = [name, f"{size / 1e6:.1f}", f"{size / units:.0f}" if sampled == 1 else ""]
            for kind, of_kind in asked.items():
                values = reciprocal_ranks(encoder, file, texts, vectors, of_kind)
                for arm, one in values.items():
                    d = paired_difference(one, best.setdefault(kind, values)[arm])
                    difference = f" ({paired(d.delta, d.low, d.high)})" if rows else ""
                    row.append(f"{share(float(np.mean(list(one.values()))))}{difference}")
            rows.append(row)
            file.close()
    kinds = [f"{kind}, {arm}" for kind in asked for arm in ("vector", "with rerank")]
    print(markdown(["statistics of", "MB", "bytes a word", *kinds], rows))


if __name__ == "__main__":
    typer.run(main)
