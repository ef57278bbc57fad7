"""Measure whether better ranking gives better answers of a language model, against vanilla retrieval.

    python -m benchmarks.language_model MODELS --port 8200
    python -m benchmarks.quality.language_model FOLDER --generator openai:qwen@http://127.0.0.1:8200/v1 --limit 150
    python -m benchmarks.quality.language_model demo --generator openai:qwen@http://127.0.0.1:8200/v1 --limit 150

FOLDER is in BEIR layout with ``metadata.answers``. Both arms search the same passages, and the generator gets the same
prompt with the passages of each. Where both found the same passages in the same order, they share one answer. Answers
are kept in ``--cache``, so that a run that was cut off goes on.

An answer counts if it contains a reference, with case and white space folded. "Passages with a reference" is the share
of questions for which a passage contains one: what a perfect reader could reach.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.quality.answers import CONTEXTS, opened, present
from lsb_rag import Retriever
from lsb_rag.evaluation import Query, paired_difference
from lsb_rag.evaluation.answers import Answers, answer_arms
from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.generation import Answer, Generator, make_generator
from lsb_rag.passage import Hit

VANILLA, LSB = "vanilla", "LexSemBridge"
COLUMNS = (
    "kind",
    "n",
    "vanilla",
    "LexSemBridge",
    "paired difference, 95 %",
    "other passages",
    "other order",
    "passages with a reference",
    "refusals",
    "words",
)
"""The last three hold a value for each arm, vanilla first. Other order: the same passages in another order."""

REFUSAL = re.compile(r"passages? found do(es)? not contain an answer", re.IGNORECASE)
"""Matches the reply of a generator that found no answer. A small model changes a word of it, or goes on after it."""

Found = dict[str, dict[str, Sequence[Hit]]]


def drawn(queries: Sequence[Query], limit: int, kinds: Sequence[str] = ()) -> dict[str, list[Query]]:
    """Return up to `limit` queries of each kind, drawn at random; 0 for all. Without `kinds`, of all that there are."""
    shuffled = list(queries)
    random.Random(0).shuffle(shuffled)  # noqa: S311
    kinds = kinds or list(dict.fromkeys(query.kind for query in queries))
    return {kind: [query for query in shuffled if query.kind == kind][: limit or None] for kind in kinds}


def answered(generator: Generator, queries: Sequence[Query], found: Found, cache: JsonCache) -> dict[str, Answers]:
    """Return the answers of each arm, with progress shown."""
    with tqdm(desc=queries[0].kind, unit="answer", mininterval=5) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return answer_arms(generator, queries, found, cache=cache, progress=progress)


def scored(answer: Answer | None, query: Query) -> float:
    """Return 1 if the answer contains a reference, else 0, and NaN where the generator failed."""
    return np.nan if answer is None else present(answer.text, query)


def row(queries: Sequence[Query], found: Found, answers: dict[str, Answers]) -> list[str]:
    """Return a row of the table. A question whose answer failed has no score."""
    scores = {arm: {query.id: scored(given[query.id], query) for query in queries} for arm, given in answers.items()}
    gain = paired_difference(scores[LSB], scores[VANILLA])
    ids = [[[hit.id for hit in found[arm][query.id]] for arm in (VANILLA, LSB)] for query in queries]
    others = sum(set(vanilla) != set(lsb) for vanilla, lsb in ids)
    reached, refusals, words = [], [], []
    for arm in (VANILLA, LSB):
        texts = [answer.text for answer in answers[arm].values() if answer is not None]
        reached.append(np.mean([max(present(hit.text, query) for hit in found[arm][query.id]) for query in queries]))
        refusals.append(sum(REFUSAL.search(text) is not None for text in texts))
        words.append(np.mean([len(text.split()) for text in texts]))
    return [
        queries[0].kind,
        str(gain.n),
        *(f"{np.nanmean(list(scores[arm].values())):.3f}" for arm in (VANILLA, LSB)),
        f"{gain.delta:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]",
        str(others),
        str(sum(vanilla != lsb for vanilla, lsb in ids) - others),
        ", ".join(f"{share:.3f}" for share in reached),
        ", ".join(map(str, refusals)),
        ", ".join(f"{length:.0f}" for length in words),
    ]


def main() -> None:
    """Answer the questions, score the answers and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.language_model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", help="'demo' or a BEIR folder.")
    parser.add_argument("--generator", required=True, metavar="NAME", help="openai:MODEL[@URL].")
    parser.add_argument("--limit", type=int, default=150, help="Number of questions of each kind; 0 for all.")
    parser.add_argument("--kinds", help="Kinds of questions, with commas between. Default: all.")
    parser.add_argument("--contexts", type=int, default=CONTEXTS, help="Number of passages in a prompt.")
    parser.add_argument("--db", type=Path, default=Path("answers-db"), help="Folder of the Chroma database.")
    parser.add_argument("--cache", type=Path, default=Path("answers-cache"), help="Folder in which answers are kept.")
    given = parser.parse_args()
    store, queries = opened(given.data, given.db)
    kinds = given.kinds.split(",") if given.kinds else ()
    asked_by_kind = drawn(queries, given.limit, kinds)
    if unknown := [kind for kind, asked in asked_by_kind.items() if not asked]:
        parser.error(f"no questions of the kind {', '.join(unknown)}")
    generator, cache = make_generator(given.generator, store.encoder), JsonCache(given.cache)
    cache.check()
    arms = {VANILLA: Retriever(store, vanilla=True), LSB: Retriever(store)}
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for asked in asked_by_kind.values():
        texts = [query.text for query in asked]
        found: Found = {
            name: dict(zip((query.id for query in asked), arm.search_batch(texts, given.contexts), strict=True))
            for name, arm in arms.items()
        }
        print(f"| {' | '.join(row(asked, found, answered(generator, asked, found, cache)))} |", flush=True)


if __name__ == "__main__":
    main()
