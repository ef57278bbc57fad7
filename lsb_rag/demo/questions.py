"""The shipped questions about the demo corpus, and the passages that are relevant to each."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from ..evaluation import Dataset, Query
from ..passage import Passage
from .corpus import demo_data

QUESTION_FILES = ("generated.jsonl", "handwritten.jsonl", "control.jsonl")


@dataclass(frozen=True)
class Question:
    """One shipped question.

    :param id: Its id, unique across all files.
    :param text: The question as a user asks it.
    :param kind: ``keyword`` (keyword-heavy) or ``control`` (a paraphrase that avoids the keywords).
    :param gold: The symbols whose documentation answers it, such as ``subprocess.run``.
    :param reference: A short answer that a gold symbol's passage contains word for word.
    :param python: The Python versions that it holds for, as a version specifier; empty for all supported versions.
    """

    id: str
    text: str
    kind: str
    gold: tuple[str, ...]
    reference: str
    python: str = ""


def load_questions(kind: str | None = None) -> list[Question]:
    """Return the shipped questions that hold for the running Python, in file order.

    :param kind: The kind of questions to return. Default: all kinds.
    """
    questions: list[Question] = []
    for name in QUESTION_FILES:
        lines = (demo_data() / "questions" / name).read_text(encoding="utf-8").splitlines()
        for row in map(json.loads, filter(str.strip, lines)):
            question = Question(**{**row, "gold": tuple(row["gold"])})
            if SpecifierSet(question.python).contains(platform.python_version(), prereleases=True):
                questions.append(question)
    return [question for question in questions if kind in (None, question.kind)]


def relevant_passages(question: Question, corpus: Iterable[Passage]) -> list[str]:
    """Return the ids of the passages that answer `question`: the parts of its gold symbols that contain the reference.

    Letter case and white space are ignored.
    """
    reference = _folded(question.reference)
    return [
        passage.id
        for passage in corpus
        if passage.metadata.get("symbol") in question.gold and reference in _folded(passage.content)
    ]


def demo_qrels(questions: Iterable[Question], corpus: Sequence[Passage]) -> dict[str, dict[str, int]]:
    """Return relevance judgements as ``{question id: {passage id: 1}}``."""
    return {question.id: dict.fromkeys(relevant_passages(question, corpus), 1) for question in questions}


def demo_dataset(corpus: Sequence[Passage]) -> Dataset:
    """Return the shipped questions about `corpus` as a dataset. Questions about other modules are left out."""
    questions = load_questions()
    qrels = {id: judgements for id, judgements in demo_qrels(questions, corpus).items() if judgements}
    queries = [
        Query(question.id, question.text, question.kind, (question.reference,))
        for question in questions
        if question.id in qrels
    ]
    return Dataset("demo", queries, qrels, left_out=len(questions) - len(queries))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
