"""One query in both retrievers: passages side by side, changes of rank, the explanation, the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..bridge.base import DEFAULT_STRENGTH
from ..bridge.corpus import strength_with
from ..evaluation.keyword_heaviness import RECOGNISABLE, rare_units
from ..explain import Explanation
from ..generation import Answer
from ..generation.answer import MARK
from ..lexical.excerpt import CHARACTERS, Piece, excerpt
from ..passage import HEADING_KEY, SOURCE_KEY, Hit
from ..retriever import CANDIDATES, Retriever
from ..store.passage_store import PassageStore
from ..utils.text import without_controls
from .question import Question

MAX_NAME_CHARACTERS = 80
"""Longest name of a passage, and longest value of its metadata, that is shown."""
MAX_FIELDS = 5
"""Fields of a passage's metadata that are shown at most."""
MAX_WHOLE_CHARACTERS = 20_000
"""Characters of a whole passage that are shown at most."""


@dataclass(frozen=True)
class ShownHit:
    """A passage in a column.

    :param rank: Its rank, from 1.
    :param other_rank: Its rank in the other column; None where it is not among that search's candidates.
    :param name: Its title, or else its beginning, with the query's words marked.
    :param pieces: An excerpt with the query's words marked.
    :param whole: The whole text, where the excerpt is only a part of it.
    :param source: A summary of its metadata, such as ``page: 7``.
    :param sentence: The sentence that counts in its score; empty where none does, or where it is the whole text.
    """

    hit: Hit
    rank: int
    other_rank: int | None
    name: list[Piece]
    pieces: list[Piece]
    whole: list[Piece]
    source: str
    sentence: list[Piece]


@dataclass(frozen=True)
class Comparison:
    """The results of both retrievers for a query.

    :param vanilla: The column of the backbone alone.
    :param lsb: The column of LexSemBridge.
    :param explanation: What moved the vector; None where nothing modulates it.
    """

    vanilla: list[ShownHit]
    lsb: list[ShownHit]
    explanation: Explanation | None


@dataclass(frozen=True)
class AnswerPart:
    """A part of an answer. With a `rank`, it cites the passage of that rank."""

    text: str
    rank: int | None = None


@dataclass(frozen=True)
class ShownAnswer:
    """The answer of one side.

    :param parts: Its text, and the passages it cites.
    :param confidence: See :class:`~lsb_rag.generation.Answer`.
    :param nearest: What comes nearest to the question where that is no answer, and its passage.
    """

    parts: list[AnswerPart]
    confidence: float = 0.0
    nearest: list[AnswerPart] = field(default_factory=list)


def compare(store: PassageStore, question: Question) -> Comparison:
    """Search with both retrievers.

    :raises InvalidInputError: For a blank query, or an unknown passage.
    :raises StoreError: When Chroma fails.
    """
    lsb = retriever_for(store, question)
    vanilla_hits = retriever_for(store, question, vanilla=True).search(question.query, CANDIDATES)
    lsb_hits = lsb.search(question.query, CANDIDATES)
    marked = rare_units(question.query, store.bridge.statistics, store.encoder.analyze, RECOGNISABLE)
    explanation = None
    if lsb.strength != 0 and lsb_hits:
        explanation = lsb.explain(question.query, question.passage or None)
    return Comparison(
        vanilla=_column(vanilla_hits, lsb_hits, question.k, marked),
        lsb=_column(lsb_hits, vanilla_hits, question.k, marked),
        explanation=explanation,
    )


def retriever_for(store: PassageStore, question: Question, *, vanilla: bool = False) -> Retriever:
    """Return LexSemBridge with the settings of `question`, or the backbone alone."""
    if vanilla:
        return Retriever(store, vanilla=True)
    return Retriever(store, strength=question.strength, rerank=question.rerank)


def default_strength(store: PassageStore) -> float:
    """Return the collection's own strength of the bridge."""
    encoder = store.encoder
    bridge = store.bridge if encoder.bridge is None else encoder.bridge
    return strength_with(bridge, encoder.strength)


def max_strength(store: PassageStore) -> float:
    """Return the end of the slider: twice the fusion's default strength, or twice the collection's if that is more."""
    return 2 * max(DEFAULT_STRENGTH[store.encoder.fusion], default_strength(store))


def shown_answer(answer: Answer, hits: Sequence[Hit]) -> ShownAnswer:
    """Split an answer at its citations. They are numbered by the rank of the passages they lead to."""
    ranks = {hit.id: rank for rank, hit in enumerate(hits, start=1)}
    nearest: list[AnswerPart] = []
    if answer.nearest:
        rank = ranks[answer.nearest.id]
        nearest = [AnswerPart(f"{without_controls(answer.nearest.text)} "), AnswerPart(f"[{rank}]", rank)]
    return ShownAnswer(_parts(answer, ranks), answer.confidence, nearest)


def _parts(answer: Answer, ranks: Mapping[str, int]) -> list[AnswerPart]:
    text = without_controls(answer.text)
    marks = answer.marks or [match.span() for match in MARK.finditer(text)]
    parts: list[AnswerPart] = []
    position = 0
    for start, end in marks:
        numbers = [int(number) for number in re.findall(r"\d+", text[start:end])]
        if not all(1 <= number <= len(answer.citations) for number in numbers):
            continue
        parts.append(AnswerPart(text[position:start]))
        for number in numbers:
            rank = ranks[answer.citations[number - 1]]
            parts.append(AnswerPart(f"[{rank}]", rank))
        position = end
    parts.append(AnswerPart(text[position:]))
    return [part for part in parts if part.text]


def _column(hits: Sequence[Hit], other_hits: Sequence[Hit], k: int, marked: frozenset[str]) -> list[ShownHit]:
    other_ranks = {hit.id: rank for rank, hit in enumerate(other_hits, start=1)}
    return [_shown_hit(hit, rank, other_ranks.get(hit.id), marked) for rank, hit in enumerate(hits[:k], start=1)]


def _shown_hit(hit: Hit, rank: int, other_rank: int | None, marked: frozenset[str]) -> ShownHit:
    name = hit.title or hit.body[: 2 * MAX_NAME_CHARACTERS]
    name = " ".join(name.split())[:MAX_NAME_CHARACTERS]
    return ShownHit(
        hit=hit,
        rank=rank,
        other_rank=other_rank,
        name=excerpt(name, marked),
        pieces=excerpt(hit.body, marked),
        whole=excerpt(hit.body, marked, MAX_WHOLE_CHARACTERS) if len(hit.body) > CHARACTERS else [],
        source=_source(hit),
        sentence=excerpt(hit.sentence, marked) if hit.sentence and hit.sentence != hit.body.strip() else [],
    )


def _source(hit: Hit) -> str:
    """Return the metadata that tells a reader where a passage is from.

    A framework's own fields, which begin with ``_``, and long values are left out.
    """
    named = (SOURCE_KEY, HEADING_KEY) if SOURCE_KEY in hit.metadata else ()  # they are in its citation
    metadata = {
        name: str(value)
        for name, value in hit.metadata.items()
        if not name.startswith("_") and value != hit.title and name not in named
    }
    fields = [f"{name}: {value}" for name, value in sorted(metadata.items()) if 0 < len(value) <= MAX_NAME_CHARACTERS]
    return without_controls(" · ".join(fields[:MAX_FIELDS]))
