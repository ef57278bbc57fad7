"""The steps of the demo: index the documentation, ask, answer, compare."""

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
"""Seed of the draw of questions to show."""
SHOWN_HITS = 3


@dataclass(frozen=True)
class Side:
    """The hits of one retriever for a question, and the answer from them."""

    hits: list[Hit]
    answer: Answer


@dataclass(frozen=True)
class ComparedQuestion:
    """The results of both retrievers for one question.

    :param relevant: Ids of the passages that answer the question.
    """

    question: Question
    relevant: frozenset[str]
    vanilla: Side
    lsb: Side


def collection_name() -> str:
    """Return the name of the demo's collection. Each Python version has one, because its documentation differs."""
    major, minor, _ = platform.python_version_tuple()
    return f"python-{major}.{minor}-docs"


def index_demo(db: str | Path, progress: Progress | None = None) -> tuple[PassageStore, list[Passage], int]:
    """Index the demo's corpus. Missing passages are embedded; those of an earlier version are deleted.

    :return: The store, the corpus, and the number of passages that were embedded.
    """
    corpus = build_demo_corpus()
    store = PassageStore(db, collection_name())
    embedded = store.add(corpus, progress=progress)
    current = {passage.id for passage in corpus}
    store.delete([id for id in store.ids() if id not in current])
    return store, corpus, embedded


def draw_questions(n: int, seed: int = SEED) -> list[Question]:
    """Draw `n` keyword questions by `seed`.

    :raises InvalidInputError: When there are fewer questions than `n`.
    """
    questions = load_questions("keyword")
    if not 0 <= n <= len(questions):
        raise InvalidInputError(f"There are {len(questions)} keyword questions; {n} cannot be drawn.")
    return random.Random(seed).sample(questions, n)  # noqa: S311 - a reproducible draw, not a secret


def compare_retrievers(
    store: PassageStore,
    corpus: Sequence[Passage],
    generator: Generator,
    questions: Sequence[Question],
    progress: Callable[[str, int, int], None] | None = None,
) -> list[ComparedQuestion]:
    """Ask the vanilla retriever and LexSemBridge each question, and answer it from the hits of each.

    :param progress: Called with the step, the part of it that is done, and its size.
    """
    qrels = demo_qrels(questions, corpus)
    vanilla = Retriever(store, vanilla=True)
    lsb = Retriever(store)

    def ask(retriever: Retriever, question: Question) -> Side:
        hits = retriever.search(question.text, SHOWN_HITS)
        return Side(hits, generator.answer(question.text, hits))

    comparisons: list[ComparedQuestion] = []
    for done, question in enumerate(questions):
        if progress:
            progress("questions", done, len(questions))
        comparison = ComparedQuestion(
            question=question,
            relevant=frozenset(qrels[question.id]),
            vanilla=ask(vanilla, question),
            lsb=ask(lsb, question),
        )
        comparisons.append(comparison)
    return comparisons


def evaluate_all(
    store: PassageStore, corpus: Sequence[Passage], progress: Callable[[str, int, int], None] | None = None
) -> Evaluation:
    """Evaluate the default arms on all shipped questions.

    :param progress: Called with the step, the part of it that is done, and its size.
    """
    return evaluate(store, demo_dataset(corpus), progress=progress)
