"""What is counted of a corpus, and how it is asked for, wherever it is kept."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counted:
    """What is counted of some units.

    :param units: Those of the units asked for that a passage contains, in the order asked for.
    :param df: Number of passages that contain each.
    :param sums: Sum of the vectors of the passages that contain each, float64 of shape ``[len(units), d]``.
    """

    units: list[str]
    df: NDArray[np.int64]
    sums: NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """What is counted of one record of a collection.

    :param digest: Of the text, to see whether it changed.
    :param units: The units of its text, with repetitions.
    :param vector: Its vector at length 1, shape ``[d]``; None for a record without a text or with a vector that is not
        finite, which is known but not counted.
    """

    id: str
    digest: bytes
    units: Sequence[str]
    vector: NDArray[Any] | None


@runtime_checkable
class Statistics(Protocol):
    """What the bridge and the lexical rerank read: in memory (:class:`CorpusStatistics`), or from a file."""

    dimension: int
    lock: threading.RLock
    """Held by whoever reads several of the numbers together."""

    @property
    def version(self) -> int:
        """Another number after every change."""
        ...

    @property
    def n_passages(self) -> int:
        """Number of passages counted."""
        ...

    @property
    def average_length(self) -> float:
        """Units in an average passage."""
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
        """Number of passages that contain `unit`."""
        ...

    def idf(self, unit: str) -> float:
        """:func:`idf` of `unit`."""
        ...

    def look_up(self, units: Sequence[str]) -> Counted:
        """Everything counted of `units`; those that no passage contains are left out."""
        ...

    def save(self, path: Path, about: Mapping[str, str | int] | None = None) -> None:
        """Write them to one safetensors file, see :meth:`lsb_rag.corpus_statistics.CorpusStatistics.save`."""
        ...


def idf(df: int, n_passages: int) -> float:
    """``log(1 + (N - df + 0.5) / (df + 0.5))``, as in BM25 (Lucene's form, always positive)."""
    return math.log1p((n_passages - df + 0.5) / (df + 0.5))


def at_unit_length(vectors: Any) -> NDArray[np.float64]:
    """Vectors as they are counted: float64, divided by their lengths, shape ``[n, d]``; zeros stay zeros."""
    rows = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1.0))


def text_digest(text: str | None) -> bytes:
    """By which a changed text is known."""
    return hashlib.blake2b((text or "").encode("utf-8", "surrogatepass"), digest_size=16).digest()
