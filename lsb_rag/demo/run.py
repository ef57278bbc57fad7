"""The demo's work: index the documentation, ask, answer, compare."""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInputError
from ..evaluation import Evaluation, evaluate
from ..generation import Answer, Generator
from ..passage import Hit, Passage
from ..retriever import Retriever
from ..store.passage_store import PassageStore
from ..utils.progress import Progress
from .corpus import build_demo_corpus
from .questions import Question, demo_dataset, demo_qrels, load_questions

SEED = 2508
"""Draws the questions that are shown."""
SHOWN_HITS = 3


@dataclass(frozen=True)
class Side:
    """What one retriever found for a question, and the answer from it."""

    hits: list[Hit]
    answer: Answer


@dataclass(frozen=True)
class Shown:
    """One question with both sides."""

    question: Question
    relevant: frozenset[str]
    vanilla: Side
    lsb: Side


def collection_name() -> str:
    """The demo's collection; the documentation differs between Python versions."""
    major, minor, _ = platform.python_version_tuple()
    return f"python-{major}.{minor}-docs"


def index_demo(db: str | Path, progress: Progress | None = None) -> tuple[PassageStore, list[Passage], int]:
    """The demo's store, holding the whole corpus: what is missing is embedded, what an earlier version left goes.

    :return: The store, the corpus, and how many passages had to be embedded.
    """
    corpus = build_demo_corpus()
    store = PassageStore(db, collection_name())
    embedded = store.add(corpus, progress=progress)
    current = {passage.id for passage in corpus}
    store.delete([id for id in store.ids() if id not in current])
    return store, corpus, embedded


def draw(n: int, seed: int = SEED) -> list[Question]:
    """`n` keyword questions, drawn by `seed`.

    :raises InvalidInputError: When there are fewer questions than `n`.
    """
    questions = load_questions("keyword")
    if not 0 <= n <= len(questions):
        raise InvalidInputError(f"There are {len(questions)} keyword questions; {n} cannot be drawn.")
    return random.Random(seed).sample(questions, n)  # noqa: S311 - a reproducible draw, not a secret


def ask_drawn(
    store: PassageStore,
    corpus: Sequence[Passage],
    generator: Generator,
    drawn: Sequence[Question],
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Shown]:
    """Questions asked of the vanilla retriever and of LexSemBridge.

    :param progress: Called with the step, how much of it is done, and of how much.
    """
    qrels = demo_qrels(drawn, corpus)
    vanilla, lsb = Retriever(store, vanilla=True), Retriever(store)

    def side(retriever: Retriever, question: Question) -> Side:
        hits = retriever.search(question.text, SHOWN_HITS)
        return Side(hits, generator.answer(question.text, hits))

    shown = []
    for done, question in enumerate(drawn):
        if progress:
            progress("questions", done, len(drawn))
        relevant = frozenset(qrels[question.id])
        shown.append(Shown(question, relevant, side(vanilla, question), side(lsb, question)))
    return shown


def evaluate_all(
    store: PassageStore, corpus: Sequence[Passage], progress: Callable[[str, int, int], None] | None = None
) -> Evaluation:
    """Every arm on all shipped questions.

    :param progress: Called with the step, how much of it is done, and of how much.
    """
    return evaluate(store, demo_dataset(corpus), progress=progress)
