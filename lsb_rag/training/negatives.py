"""Hard negatives: passages that the backbone takes for an answer and that are not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..utils.progress import Progress
from .pairs import Pair, answers
from .passage_vectors import passage_vectors

FIRST, LAST = 1, 30
"""Ranks to draw from. The very first passages are the likeliest to be answers that nobody marked."""
ALIKE = 0.95
"""A passage at this cosine or more to the right one is as good as it, and no negative."""
BATCH = 256


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
    """`pairs`, those without negatives with `n` each: passages among the 2nd to 30th nearest to the query.

    Left out are all the positives of the query, and whatever lies within a cosine of .95 of the right passage. Where
    too few are left, a pair gets fewer.

    :param encoder: Its backbone ranks; the bridge stays out of it.
    :param texts: The passages to draw from.
    :param vectors: Theirs, float32 of shape ``[n, d]`` at length 1, such as a collection stores; embedded if None.
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
    right = answers(pairs)
    mined = list(pairs)
    open_rows = [row for row, pair in enumerate(pairs) if not pair.negatives]
    for start in range(0, len(open_rows), BATCH):
        rows = open_rows[start : start + BATCH]
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
