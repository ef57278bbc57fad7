"""One query in both retrievers: the passages side by side, how ranks change, what moved the vector, the answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..bridge.base import DEFAULT_STRENGTH
from ..bridge.corpus import strength_with
from ..evaluation.keyword_heaviness import RECOGNISABLE, rare_units
from ..explain import Explanation
from ..generation import Answer
from ..generation.answer import MARK
from ..lexical.excerpt import CHARACTERS, Piece, excerpt
from ..passage import Hit
from ..retriever import CANDIDATES, Retriever
from ..store.passage_store import PassageStore
from ..utils.text import without_controls
from .question import Asked

NAME = 80
"""Characters of what a passage is called."""
FIELDS = 5
"""Fields of its metadata that are shown."""
LONGEST = 20_000
"""Characters of a whole passage that are shown."""


@dataclass(frozen=True)
class ShownHit:
    """A passage in a column.

    :param rank: From 1.
    :param other_rank: Its rank in the other column; None where it is not among that search's candidates.
    :param name: Its title, or else how it begins, with the query's words marked.
    :param pieces: An excerpt with the query's words marked.
    :param whole: All of it, where the excerpt is only a part.
    :param source: Its metadata in short, such as ``page: 7``.
    """

    hit: Hit
    rank: int
    other_rank: int | None
    name: list[Piece]
    pieces: list[Piece]
    whole: list[Piece]
    source: str


@dataclass(frozen=True)
class Comparison:
    """What both retrievers make of a query.

    :param vanilla: The column of the backbone alone.
    :param lsb: The column of LexSemBridge.
    :param explanation: What moved the vector; None where nothing modulates it.
    """

    vanilla: list[ShownHit]
    lsb: list[ShownHit]
    explanation: Explanation | None


@dataclass(frozen=True)
class AnswerPart:
    """A stretch of an answer, or with a `rank` the citation of the passage of that rank."""

    text: str
    rank: int | None = None


def compare(store: PassageStore, asked: Asked) -> Comparison:
    """Search with both retrievers.

    :raises InvalidInputError: For a blank query, or an unknown passage.
    :raises StoreError: When Chroma fails.
    """
    lsb = retriever(store, asked)
    theirs, ours = (one.search(asked.query, CANDIDATES) for one in (retriever(store, asked, vanilla=True), lsb))
    analyze = store.encoder.analyze
    marked = rare_units(asked.query, store.bridge.statistics, analyze, RECOGNISABLE)
    explanation = lsb.explain(asked.query, asked.passage or None) if lsb.strength != 0 and ours else None
    return Comparison(_column(theirs, ours, asked.k, marked), _column(ours, theirs, asked.k, marked), explanation)


def retriever(store: PassageStore, asked: Asked, *, vanilla: bool = False) -> Retriever:
    """LexSemBridge as it was asked for, or the backbone alone."""
    return Retriever(store, vanilla=True) if vanilla else Retriever(store, strength=asked.strength, rerank=asked.rerank)


def own_strength(store: PassageStore) -> float:
    """The strength of a collection where none is asked for."""
    encoder = store.encoder
    bridge = store.bridge if encoder.bridge is None else encoder.bridge
    return strength_with(bridge, encoder.strength)


def strongest(store: PassageStore) -> float:
    """The strength at which the slider ends: twice what is usual for the fusion, or the collection's own."""
    return 2 * max(DEFAULT_STRENGTH[store.encoder.fusion], own_strength(store))


def cited(answer: Answer, hits: Sequence[Hit]) -> list[AnswerPart]:
    """An answer in parts, its citations numbered by the rank of the passages they lead to."""
    ranks = {hit.id: rank for rank, hit in enumerate(hits, start=1)}
    text, parts, at = without_controls(answer.text), list[AnswerPart](), 0
    for start, end in answer.marks or [found.span() for found in MARK.finditer(text)]:
        numbers = [int(number) for number in re.findall(r"\d+", text[start:end])]
        if all(1 <= number <= len(answer.citations) for number in numbers):
            cited_ranks = [ranks[answer.citations[number - 1]] for number in numbers]
            parts += [AnswerPart(text[at:start]), *(AnswerPart(f"[{rank}]", rank) for rank in cited_ranks)]
            at = end
    return [part for part in (*parts, AnswerPart(text[at:])) if part.text]


def _column(hits: Sequence[Hit], others: Sequence[Hit], k: int, marked: frozenset[str]) -> list[ShownHit]:
    elsewhere = {hit.id: rank for rank, hit in enumerate(others, start=1)}
    return [_shown(hit, rank, elsewhere.get(hit.id), marked) for rank, hit in enumerate(hits[:k], start=1)]


def _shown(hit: Hit, rank: int, other_rank: int | None, marked: frozenset[str]) -> ShownHit:
    name = excerpt(" ".join((hit.title or hit.body[: 2 * NAME]).split())[:NAME], marked)
    whole = excerpt(hit.body, marked, LONGEST) if len(hit.body) > CHARACTERS else []
    return ShownHit(hit, rank, other_rank, name, excerpt(hit.body, marked), whole, _source(hit))


def _source(hit: Hit) -> str:
    """What a reader may know a passage by; not a framework's own fields, which begin with _, nor long ones."""
    shown = {
        name: str(value) for name, value in hit.metadata.items() if not name.startswith("_") and value != hit.title
    }
    short = [f"{name}: {value}" for name, value in sorted(shown.items()) if 0 < len(value) <= NAME]
    return without_controls(" · ".join(short[:FIELDS]))
