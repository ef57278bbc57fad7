"""Measure hit@1 where look-alike entries differ in their identifier alone.

    python -m benchmarks.quality.identifiers benchmarks/sets/* --families

A folder is in BEIR layout with ``metadata.kind`` and, for ``--families``, ``metadata.family``. BM25 is bm25s with its
own tokenizer, as its users run it. For the last column, the digits of the identifier are changed to some that occur in
no entry: it shows the mean and the maximum lexical score of the best hit.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import bm25s
import numpy as np
from rich.console import Console
from rich.table import Table

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.evaluation import Query, read_beir
from lsb_rag.lexical.units import typed_words
from lsb_rag.passage import Passage
from lsb_rag.reading import read_passages

NOWHERE = 50
"""Maximum number of queries of a kind to ask with other digits."""

Search = Callable[[Sequence[str]], list[str]]
"""From queries to the id of the best passage for each, empty if there is none."""


def bm25(passages: Sequence[Passage]) -> Search:
    """Return BM25 search as users of bm25s run it."""
    index = bm25s.BM25()
    index.index(bm25s.tokenize([passage.content for passage in passages], show_progress=False), show_progress=False)

    def search(queries: Sequence[str]) -> list[str]:
        tokens = bm25s.tokenize(list(queries), show_progress=False, return_ids=False)
        scores = [index.get_scores(one) if one else np.zeros(len(passages)) for one in tokens]
        return [passages[int(row.argmax())].id if row.any() else "" for row in scores]

    return search


def dense(retriever: Retriever) -> Search:
    """Return search by a retriever of this library."""
    return lambda queries: [hits[0].id if hits else "" for hits in retriever.search_batch(queries, 1)]


def elsewhere(query: str, passage: str, known: set[str], draw: random.Random) -> str | None:
    """Return `query` with new digits in the identifier it shares with `passage`, or None if there is no such query."""
    shared = [
        word for word in typed_words(query) if any(map(str.isdecimal, word)) and word in set(typed_words(passage))
    ]
    for _ in range(1000 if shared else 0):
        word = max(shared, key=len)
        other = "".join(str(draw.randrange(10)) if one.isdecimal() else one for one in word)
        if other not in known:
            return query.replace(word, other)
    return None


def main() -> None:
    """Ask the queries of each folder and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.identifiers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--families", action="store_true", help="Print a row for each family too.")
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder(device="cpu")
    for folder in given.folders:
        passages, dataset = read_passages(folder), read_beir(folder)
        store = PassageStore.in_memory(encoder)
        store.add(passages)
        arms = {
            "vanilla": dense(Retriever(store, vanilla=True)),
            "BM25": bm25(passages),
            "vector only": dense(Retriever(store, rerank=0)),
            "LexSemBridge": dense(Retriever(store)),
        }
        best = {name: search([query.text for query in dataset.queries]) for name, search in arms.items()}
        right = {
            name: [float(id in dataset.qrels.get(q.id, {})) for q, id in zip(dataset.queries, ids, strict=True)]
            for name, ids in best.items()
        }
        table = Table(title=f"hit@1, {folder.name}, {len(passages)} entries")
        for column in ("queries", "n", *arms, "nowhere: lexical, mean / max"):
            table.add_column(column)
        for label, rows, queries in groups(dataset.queries, families(folder) if given.families else {}):
            values = [f"{np.mean([right[name][row] for row in rows]):.3f}" for name in arms]
            table.add_row(label, str(len(rows)), *values, nowhere(store, queries, passages, dataset.qrels))
        Console(width=140).print(table)


def families(folder: Path) -> dict[str, str]:
    """Return the family of each query."""
    lines = (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["_id"]: row["metadata"].get("family", "") for row in map(json.loads, lines)}


def groups(queries: Sequence[Query], families: Mapping[str, str]) -> list[tuple[str, list[int], list[Query]]]:
    """Return the queries with their positions, by kind, and by kind and family if families are known."""
    labels: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        labels.setdefault(query.kind, []).append(row)
        if families:
            labels.setdefault(f"{query.kind}, {families[query.id]}", []).append(row)
    return [(label, rows, [queries[row] for row in rows]) for label, rows in sorted(labels.items())]


def nowhere(
    store: PassageStore, queries: Sequence[Query], passages: Sequence[Passage], qrels: Mapping[str, Mapping[str, int]]
) -> str:
    """Return the mean and maximum lexical score of the best hit for identifiers that occur in no entry."""
    draw, texts = random.Random(0), {passage.id: passage.content for passage in passages}  # noqa: S311
    known = {word for text in texts.values() for word in typed_words(text)}
    asked = [
        other
        for query in queries
        if (other := elsewhere(query.text, " ".join(texts[id] for id in qrels.get(query.id, {})), known, draw))
    ][:NOWHERE]
    if not asked:
        return ""
    lexical = [hits[0].lexical for hits in Retriever(store).search_batch(asked, 1)]
    return f"{np.mean(lexical):.2f} / {max(lexical):.2f}"


if __name__ == "__main__":
    main()
