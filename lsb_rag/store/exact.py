"""Exact search: the vectors of a small collection in memory, compared without the index.

Chroma keeps a part of an embedded collection, up to a thousand records, in its log alone and puts it into the HNSW
index anew whenever a process opens the database. The threads that do this race, so the index, and what it misses among
similar vectors, differ from process to process. Compared one by one, the same vectors give the same hits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from .embedded import EmbeddedDatabase, FileState
from .records import VectorRecord
from .spaces import Space

EXACT_BYTES = 16 * 2**20
"""Largest size of the float32 vectors of a collection that is searched exactly: 10,922 passages of 384 dimensions.
Comparing these takes a millisecond, reading them when a collection is first searched two tenths of a second."""
ROWS_KEPT = 20_000
"""Most records whose texts are kept beside the vectors."""
TICK_SECONDS = 0.05
"""Time in which two writes may leave the same modification time; on a file system with whole seconds it is longer."""
REST = 10
"""After vectors were read, they are not read again for this many times as long; meanwhile the index is searched."""


@dataclass(frozen=True)
class VectorTable:
    """The vectors of a collection as they were at one time.

    :param ids: Ids in the order the records came.
    :param vectors: float32, shape ``[n, d]``.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    rows: dict[str, VectorRecord] = field(default_factory=dict, compare=False)
    """Records that were found already, by id; their texts are fetched once."""

    @cached_property
    def norms(self) -> NDArray[np.float32]:
        """Their lengths, shape ``[n]``."""
        return np.asarray(np.linalg.norm(self.vectors, axis=1), np.float32)

    def nearest(
        self, vector: NDArray[np.float32], k: int, space: Space, among: Iterable[str] | None
    ) -> list[tuple[str, float]]:
        """Return the ids of the `k` nearest by the space's distance, and their cosines.

        :param vector: float32 of length 1, shape ``[d]``.
        :param among: Ids of the records that are looked at; None for all.
        """
        products = self.vectors @ vector
        cosines = products / np.maximum(self.norms, np.float32(1e-12))
        nearness = space.nearness(cosines, products, self.norms)
        if among is not None:
            wanted = set(among)
            nearness[[id not in wanted for id in self.ids]] = -np.inf
            k = min(k, int(np.isfinite(nearness).sum()))
        k = min(k, len(self.ids))
        if not k:
            return []
        least = np.partition(nearness, -k)[-k]
        # Of equal ones at the end those with the least ids, so that the choice does not depend on their order.
        rows = sorted(np.flatnonzero(nearness >= least).tolist(), key=lambda row: (-nearness[row], self.ids[row]))
        return [(self.ids[row], float(cosines[row])) for row in rows[:k]]

    def stored(self, ids: Sequence[str], read: Callable[[list[str]], Iterable[VectorRecord]]) -> list[VectorRecord]:
        """Return those records of `ids` that are stored.

        :param read: Reads records.
        """
        missing = [id for id in ids if id not in self.rows]
        found = {row.id: row for row in read(missing)} if missing else {}
        if len(self.rows) + len(found) <= ROWS_KEPT:
            self.rows.update(found)
        return [row for id in ids if (row := self.rows.get(id) or found.get(id))]


class HeldVectors:
    """The vectors of one embedded collection, read when it is first searched and again after it has changed.

    Threads may share an instance; the handles of one collection do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: VectorTable | None = None
        self._state: object = None
        """State of the database when the table was read."""
        self._settled = False
        """Whether a write after the table was read must have led to another state."""
        self._rests_until = float("-inf")

    @classmethod
    def of(cls, database: EmbeddedDatabase, collection: str) -> HeldVectors:
        """Return the vectors of a collection; one instance per process and database."""
        with _making:
            return _held.setdefault((id(database), collection), cls())

    def forget(self) -> None:
        """Drop the vectors, after a write."""
        with self._lock:
            self._table = self._state = None

    def table(
        self, state: tuple[FileState, ...], openings: int, read: Callable[[], VectorTable | None]
    ) -> VectorTable | None:
        """Return the vectors as they are now; None for a collection too large, or one that is changing all the time.

        :param state: State of the database's files.
        :param openings: How often the database was opened anew.
        :param read: Reads the vectors; None where they are too many.
        """
        with self._lock:
            began = time.monotonic()
            changed = (state, openings) != self._state
            if changed and began < self._rests_until:
                return None
            if changed or (not self._settled and began >= self._rests_until):
                newest = max(file.modified for file in state)
                tick = TICK_SECONDS if newest % 10**9 else 2.0
                self._settled = time.time() - newest / 10**9 > tick
                self._table, self._state = read(), (state, openings)
                self._rests_until = began + REST * (time.monotonic() - began)
            return self._table


_held: WeakValueDictionary[tuple[int, str], HeldVectors] = WeakValueDictionary()
_making = threading.Lock()
