"""Sets of the comparison, each written once to a folder in BEIR layout, so that every run asks the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.manuals import questions
from lsb_rag import LexSemBridgeEncoder, Passage
from lsb_rag.demo.corpus import build_demo_corpus
from lsb_rag.demo.questions import demo_dataset
from lsb_rag.evaluation import Dataset, Query, read_beir, write_beir
from lsb_rag.reading import read_passages

LEFT_OUT = "part_of_passage"
DEMO = "demo"


@dataclass(frozen=True)
class Set:
    """Passages and what is asked about them."""

    name: str
    passages: Sequence[Passage]
    dataset: Dataset

    @property
    def kinds(self) -> list[str]:
        """The kinds of its queries, in their order."""
        return list(dict.fromkeys(query.kind for query in self.dataset.queries))


def read_set(given: str) -> Set:
    """Read a set as it is named on the command line.

    :param given: ``demo``; ``NAME=FOLDER`` in BEIR layout, with ``@N`` for N of its passages; or
        ``NAME=QUESTIONS.jsonl FOLDER ...``, manuals with the questions of :mod:`benchmarks.quality.manuals`.
    """
    if given == DEMO:
        corpus = build_demo_corpus()
        return Set(DEMO, corpus, demo_dataset(corpus))
    name, _, where = given.partition("=")
    first, *folders = where.split()
    if folders:
        return _manuals(name, Path(first), [Path(folder) for folder in folders])
    folder, _, kept = first.partition("@")
    one = Set(name, read_passages(folder), read_beir(folder))
    return _smaller(one, int(kept)) if kept else one


def _smaller(one: Set, n: int) -> Set:
    """Return the set with `n` of its passages: some that answer a query, and as many others, drawn at random.

    Only queries that the former answer are kept.
    """
    draw = random.Random(0)  # noqa: S311 - a reproducible draw
    present = {passage.id for passage in one.passages}
    drawn = draw.sample(list(one.dataset.queries), len(one.dataset.queries))
    gold: dict[str, None] = {}
    for query in drawn:
        relevant = [id for id in one.dataset.relevant(query.id) if id in present]
        if len(gold.keys() | set(relevant)) <= n // 2:
            gold.update(dict.fromkeys(relevant))
    others = draw.sample(sorted(present - gold.keys()), min(n - len(gold), len(present - gold.keys())))
    kept = gold.keys() | set(others)
    queries = [q for q in one.dataset.queries if set(one.dataset.relevant(q.id)) & present <= kept]
    qrels = {query.id: one.dataset.qrels[query.id] for query in queries}
    passages = [passage for passage in one.passages if passage.id in kept]
    return Set(f"{one.name}-{n}", passages, Dataset(one.name, queries, qrels))


def _manuals(name: str, file: Path, folders: Sequence[Path]) -> Set:
    """Return manuals, read as a user would index them; a passage is right when it matches a question's patterns."""
    encoder = LexSemBridgeEncoder()
    read = [one for folder in folders for one in read_passages(folder, encoder.tokenizer, encoder.max_length)]
    passages = list({passage.id: passage for passage in read}.values())
    asked = [(f"q{number}", one) for number, one in enumerate(questions(file), start=1) if one.pattern]
    found = {id: [one.id for one in passages if question.is_answered_by(one.content)] for id, question in asked}
    queries = [Query(id, question.question) for id, question in asked if found[id]]
    return Set(
        name, passages, Dataset(name, queries, {query.id: dict.fromkeys(found[query.id], 1) for query in queries})
    )


def keep_set(given: str, folder: Path, limit: int) -> Set:
    """Write a set to `folder` unless it is there, with at most `limit` queries of a kind, and return it as kept.

    Spans of passages are not asked.
    """
    name = given.partition("=")[0] + "".join(f"-{n}" for n in given.partition("=")[2].split("@")[1:])
    if not (folder / name).is_dir():
        one = read_set(given)
        kinds = [kind for kind in one.kinds if kind != LEFT_OUT]
        unfinished = folder / f"unfinished-{name}"
        write_beir(one.dataset.limited(limit, kinds=kinds), one.passages, unfinished)
        unfinished.replace(folder / name)
    return kept_set(folder / name)


def kept_set(folder: Path) -> Set:
    """Return a set that was written to `folder`."""
    return Set(folder.name, read_passages(folder), read_beir(folder))


def kept_sets(folder: Path, names: Sequence[str]) -> list[Set]:
    """Return the sets kept in `folder`: those of `names`, in their order, or all."""
    present = sorted(one.name for one in folder.iterdir() if not one.name.startswith("unfinished-"))
    return [kept_set(folder / name) for name in names or present]
