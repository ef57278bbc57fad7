"""Test whether a head that weights words carries over: LLR's u and b, learned on some corpora, against SLR on others.

Backbone and strength are the same for both. Keyword queries are drawn from the corpora to learn from. The sets to test
on are asked people's questions and keyword queries, by exact search with the vector alone.

    python -m benchmarks.quality.heads --learn postgresql=FOLDER git=FOLDER --test squad=FOLDER nq=FOLDER

A FOLDER to learn from holds documents; one to test on is in BEIR layout with ``metadata.kind``.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder, Passage
from lsb_rag.bridge.weighting import Learned
from lsb_rag.evaluation import read_beir
from lsb_rag.evaluation.significance import paired_difference
from lsb_rag.reading import read_passages
from lsb_rag.training import draw_pairs
from lsb_rag.training.lexical_head import PreparedQueries, learn_head, prepare

SHORTEST = 12
PASSAGES = 1500
A_KIND = 1000
STEPS = 600
RATES = (1e-4, 3e-4, 1e-3)
BATCH = 64


def embedded(encoder: LexSemBridgeEncoder, passages: list[Passage], file: Path) -> NDArray[np.float32]:
    """Return the passages' vectors, kept in `file`; embed the shortest first, to save padding."""
    if file.is_file() and len(np.load(file, mmap_mode="r")) == len(passages):
        return np.load(file)
    order = np.argsort([len(passage.content) for passage in passages])
    vectors = np.zeros((len(passages), encoder.dimension), np.float32)
    for start in track(range(0, len(order), BATCH), f"Embedding {file.stem}"):
        rows = order[start : start + BATCH]
        vectors[rows] = encoder.encode_document([passages[row].content for row in rows])
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, vectors)
    return vectors


def fitted(encoder: LexSemBridgeEncoder, passages: list[Passage], vectors: NDArray[np.float32]) -> CorpusBridge:
    """Return the bridge fitted to a corpus."""
    statistics = CorpusStatistics(encoder.dimension)
    statistics.add([encoder.analyze(passage.content) for passage in passages], vectors)
    return CorpusBridge(statistics, units="words")


def to_learn_from(encoder: LexSemBridgeEncoder, name: str, folder: Path, kept: Path) -> PreparedQueries:
    """Return keyword queries drawn from a folder of documents."""
    passages = [p for p in read_passages(folder, encoder.tokenizer, 256) if len(p.text.split()) >= SHORTEST]
    random.Random(1).shuffle(passages)  # noqa: S311
    passages = passages[:PASSAGES]
    vectors = embedded(encoder, passages, kept / f"{name}.npy")
    rows = {passage.content: row for row, passage in enumerate(passages)}
    pairs = draw_pairs(passages, PASSAGES, kinds=("keyword",))["keyword"]
    bridge = fitted(encoder, passages, vectors)
    return prepare(encoder, bridge, [p.query for p in pairs], [rows[p.positive] for p in pairs], vectors)


def to_test_on(encoder: LexSemBridgeEncoder, name: str, folder: Path, kept: Path) -> dict[str, PreparedQueries]:
    """Return a set's questions and keyword queries, each with its first relevant passage."""
    passages = read_passages(folder)
    vectors = embedded(encoder, passages, kept / f"{name}.npy")
    rows = {passage.id: row for row, passage in enumerate(passages)}
    bridge, dataset = fitted(encoder, passages, vectors), read_beir(folder)
    found = {}
    for kind in ("question", "keyword"):
        asked = [
            (query.text, rows[relevant[0]])
            for query in dataset.queries
            if query.kind == kind and (relevant := [id for id in dataset.qrels.get(query.id, {}) if id in rows])
        ]
        random.Random(0).shuffle(asked)  # noqa: S311
        texts, answers = zip(*asked[:A_KIND], strict=True)
        found[kind] = prepare(encoder, bridge, texts, answers, vectors)
    return found


def reciprocal(queries: PreparedQueries, head: Learned | None, strength: float) -> dict[str, float]:
    """Return the reciprocal rank of each query, 0 beyond rank 10."""
    return {str(n): 1 / rank if rank <= 10 else 0.0 for n, rank in enumerate(queries.ranks(head, strength).tolist())}


def main() -> None:
    """Learn heads, test them and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.heads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--learn", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--test", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--kept", type=Path, default=Path("heads-vectors"), help="Where vectors are kept between runs.")
    given = parser.parse_args()
    encoder = LexSemBridgeEncoder(device="cpu")
    corpora = [to_learn_from(encoder, n, Path(f), given.kept) for n, f in (one.split("=", 1) for one in given.learn)]
    tests = {n: to_test_on(encoder, n, Path(f), given.kept) for n, f in (one.split("=", 1) for one in given.test)}
    columns = [(name, kind) for name in tests for kind in tests[name]]
    print(f"learned from {[len(corpus) for corpus in corpora]} queries; strength {encoder.strength}")
    print("| head | " + " | ".join(f"{name}, {kind}, n = {len(tests[name][kind])}" for name, kind in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    slr = {column: reciprocal(tests[column[0]][column[1]], None, encoder.strength) for column in columns}
    print("| SLR | " + " | ".join(f"{np.mean(list(slr[column].values())):.3f}" for column in columns) + " |")
    for rate in RATES:
        head = learn_head(corpora, strength=encoder.strength, steps=STEPS, learning_rate=rate)
        cells = []
        for column in columns:
            d = paired_difference(reciprocal(tests[column[0]][column[1]], head, encoder.strength), slr[column])
            cells.append(f"{d.delta:+.4f} [{d.low:+.4f}, {d.high:+.4f}]")
        print(f"| LLR, rate {rate:g} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
