"""Corpus statistics in memory, from which the corpus-fitted bridge is solved.

They hold the passages of each lexical unit, the vector of each passage, and over all passages their number, the sum of
their vectors and the sum of the outer products. Passages are added one by one; the statistics of parts are merged.
"""

from __future__ import annotations

import json
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError, InvalidInputError, ReadError, StoreError
from ..lexical.information import idf
from ..utils.arguments import Width, checked
from ..utils.files import replacing
from .base import FORMAT, as_counted, covariance_of, outer_sum

Vectors = NDArray[np.float16] | NDArray[np.float32] | NDArray[np.float64]


@checked
class CorpusStatistics:
    """Statistics of passages, their units and vectors, for :class:`lsb_rag.bridge.corpus.CorpusBridge`.

    :param dimension: Width d of the passage vectors.
    """

    def __init__(self, dimension: Width) -> None:
        self.dimension = dimension
        self.n_passages = 0
        self.n_units = 0
        """Occurrences of units in all passages; divided by `n_passages`, the average length for BM25."""
        self.version = 0
        """Grows with every change."""
        self.vector_sum: NDArray[np.float64] = np.zeros(dimension)
        self.outer_sum: NDArray[np.float64] = np.zeros((dimension, dimension))
        self._postings: dict[str, array[int]] = {}
        # Grown by doubling; rows past n_passages are unused.
        self._vectors: NDArray[np.float16] = np.zeros((0, dimension), np.float16)
        self._lock = threading.RLock()

    # -- reading ------------------------------------------------------------------------------------------------

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        with self._lock:
            yield

    @property
    def units(self) -> list[str]:
        """All units, in the order they were first added."""
        return list(self._postings)

    def df(self, unit: str) -> int:
        """Return the number of passages that hold `unit`."""
        return len(self._postings.get(unit, ()))

    def idf(self, unit: str) -> float:
        """Return :func:`~lsb_rag.lexical.information.idf` of `unit`."""
        return idf(self.df(unit), self.n_passages)

    def look_up(self, units: Sequence[str]) -> dict[str, int]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        return {unit: len(self._postings[unit]) for unit in units if unit in self._postings}

    def postings(self, units: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        if not units or not all(unit in self._postings for unit in units):
            raise InvalidInputError("Give units that passages hold; look_up() tells which do.")
        by_unit = [np.array(self._postings[unit], np.int64) for unit in units]
        return np.concatenate(by_unit), np.array([len(numbers) for numbers in by_unit], np.int64)

    def vectors(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        try:
            return self._vectors[: self.n_passages][numbers].astype(np.float64)
        except IndexError as error:
            raise InvalidInputError(f"Give the numbers of passages as postings() does ({error}).") from error

    def snapshot(self) -> CorpusStatistics:
        """Return these statistics themselves."""
        return self

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean passage vector, shape ``[d]``."""
        return self.vector_sum / max(self.n_passages, 1)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the passage vectors, shape ``[d, d]``."""
        return covariance_of(self.outer_sum, self.mean, self.n_passages)

    @property
    def average_length(self) -> float:
        """Average number of units in a passage."""
        return self.n_units / max(self.n_passages, 1)

    # -- copies ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = self.__dict__ | {"_vectors": self._vectors[: self.n_passages].copy()}
            state["_postings"] = {unit: array("I", numbers) for unit, numbers in self._postings.items()}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_lock": threading.RLock()}

    # -- growing ------------------------------------------------------------------------------------------------

    def add(self, passages: Sequence[Sequence[str]], vectors: Vectors) -> None:
        """Count passages.

        :param passages: The units of each passage, with repetitions.
        :param vectors: Their vectors, shape ``[len(passages), d]``.
        :raises InvalidInputError: When shapes do not fit or a vector is not finite; nothing is counted then.
        """
        matrix = as_counted(vectors, len(passages), self.dimension)
        if not len(passages):
            return
        with self._lock:
            added: dict[str, list[int]] = {}
            for number, units in enumerate(passages, self.n_passages):
                for unit in dict.fromkeys(units):
                    added.setdefault(unit, []).append(number)
            self._append(added, matrix, sum(map(len, passages)))

    def merge(self, other: CorpusStatistics) -> None:
        """Add the statistics of other passages to these.

        :raises InvalidInputError: When the dimensions differ.
        """
        if other.dimension != self.dimension:
            raise InvalidInputError(f"Statistics of {other.dimension} dimensions do not merge with {self.dimension}.")
        with self._lock, other._lock:
            shifted = {
                unit: [number + self.n_passages for number in numbers] for unit, numbers in other._postings.items()
            }
            self._append(shifted, other._vectors[: other.n_passages], other.n_units)

    def _append(self, postings: Mapping[str, Sequence[int]], matrix: NDArray[np.float16], n_units: int) -> None:
        for unit, numbers in postings.items():
            self._postings.setdefault(unit, array("I")).extend(numbers)
        n = self.n_passages + len(matrix)
        if n > len(self._vectors):
            grown = np.zeros((max(1024, n, 2 * len(self._vectors)), self.dimension), np.float16)
            grown[: self.n_passages] = self._vectors[: self.n_passages]
            self._vectors = grown
        self._vectors[self.n_passages : n] = matrix
        self.vector_sum = self.vector_sum + matrix.sum(axis=0, dtype=np.float64)
        self.outer_sum = self.outer_sum + outer_sum(matrix)
        self.n_passages = n
        self.n_units += n_units
        self.version += 1

    # -- files --------------------------------------------------------------------------------------------------

    def save(self, path: Path, about: Mapping[str, str | int] | None = None) -> None:
        """Write one safetensors file, in one piece or not at all.

        :param about: What the statistics describe; kept as JSON in the file's header and returned by :meth:`load`.
        :raises StoreError: When the disk is full or not writable; an earlier file stays as it was.
        """
        from safetensors.numpy import save_file

        with self._lock:
            tensors = self._tensors()
            header = {"n_units": self.n_units, "about": dict(about or {})}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                save_file(tensors, temporary, metadata={"format": FORMAT, "statistics": json.dumps(header)})
        except Exception as error:
            raise StoreError(f"Cannot write the corpus statistics to {path}: {error}") from error

    def _tensors(self) -> dict[str, NDArray[Any]]:
        postings = [np.array(numbers, np.uint32) for numbers in self._postings.values()]
        return {
            # JSON keeps any string, whatever separators or surrogates it holds.
            "units": np.frombuffer(json.dumps(list(self._postings)).encode("ascii"), np.uint8),
            "df": np.array([len(numbers) for numbers in postings], np.int64),
            "postings": np.concatenate([np.zeros(0, np.uint32), *postings]),
            "vectors": self._vectors[: self.n_passages].copy(),
        }

    @classmethod
    def load(cls, path: Path) -> tuple[CorpusStatistics, dict[str, str | int]]:
        """Read a file written by :meth:`save`.

        :return: The statistics, and what they describe.
        :raises ReadError: When there is no such file.
        :raises CorruptFileError: When it is truncated, damaged or of another format.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise CorruptFileError(
                        f"The statistics in {path} are of another version, or none (not in the format {FORMAT!r}); "
                        "make what they belong to again from its collection, and save that."
                    )
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            header = json.loads(metadata["statistics"])
            loaded = cls(tensors["vectors"].shape[1])
            loaded._restore(tensors, int(header["n_units"]))
        except (FileNotFoundError, NotADirectoryError):
            raise ReadError(f"There are no corpus statistics at {path}.") from None
        except CorruptFileError:
            raise
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError, RecursionError) as error:
            raise CorruptFileError(f"The statistics in {path} are damaged ({error}).") from error
        return loaded, header["about"]

    def _restore(self, tensors: Mapping[str, NDArray[Any]], n_units: int) -> None:
        units = json.loads(tensors["units"].tobytes())
        df, postings = tensors["df"], tensors["postings"]
        if df.shape != (len(units),) or postings.shape != (int(df.sum()),):
            raise ValueError("the tensors do not fit each other")
        n = len(tensors["vectors"])
        if not ((df >= 1).all() and (postings < n).all() and np.isfinite(tensors["vectors"]).all()):
            raise ValueError("it holds impossible numbers")
        parts = np.split(postings.astype(np.uint32), np.cumsum(df)[:-1])
        by_unit = {unit: part.tolist() for unit, part in zip(units, parts, strict=bool(units))}
        self._append(by_unit, as_counted(tensors["vectors"], n, self.dimension), n_units)
