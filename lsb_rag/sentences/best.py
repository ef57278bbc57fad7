"""The best sentence of each of the best candidates, and what it does to their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..passage import Hit
from .table import SentenceTable, sentences_of
from .vectors import cosines

CONSIDERED = 10
"""Candidates of which sentences are looked at: the best ones without their sentences. The number does not depend on how
many hits are asked for, so fewer hits are the first of more."""
LEAST = 2
"""Sentences of a passage for one of them to count. One alone is the passage, whose own vector says all of it."""


def best_by_sentences(
    table: SentenceTable, candidates: Sequence[Hit], vector: NDArray[np.float32], k: int
) -> list[Hit]:
    """Return the `k` best candidates, best first, with the best sentence of the first ten in their scores.

    :param candidates: Best first by their scores without sentences; equal ones by id.
    :param vector: The query's vector of length 1, shape ``[d]``.
    """
    considered = candidates[:CONSIDERED]
    best: dict[str, int] = {}
    scored: list[Hit] = []
    for hit, found in zip(considered, cosines(table.of(considered), vector, in_context=True), strict=True):
        if len(found):
            best[hit.id] = int(np.argmax(found))
        scored.append(_scored(hit, float(found.max())) if len(found) >= LEAST else hit)
    hits = sorted([*scored, *candidates[CONSIDERED:]], key=lambda hit: (-hit.score, hit.id))[:k]
    return [replace(hit, sentence=sentences_of(hit)[best[hit.id]].text) if hit.id in best else hit for hit in hits]


def best_sentence(
    table: SentenceTable, hit: Hit, vector: NDArray[np.float32]
) -> tuple[str, NDArray[np.float64]] | None:
    """Return a passage's best sentence, and the vector of length 1 that counts for it, shape ``[d]``.

    :return: None for a passage of one sentence, or of none.
    """
    [of_hit] = table.of([hit])
    if len(of_hit) < LEAST:
        return None
    number = int(np.argmax(cosines([of_hit], vector, in_context=True)[0]))
    return sentences_of(hit)[number].text, of_hit.in_context()[number]


def _scored(hit: Hit, sentence_cosine: float) -> Hit:
    with_sentence = replace(hit, sentence_cosine=sentence_cosine)
    return replace(with_sentence, score=hit.score + with_sentence.dense - hit.cosine)
