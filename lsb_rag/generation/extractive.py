"""The extractive generator: it quotes what best supports the question, without a language model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..confidence import ANSWER, spread_out
from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.coverage import Coverage
from ..lexical.identifiers import AS_A_PART, alike, held, identifiers
from ..lexical.information import information, least_information
from ..lexical.units import words
from ..passage import Hit
from ..sentences.quotation import LONGEST, quotations
from ..sentences.table import SentenceTable
from ..utils.arguments import checked
from .answer import NO_ANSWER, Answer, Quote, answer_from_quotes
from .embedded_sentences import EmbeddedSentences, SentenceEncoder
from .guard import missing_identifiers, nothing_mentions

MIN_CONFIDENCE = 0.07
"""Least confidence of an answer, chosen by ``benchmarks.quality.confidence``."""
LEXICAL_WEIGHT = 0.5
RANK_WEIGHT = 0.05
"""What a passage loses by each e-fold of its rank."""
MOST_EMBEDDED = 8
"""Most quotations that are embedded for one question; of more, those that share most with it."""
DEFINES_WEIGHT = 0.2
"""What a definition gains whose term is what the question names."""
ADDS = 0.1
"""Least share of the question that a second quotation adds to the first, where it is not near."""
ADDED_WEIGHT = 0.5
MARGIN = 0.3
"""Most that the support of a second quotation may lie below that of the first to be near."""
_ABOUT_CODE = re.compile(
    r"\b(?:code|snippets?|examples?|syntax|listing|command line|script|beispiele?)\b", re.IGNORECASE
)
_PRONOUN = re.compile(r"(?:This|That|These|Those|They|Such|It|Diese[rsmn]?|Dies|Solche[rsmn]?|Sie|Es)\b")


@dataclass(frozen=True)
class Candidate:
    """A unit of quotation of a retrieved passage.

    :param text: What would be quoted.
    :param hit: Position of its passage among the hits.
    :param start: Where its source begins in the passage.
    :param end: Where its source ends.
    :param spoken: Its text with the passage's title and its term, which count for each of its units.
    :param term: Of a part of a definition: what that says the meaning of; else an empty string.
    :param begins: Whether it is the beginning of a definition, with its term.
    :param leads: Whether it may be quoted first; else only beside one that may.
    """

    text: str
    hit: int
    start: int
    end: int
    spoken: str
    term: str = ""
    begins: bool = False
    leads: bool = True


@dataclass(frozen=True)
class Support:
    """How well candidates support a question.

    :param cosines: Their cosines to the question, spread out over the whole space, shape ``[n]``.
    :param shares: The share of the question's information in each unit of the question, ``{unit: share}``.
    :param units: The units of the question that each candidate holds.
    :param total: Cosine, weighted lexical share, rank of the passage and what a definition gains together, shape
        ``[n]``.
    """

    cosines: NDArray[np.float64]
    shares: dict[str, float]
    units: list[set[str]]
    total: NDArray[np.float64]


@checked
class ExtractiveGenerator:
    """Answers with one quotation, and a second one where it adds something.

    What is quoted is a sentence, list item, table row, definition or signature of a passage. Where the question names
    identifiers, the quotation or its passage holds them, see :mod:`lsb_rag.generation.guard`. Dense and lexical support
    are measured with the backbone alone, within the passages given, so of the retriever nothing but their order counts.

    :param encoder: The encoder whose backbone measures the support.
    :param sentences: The largest number of units to quote: 1 or 2.
    :param min_confidence: Least confidence of the best one; with less, the answer is
        :data:`~lsb_rag.generation.answer.NO_ANSWER`.
    :param table: Sentence vectors of the collection that the passages come from,
        :attr:`lsb_rag.PassageStore.sentences`. Without it, sentences are embedded for each question.
    """

    name = "extractive"

    def __init__(
        self,
        encoder: SentenceEncoder,
        *,
        sentences: int = 2,
        min_confidence: float = MIN_CONFIDENCE,
        table: SentenceTable | None = None,
    ) -> None:
        self.encoder = encoder
        self.sentences = sentences
        self.min_confidence = min_confidence
        self._vectors = EmbeddedSentences(encoder, table)

    def answer(self, question: str, hits: Sequence[Hit]) -> Answer:
        """Answer with quotes, see :class:`~lsb_rag.generation.answer.Generator`."""
        background = self.encoder.background
        passages = [hit.titled_text for hit in hits]
        missing = missing_identifiers(question, passages, background)
        asked = Coverage(question, background)
        candidates = _candidates(question, hits)
        bound = candidates if missing else _bound(candidates, hits, asked.identifiers)
        bound = _most_alike(question, bound, asked.identifiers, background)
        if not any(one.leads for one in bound):
            return Answer(nothing_mentions(missing) if missing else NO_ANSWER)
        cosines = self._vectors.cosines(question, [(hits[one.hit], one.text) for one in bound])
        cosines = spread_out(cosines, self.encoder.spread)
        support = _support(question, bound, cosines, asked.identifiers, background)
        first = int(np.argmax(np.where([one.leads for one in bound], support.total, -np.inf)))
        best = bound[first]
        holds = not missing if missing or asked.identifiers else None
        confidence = ANSWER(float(support.cosines[first]), asked.share(best.spoken), holds)
        if missing or confidence < self.min_confidence:
            text = nothing_mentions(missing) if missing else NO_ANSWER
            return Answer(text, confidence=confidence, nearest=Quote(best.text, hits[best.hit].id))
        chosen = [best]
        if self.sentences > 1:
            second = _second(bound, support, first, asked.identifiers)
            chosen += [] if second is None else [bound[second]]
        chosen = [_with_what_it_means(one, candidates, hits, asked.identifiers) for one in chosen]
        chosen = [one for one in chosen if not any(_holds(other, one) for other in chosen)]
        chosen.sort(key=lambda one: (one.hit, one.start))
        by_passage = {one.hit: _with_term([other for other in chosen if other.hit == one.hit]) for one in chosen}
        quotes = [Quote(" … ".join(texts), hits[hit].id) for hit, texts in by_passage.items()]
        return answer_from_quotes(quotes, confidence)


def _with_what_it_means(
    chosen: Candidate, candidates: Sequence[Candidate], hits: Sequence[Hit], names: Sequence[str]
) -> Candidate:
    """Return a sentence that begins with a pronoun together with the one before it; any other as it is."""
    if chosen.term or not _PRONOUN.match(chosen.text):
        return chosen
    body = hits[chosen.hit].body
    for one in candidates:
        if one.hit == chosen.hit and one.end <= chosen.start and body[one.end : chosen.start].isspace():
            text = f"{one.text} {chosen.text}"
            if len(text) <= LONGEST and _silent(one, names):
                return replace(chosen, text=text, start=one.start, spoken=f"{one.spoken} {chosen.text}")
    return chosen


def _holds(candidate: Candidate, other: Candidate) -> bool:
    """Whether a candidate is another one with more before it."""
    return (candidate.hit, candidate.start) == (other.hit, other.start) and candidate.end > other.end


def _with_term(chosen: Sequence[Candidate]) -> list[str]:
    """Return the texts of quotations from one passage; a later part of a definition comes behind its term."""
    first = chosen[0]
    named = not first.term or first.begins or len(first.term) + len(first.text) > LONGEST
    return [*([] if named else [f"{first.term}:"]), *(one.text for one in chosen)]


def _candidates(question: str, hits: Sequence[Hit]) -> list[Candidate]:
    """Return what may be quoted, each text once. Headings never are.

    Code is where it is asked for, where a passage holds nothing else, and where there is nothing else at all.
    """
    about_code = bool(_ABOUT_CODE.search(question))
    found: dict[str, Candidate] = {}
    code: dict[str, Candidate] = {}
    for position, hit in enumerate(hits):
        units = quotations(hit.body)
        all_code = all(unit.kind in ("code", "heading") for unit in units)
        for unit in units:
            begins = unit.kind == "definition"
            term = unit.term or (unit.text.partition(": ")[0] if begins else "")
            spoken = unit.text if begins else f"{term} {unit.text}"
            candidate = Candidate(unit.text, position, unit.start, unit.end, f"{hit.title} {spoken}", term, begins)
            if unit.kind != "heading":
                to = code if unit.kind == "code" and not (about_code or all_code) else found
                to.setdefault(unit.text, candidate)
    return [*found.values()] or [*code.values()]


def _bound(candidates: Sequence[Candidate], hits: Sequence[Hit], names: Sequence[str]) -> list[Candidate]:
    """Return the candidates of the passages that hold most of the identifiers asked for, in the best way any does.

    Where one of them is defined, its definition leads. Else one that holds them itself leads. Under a title that holds
    them, so do those that name no other identifier of the kind; elsewhere these may only stand beside it, unless no
    unit holds any.
    """
    passages = [hit.titled_text for hit in hits]
    best = {name: tier for name in names if (tier := max(held(name, text) for text in passages))}
    if not best:
        return [*candidates]

    def count(text: str) -> int:
        return sum(held(name, text) == tier for name, tier in best.items())

    in_passage = [count(text) for text in passages]
    in_title = [count(hit.title) for hit in hits]
    allowed = [one for one in candidates if in_passage[one.hit] == max(in_passage)]
    own = [count(f"{one.term}: {one.text}") for one in allowed]
    silent = [_silent(one, names) for one in allowed]
    nowhere = not any(own)
    defined = any(_defines(one, names) for one in allowed)
    return [
        replace(
            one,
            leads=(held_here == max(own) > 0 or (is_silent and (nowhere or in_title[one.hit] > 0)))
            and (_defines(one, names) or not (defined and one.term)),
        )
        for one, held_here, is_silent in zip(allowed, own, silent, strict=True)
        if held_here or is_silent
    ]


def _silent(candidate: Candidate, names: Sequence[str]) -> bool:
    """Whether a candidate names no other identifier of the kind of those asked for."""
    others = [one for one in identifiers(candidate.text) if one.casefold() not in {name.casefold() for name in names}]
    return not any(alike(name, other) for name in names for other in others)


def _defines(candidate: Candidate, names: Sequence[str]) -> bool:
    return bool(candidate.term) and any(held(name, candidate.term) > AS_A_PART for name in names)


def _most_alike(
    question: str, candidates: list[Candidate], names: Sequence[str], background: BackgroundFrequency | None
) -> list[Candidate]:
    """Return at most :data:`MOST_EMBEDDED` candidates, in their order."""
    if len(candidates) <= MOST_EMBEDDED:
        return candidates
    shares, units = _lexical(question, candidates, background)
    worth = [
        sum(shares[unit] for unit in sorted(of_one)) - RANK_WEIGHT * np.log1p(one.hit) + _defines(one, names)
        for one, of_one in zip(candidates, units, strict=True)
    ]
    kept = sorted(np.argsort(-np.array(worth), kind="stable")[:MOST_EMBEDDED])
    return [candidates[i] for i in kept]


def _support(
    question: str,
    candidates: Sequence[Candidate],
    cosines: NDArray[np.float64],
    names: Sequence[str],
    background: BackgroundFrequency | None,
) -> Support:
    shares, units = _lexical(question, candidates, background)
    lexical = np.array([sum(shares[unit] for unit in sorted(of_one)) for of_one in units])
    ranks = np.array([one.hit for one in candidates])
    total = cosines + LEXICAL_WEIGHT * lexical - RANK_WEIGHT * np.log1p(ranks)
    total += DEFINES_WEIGHT * np.array([one.begins and _defines(one, names) for one in candidates])
    return Support(cosines, shares, units, total)


def _lexical(
    question: str, candidates: Sequence[Candidate], background: BackgroundFrequency | None
) -> tuple[dict[str, float], list[set[str]]]:
    """Return the share of the question's information in each of its units, and those that each candidate holds.

    Document frequencies count these candidates. What none of them holds counts nothing.
    """
    asked = dict.fromkeys(words(question))
    units = [asked.keys() & set(words(one.spoken)) for one in candidates]
    df = {unit: sum(unit in of_one for of_one in units) for unit in asked}
    df = {unit: count for unit, count in df.items() if count}
    worth = information(df, df, len(candidates), background or BackgroundFrequency())
    total = max(sum(worth.values()), least_information(len(candidates)))
    return {unit: value / total for unit, value in worth.items()}, units


def _second(candidates: Sequence[Candidate], support: Support, first: int, names: Sequence[str]) -> int | None:
    """Return the position of a second candidate that adds to the first, or None.

    It holds what the first lacks of the question, and its support is near that of the first; one from the same passage
    comes first, and may lie further away where it adds much. It names no other identifier of the kind asked for.
    """
    lacking = support.shares.keys() - support.units[first]
    added = [sum(support.shares[unit] for unit in sorted(lacking & of_one)) for of_one in support.units]
    least = support.total[first] - MARGIN

    def adds(position: int) -> bool:
        same_passage = candidates[position].hit == candidates[first].hit
        near = bool(support.total[position] >= least)
        return (near and added[position] > 0) or (same_passage and added[position] >= ADDS)

    order = sorted(
        (position for position in range(len(candidates)) if position != first and adds(position)),
        key=lambda position: (
            candidates[position].hit != candidates[first].hit,
            -support.total[position] - ADDED_WEIGHT * added[position],
        ),
    )
    return next((position for position in order if _silent(candidates[position], names)), None)
