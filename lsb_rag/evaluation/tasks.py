"""The paper's tasks, drawn from any corpus: keyword queries and parts of passages (arXiv 2508.17858, section 4)."""

from __future__ import annotations

import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidInputError, ReadError
from ..lexical.units import UNSPACED, word_spans
from ..passage import Passage
from ..utils.arguments import checked
from .dataset import Dataset, Query

TERMS = (2, 5)
"""Least and greatest number of terms in a keyword query."""
SPANS = (16, 32, 64, 128, 256)
"""Lengths of parts of passages, in white-space tokens."""


@checked
def draw_tasks(passages: Sequence[Passage], n: int = 300, seed: int = 0) -> Dataset:
    """Draw keyword and part-of-passage queries, at most `n` of each kind.

    The passage that a query was drawn from is its relevant one. A keyword query joins the 2 to 5 terms of a passage
    that weigh most by tf-idf, in their order in the passage. A part of a passage is a span of 16, 32, 64, 128 or 256 of
    its tokens. The lengths take turns, and a span is drawn only from a longer passage. Such queries favour lexical
    search by construction.

    :raises InvalidInputError: For an n below 1, or a corpus that no query can be drawn from.
    """
    if n < 1:
        raise InvalidInputError(f"n must be at least 1, not {n}.")
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    shuffled = draw.sample(list(passages), len(passages))
    df = Counter(word for passage in passages for word in {word for word, _, _ in word_spans(passage.content)})
    queries: list[Query] = []
    qrels: dict[str, dict[str, int]] = {}

    def add(kind: str, number: int, text: str, passage: Passage) -> None:
        queries.append(Query(f"{kind}-{number}", text, kind, drawn=True))
        qrels[queries[-1].id] = {passage.id: 1}

    for passage in shuffled:
        if len(queries) == n:
            break
        terms = salient_terms(passage.content, df, len(passages))[: draw.randint(*TERMS)]
        text = joined_terms(passage.content, terms)
        if text:
            add("keyword", len(queries), text, passage)
    parts = 0
    for passage in shuffled:
        tokens = passage.content.split()
        span = next((length for length in _lengths_from(parts) if len(tokens) > length), 0)
        if parts < n and span:
            start = draw.randrange(len(tokens) - span + 1)
            add("part_of_passage", parts, " ".join(tokens[start : start + span]), passage)
            parts += 1
    if not queries:
        raise InvalidInputError("No query can be drawn from this corpus: its passages are too short.")
    return Dataset("tasks", queries, qrels)


def _lengths_from(number: int) -> list[int]:
    """Return :data:`SPANS`, beginning with the one whose turn it is."""
    first = number % len(SPANS)
    return [*SPANS[first:], *SPANS[:first]]


def salient_terms(text: str, df: Counter[str], n_passages: int) -> list[tuple[int, int]]:
    """Return the terms of `text` by falling tf-idf, each as the start and end of its first occurrence.

    Of a word and its parts only the one that weighs most is returned, and of equal ones the longest.

    :param df: Number of passages that contain each word.
    """
    spans = [
        (word, start, end)
        for word, start, end in word_spans(text)
        if (any(map(str.isalpha, word)) or len(word) > 2) and _stands_alone(text, start, end)
    ]
    tf = Counter(word for word, _, _ in spans)
    weight = {word: count * math.log((n_passages + 1) / df[word]) for word, count in tf.items()}
    first = {word: (start, end) for word, start, end in reversed(spans)}
    chosen: list[tuple[int, int]] = []
    for word in sorted(weight, key=lambda word: (-weight[word], -len(word), word)):
        start, end = first[word]
        if not any(s < end and start < e for s, e in chosen):  # an overlap is the same word again
            chosen.append((start, end))
    return chosen


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether a term is not a piece of a word, such as ``set`` in ``setUserName``.

    In scripts without spaces every term stands alone.
    """
    inner = text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()
    return not inner or UNSPACED.match(text, start) is not None


def joined_terms(text: str, terms: Sequence[tuple[int, int]]) -> str:
    """Return a keyword query of `terms`, as written and in order of appearance; empty for fewer than 2 terms."""
    if len(terms) < TERMS[0]:
        return ""
    return " ".join(text[start:end] for start, end in sorted(terms))


@checked
def write_beir(dataset: Dataset, passages: Sequence[Passage], folder: str | Path) -> None:
    """Write a folder in BEIR layout: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv``.

    :raises ReadError: When the folder is not empty or cannot be written.
    """
    root = Path(folder)
    try:
        if root.exists() and any(root.iterdir()):
            raise ReadError(f"{root} is not empty; give a new folder.")
        (root / "qrels").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReadError(f"Cannot write {root}: {error}") from error
    try:
        with (root / "corpus.jsonl").open("w", encoding="utf-8") as file:
            for p in passages:
                row = {"_id": p.id, "title": p.title, "text": p.text, "metadata": dict(p.metadata)}
                file.write(json.dumps(row) + "\n")
        with (root / "queries.jsonl").open("w", encoding="utf-8") as file:
            for query in dataset.queries:
                metadata = {"kind": query.kind, "drawn": query.drawn, "answers": list(query.answers)}
                metadata |= {"history": query.messages} if query.history else {}
                file.write(json.dumps({"_id": query.id, "text": query.text, "metadata": metadata}) + "\n")
        with (root / "qrels" / "test.tsv").open("w", encoding="utf-8") as file:
            file.write("query-id\tcorpus-id\tscore\n")
            for id, judgements in dataset.qrels.items():
                file.writelines(f"{id}\t{passage}\t{score}\n" for passage, score in judgements.items())
    except BaseException as error:  # also when interrupted: leave no half-written folder
        shutil.rmtree(root / "qrels", ignore_errors=True)
        for name in ("corpus.jsonl", "queries.jsonl"):
            (root / name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ReadError(f"Cannot write {root}: {error}") from error
        raise
