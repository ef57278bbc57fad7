"""Check whether replies contain a reference answer, with vanilla retrieval and with the default.

    python -m benchmarks.quality.answers FOLDER --limit 500
    python -m benchmarks.quality.answers demo

Both arms search the same passages and use the same generators: the best quotation, and a second one where it adds.
FOLDER is in BEIR layout with ``metadata.answers``.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from rich.progress import track

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.demo.questions import demo_dataset
from lsb_rag.demo.run import index_demo
from lsb_rag.evaluation import Query, paired_difference, read_beir
from lsb_rag.generation import Answer, ExtractiveGenerator, Generator
from lsb_rag.reading import read_passages

CONTEXTS = 5


def opened(data: str, db: Path) -> tuple[PassageStore, list[Query]]:
    """Return the indexed passages and the questions that have a reference answer."""
    if data == "demo":
        store, corpus, _ = index_demo(db)
        dataset = demo_dataset(corpus)
    else:
        store = PassageStore(db, f"answers-{Path(data).name}", LexSemBridgeEncoder())
        store.add(read_passages(Path(data)))
        dataset = read_beir(data)
    return store, [query for query in dataset.queries if query.answers]


def present(answer: str, query: Query) -> float:
    """Return 1 if the answer contains a reference, with case and white space folded, else 0."""
    said = " ".join(answer.casefold().split())
    return float(any(" ".join(reference.casefold().split()) in said for reference in query.answers))


def main() -> None:
    """Answer the questions, score the replies and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.answers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", help="'demo' or a BEIR folder.")
    parser.add_argument("--limit", type=int, default=0, help="Number of questions, drawn at random; 0 for all.")
    parser.add_argument("--db", type=Path, default=Path("answers-db"), help="Folder of the Chroma database.")
    given = parser.parse_args()
    store, queries = opened(given.data, given.db)
    random.Random(0).shuffle(queries)  # noqa: S311
    queries = queries[: given.limit or None]
    arms = {"vanilla": Retriever(store, vanilla=True), "LexSemBridge": Retriever(store)}
    found = {name: arm.search_batch([query.text for query in queries], CONTEXTS) for name, arm in arms.items()}
    generators: dict[str, Generator] = {
        "one quotation": ExtractiveGenerator(store.encoder, sentences=1),
        "up to two": ExtractiveGenerator(store.encoder),
    }
    print("| kind | generator | vanilla | LexSemBridge | paired difference, 95 % | refused | characters |")
    print("|---|---|---|---|---|---|---|")
    for label, generator in generators.items():
        answers: dict[str, dict[str, Answer]] = {}
        scores: dict[str, dict[str, float]] = {}
        for name, hits in found.items():
            pairs = track(zip(queries, hits, strict=True), f"{label}, {name}", total=len(queries))
            answers[name] = {query.id: generator.answer(query.text, hit) for query, hit in pairs}
            scores[name] = {query.id: present(answers[name][query.id].text, query) for query in queries}
        for kind in dict.fromkeys(query.kind for query in queries):
            ids = [query.id for query in queries if query.kind == kind]
            vanilla, lsb = ({id: scores[name][id] for id in ids} for name in arms)
            gain = paired_difference(lsb, vanilla)
            interval = f"{gain.delta:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            means = " | ".join(f"{np.mean(list(one.values())):.3f}" for one in (vanilla, lsb))
            refused = ", ".join(f"{np.mean([one[id].refused for id in ids]):.3f}" for one in answers.values())
            length = ", ".join(f"{np.mean([len(one[id].text) for id in ids]):.0f}" for one in answers.values())
            print(f"| {kind}, n = {len(ids)} | {label} | {means} | {interval} | {refused} | {length} |")


if __name__ == "__main__":
    main()
