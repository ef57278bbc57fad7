"""Hard negatives: passages that the backbone takes for an answer, but that are none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..utils.arguments import checked
from ..utils.batches import batched
from ..utils.progress import Progress
from .pairs import Pair, answers_by_query
from .passage_vectors import passage_vectors

FIRST, LAST = 1, 30
"""Ranks to draw from, counted from 0. The very first passage is the likeliest to be an answer that nobody marked."""
ALIKE = 0.95
"""A passage at this cosine or more to the right one is as good as it, and not a negative."""
BATCH = 256


@checked
def mine_negatives(
    encoder: LexSemBridgeEncoder,
    pairs: Sequence[Pair],
    texts: Sequence[str],
    vectors: NDArray[np.float32] | None = None,
    *,
    n: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Pair]:
    """Return `pairs`, with `n` negatives for each that has none, drawn from the 2nd to 30th nearest to its query.

    All positives of the query are left out, and all passages at a cosine of .95 or more to the right one. If too few
    are left, a pair gets fewer.

    :param encoder: The encoder whose backbone ranks, without the bridge.
    :param texts: The passages to draw from.
    :param vectors: Vectors of `texts`, float32 of shape ``[n, d]`` at length 1, as a collection stores them. None
        embeds the texts.
    :param progress: Called with the number of texts embedded and the total.
    :raises InvalidInputError: For an n below 1, or vectors that do not fit the texts.
    """
    if n < 1:
        raise InvalidInputError(f"n must be at least 1, not {n}.")
    if vectors is None:
        vectors = passage_vectors(encoder, texts, progress)
    if vectors.shape != (len(texts), encoder.dimension):
        raise InvalidInputError(f"Vectors of shape {vectors.shape} do not fit {len(texts)} texts.")
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    row_of = {text: row for row, text in enumerate(texts)}
    right = answers_by_query(pairs)
    mined = list(pairs)
    open_rows = [row for row, pair in enumerate(pairs) if not pair.negatives]
    for rows in batched(open_rows, BATCH):
        queries = encoder.embed_query([pairs[row].query for row in rows])
        nearest = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :LAST]
        for row, ranked in zip(rows, nearest, strict=True):
            pair = pairs[row]
            own = row_of.get(pair.positive)
            candidates = [
                int(one)
                for one in ranked[FIRST:LAST]
                if texts[one] not in right[pair.query] and (own is None or vectors[one] @ vectors[own] < ALIKE)
            ]
            chosen = draw.sample(candidates, min(n, len(candidates)))
            mined[row] = replace(pair, negatives=tuple(dict.fromkeys(texts[one] for one in chosen)))
    return mined
