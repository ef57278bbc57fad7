"""The statistics of a corpus: what is counted, and the protocol for reading it, wherever it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

FORMAT = "lsb-rag corpus statistics 4"
"""Format of the statistics, in a file and on disk; statistics of another format are fitted again."""

WIDE = 1024
"""Width of vectors from which on a matrix of d x d is costly to write and to invert, and both are done sparingly."""
OUTER_ROWS = 4096
"""Wide vectors whose outer products are summed at once, so that not all of them are held in float64."""


@dataclass(frozen=True)
class Record:
    """What is counted of one record of a collection.

    :param id: Its id in the collection.
    :param digest: Digest of its text, to detect a change.
    :param units: Units of its text, with repetitions.
    :param vector: Its vector at length 1, shape ``[d]``. None for a record that is known but not counted: without a
        text, or with a vector that is not finite.
    """

    id: str
    digest: bytes
    units: Sequence[str]
    vector: NDArray[Any] | None


@runtime_checkable
class Statistics(Protocol):
    """What the bridge and the lexical rerank read, in memory (:class:`CorpusStatistics`) or from a file."""

    dimension: int

    def at_once(self) -> AbstractContextManager[None]:
        """Return a context in which all readings see the same state."""
        ...

    @property
    def version(self) -> int:
        """A number that differs after every change."""
        ...

    @property
    def n_passages(self) -> int:
        """Number of passages counted."""
        ...

    @property
    def average_length(self) -> float:
        """Average number of units in a passage."""
        ...

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean passage vector, shape ``[d]``."""
        ...

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the passage vectors, shape ``[d, d]``."""
        ...

    def df(self, unit: str) -> int:
        """Return the number of passages that hold `unit`."""
        ...

    def idf(self, unit: str) -> float:
        """Return :func:`lsb_rag.lexical.information.idf` of `unit`."""
        ...

    def look_up(self, units: Sequence[str]) -> dict[str, int]:
        """Return :meth:`df` of those `units` that a passage holds, in the order given."""
        ...

    def postings(self, units: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of the passages that hold each unit, one unit after another, and their count by unit.

        :param units: At least one unit, each once, and only units that a passage holds.
        """
        ...

    def vectors(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the vectors of passages, as they were counted, shape ``[len(numbers), d]``.

        :param numbers: Numbers from :meth:`postings`, rising, within the same :meth:`at_once`.
        """
        ...

    def save(self, path: Path, about: Mapping[str, str | int] | None = None) -> None:
        """Write one safetensors file, see :meth:`lsb_rag.statistics.in_memory.CorpusStatistics.save`."""
        ...


def at_unit_length(vectors: Any) -> NDArray[np.float64]:
    """Return the vectors divided by their lengths, float64, shape ``[n, d]``; zeros stay zeros."""
    rows = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))


def as_counted(vectors: Any, n: int, dimension: int) -> NDArray[np.float16]:
    """Return the vectors as they are counted, in float16.

    A float16 below 2 is a multiple of 2^-24, so a float64 holds the sum of half a billion of them exactly. The sum is
    therefore the same bit for bit in whatever order passages come and go.

    :return: Shape ``[n, dimension]``.
    :raises InvalidInputError: For another shape, or a vector that is not finite.
    """
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        matrix = np.asarray(vectors).astype(np.float16)
    if matrix.shape != (n, dimension):
        raise InvalidInputError(f"Vectors of shape {matrix.shape} do not fit {n} passages of {dimension} dimensions.")
    if not np.isfinite(matrix).all():
        raise InvalidInputError("A passage vector holds NaN or infinity; embed that passage again.")
    return matrix


def outer_sum(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return the sum of the outer products of vectors as they are counted, shape ``[d, d]``."""
    n, dimension = vectors.shape
    step = OUTER_ROWS if dimension >= WIDE else max(n, 1)  # narrow ones at once, as sums in files were made
    total = np.zeros((dimension, dimension))
    for start in range(0, n, step):
        exact = vectors[start : start + step].astype(np.float64)
        total += exact.T @ exact
    return total


def covariance_of(outer_sum: NDArray[np.float64], mean: NDArray[np.float64], n_passages: int) -> NDArray[np.float64]:
    """Return the covariance from the sum of the vectors' outer products, shape ``[d, d]``."""
    covariance = outer_sum / max(n_passages, 1)
    covariance -= np.outer(mean, mean)
    return covariance
