"""Vectors of the sentences of a passage, each number in four bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 7
"""Largest whole number that stands for a number of a vector; 0 lies in the middle."""


@dataclass(frozen=True)
class SentenceVectors:
    """The vectors of a passage's sentences, as directions, and that of its title.

    The numbers of a vector, divided by its largest, become whole numbers from -7 to 7. On 2,067 passages of 384
    dimensions that changed a cosine by .005 on average.

    :param packed: uint8, shape ``[n, ceil(d / 2)]``; a byte holds a number of the vector's first half in its lower four
        bits, and one of its second half in the upper ones.
    :param dimension: Width d.
    :param titled: Whether the last one is the vector of the title.
    """

    packed: NDArray[np.uint8]
    dimension: int
    titled: bool = False

    def __len__(self) -> int:
        """Return the number of sentences."""
        return len(self.packed) - self.titled

    @classmethod
    def of(cls, vectors: NDArray[np.float32], *, titled: bool = False) -> SentenceVectors:
        """Pack vectors of any length, shape ``[n, d]``."""
        n, d = vectors.shape
        largest = np.abs(vectors).max(axis=1, initial=0, keepdims=True)
        whole = np.zeros((n, d + d % 2), np.uint8)
        whole[:, :d] = np.rint(vectors / np.where(largest > 0, largest, 1) * LEVELS) + LEVELS
        whole[:, d:] = LEVELS
        half = whole.shape[1] // 2
        return cls(whole[:, :half] | whole[:, half:] << 4, d, titled)

    @classmethod
    def from_bytes(cls, content: bytes, dimension: int, *, titled: bool = False) -> SentenceVectors:
        """Return what :meth:`to_bytes` gave."""
        return cls(np.frombuffer(content, np.uint8).reshape(-1, (dimension + 1) // 2), dimension, titled)

    def to_bytes(self) -> bytes:
        """Return the packed vectors, one after another."""
        return self.packed.tobytes()

    def alone(self) -> NDArray[np.float64]:
        """Return the vectors of the sentences at length 1, shape ``[n, d]``."""
        return _unpacked(self.packed, self.dimension)[: len(self)]

    def in_context(self) -> NDArray[np.float64]:
        """Return the directions halfway between each sentence and the title, at length 1, shape ``[n, d]``."""
        vectors = _unpacked(self.packed, self.dimension)
        return _at_unit_length(vectors[:-1] + vectors[-1]) if self.titled else vectors


def cosines(
    passages: Sequence[SentenceVectors], query: NDArray[np.float32], *, in_context: bool
) -> list[NDArray[np.float64]]:
    """Return the cosines of a query's vector and the sentences of several passages, shape ``[n]`` for each passage.

    :param query: Of length 1, shape ``[d]``.
    :param in_context: Compare the query with :meth:`SentenceVectors.in_context`, else with the sentences alone.
    """
    if not passages:
        return []
    vectors = _unpacked(np.concatenate([one.packed for one in passages]), len(query))
    # Unlike a matrix product, the same to the last bit whatever other sentences are looked at.
    products = np.einsum("nd,d->n", vectors, query.astype(np.float64))
    found, start = [], 0
    for one in passages:
        end = start + len(one)
        of_one = products[start:end]
        if one.titled and in_context:
            to_title = np.einsum("nd,d->n", vectors[start:end], vectors[end])
            of_one = (of_one + products[end]) / np.sqrt(np.maximum(2 + 2 * to_title, 1e-12))
        found.append(of_one)
        start = end + one.titled
    return found


def _unpacked(packed: NDArray[np.uint8], dimension: int) -> NDArray[np.float64]:
    whole = np.concatenate([packed & 15, packed >> 4], axis=1)[:, :dimension]
    return _at_unit_length(whole.astype(np.float64) - LEVELS)


def _at_unit_length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0)[:, None])
