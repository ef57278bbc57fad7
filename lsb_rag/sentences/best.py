"""The best sentence of each of the best candidates, and what it does to their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..passage import Hit
from .table import SentenceTable, sentences_of
from .vectors import cosines

CONSIDERED = 10
"""Candidates of which sentences are looked at: the best ones without their sentences. The number does not depend on how
many hits are asked for, so fewer hits are the first of more."""


def best_first(hits: Iterable[Hit]) -> list[Hit]:
    """Return hits by descending score; equal ones by id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.id))


def best_by_sentences(
    table: SentenceTable, candidates: Sequence[Hit], vector: NDArray[np.float32], k: int
) -> list[Hit]:
    """Return the `k` best candidates, best first, with the best sentence of the first ten in their scores.

    :param candidates: With their scores without sentences.
    :param vector: The query's vector of length 1, shape ``[d]``.
    """
    ordered = best_first(candidates)
    considered = ordered[:CONSIDERED]
    found = cosines(table.of(considered), vector)
    best = {hit.id: int(np.argmax(of_one)) for hit, of_one in zip(considered, found, strict=True) if len(of_one)}
    with_sentences = [
        _scored(hit, float(of_one.max())) if len(of_one) else hit for hit, of_one in zip(considered, found, strict=True)
    ]
    hits = best_first([*with_sentences, *ordered[CONSIDERED:]])[:k]
    return [replace(hit, sentence=sentences_of(hit)[best[hit.id]].text) if hit.id in best else hit for hit in hits]


def best_sentence(
    table: SentenceTable, hit: Hit, vector: NDArray[np.float32]
) -> tuple[str, NDArray[np.float64]] | None:
    """Return a passage's best sentence and its vector of length 1, shape ``[d]``; None for one without sentences."""
    [vectors] = table.of([hit])
    if not len(vectors):
        return None
    number = int(np.argmax(cosines([vectors], vector)[0]))
    return sentences_of(hit)[number].text, vectors.unpacked()[number]


def _scored(hit: Hit, sentence_cosine: float) -> Hit:
    with_sentence = replace(hit, sentence_cosine=sentence_cosine)
    return replace(with_sentence, score=hit.score + with_sentence.dense - hit.cosine)
