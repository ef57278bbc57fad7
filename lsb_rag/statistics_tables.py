"""The tables of corpus statistics in an SQLite file, read unit by unit.

A query reads the rows of its own units and of the passages it is drawn towards; no reader loads the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .counted import covariance_of
from .lexical.information import idf
from .postings import Numbers, unpacked
from .sqlite_file import SqliteFile

FORMAT = "lsb-rag corpus statistics 4"
CACHED_UNITS = 4096
LONGEST_CACHED = 100
"""Characters of a unit."""
TOTALS = ("n_passages", "n_units", "n_records", "revision", "fitted")
SCHEMA = """
CREATE TABLE totals (n_passages INTEGER, n_units INTEGER, n_records INTEGER, revision INTEGER, fitted INTEGER);
CREATE TABLE sums (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE units (number INTEGER PRIMARY KEY, unit TEXT UNIQUE NOT NULL, df INTEGER NOT NULL);
CREATE TABLE postings (unit INTEGER, block INTEGER, records BLOB NOT NULL, PRIMARY KEY (unit, block)) WITHOUT ROWID;
CREATE TABLE records (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, digest BLOB, length INTEGER, units BLOB, vector BLOB);
CREATE TABLE pending (id TEXT PRIMARY KEY);
INSERT INTO totals VALUES (0, 0, 0, abs(random() / 2), 0);
INSERT INTO sums VALUES ('vectors', zeroblob(8 * {d})), ('outer', zeroblob(8 * {d} * {d}));
"""
BY_NAME = "FROM json_each(?) CROSS JOIN units ON unit = value"
"""Units given as one JSON list, which may be of any length."""


class StatisticsTables(SqliteFile):
    """:class:`~lsb_rag.counted.Statistics` of one collection, as the file has them, for any number of readers.

    :param path: The file; None keeps the statistics in memory.
    :param dimension: Width d of the vectors.
    :param about: What the statistics are of; those of something else are not used.
    """

    def __init__(self, path: Path | None, dimension: int, about: Mapping[str, str]) -> None:
        self.dimension = dimension
        self._read: tuple[int, dict[str, tuple[int, int]], dict[str, NDArray[np.float64]]] = (-1, {}, {})
        self._held: dict[str, int] | None = None
        """The totals, while several readings see the same state."""
        super().__init__(path, SCHEMA.format(d=dimension), {"format": FORMAT, "dimension": str(dimension), **about})

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """See :class:`~lsb_rag.counted.Statistics`."""
        with self.lock:
            if self._held:  # already
                yield
                return
            with self.reading(at_once=True):
                self._held = self._totals()
                try:
                    yield
                finally:
                    self._held = None

    def _in_child(self) -> None:
        super()._in_child()
        self._held = None

    @property
    def version(self) -> int:
        """Another number after every change, whichever process made it."""
        return self._total("revision")

    @property
    def n_passages(self) -> int:
        """Number of passages counted."""
        return self._total("n_passages")

    @property
    def n_records(self) -> int:
        """Number of records known: the passages, and records without a text."""
        return self._total("n_records")

    @property
    def fitted(self) -> bool:
        """Whether the whole collection has been counted once."""
        return bool(self._total("fitted"))

    @property
    def average_length(self) -> float:
        """Units in an average passage."""
        return self._total("n_units") / max(self.n_passages, 1)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean passage vector, shape ``[d]``."""
        return self._sum("vectors") / max(self.n_passages, 1)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the passage vectors, shape ``[d, d]``."""
        return covariance_of(self._sum("outer").reshape(self.dimension, -1), self.mean, self.n_passages)

    def df(self, unit: str) -> int:
        """Number of passages that hold `unit`."""
        return self.look_up([unit]).get(unit, 0)

    def idf(self, unit: str) -> float:
        """:func:`~lsb_rag.lexical.information.idf` of `unit`."""
        return idf(self.df(unit), self.n_passages)

    def look_up(self, units: Sequence[str]) -> dict[str, int]:
        """See :class:`~lsb_rag.counted.Statistics`."""
        return {unit: df for unit, (_, df) in self._rows(units).items()}

    def postings(self, units: Sequence[str]) -> tuple[Numbers, Numbers]:
        """See :class:`~lsb_rag.counted.Statistics`."""
        asked = self._rows(units)
        with self.reading():
            rows = self.run(
                "SELECT key, block, records FROM json_each(?) CROSS JOIN postings ON postings.unit = value "
                "ORDER BY key, block",
                (json.dumps([number for number, _ in asked.values()]),),
            ).fetchall()
        sizes = np.array([len(records) for *_, records in rows], np.int64) // 2
        packed = b"".join(records for *_, records in rows)
        self.check(len(packed) == 2 * sizes.sum(), "postings cut off")
        lengths = np.bincount([key for key, *_ in rows], sizes, len(asked)).astype(np.int64)
        self.check(lengths.tolist() == [df for _, df in asked.values()], "postings that are missing")
        return unpacked(packed, np.repeat([block for _, block, _ in rows], sizes)), lengths

    def vectors(self, numbers: Numbers) -> NDArray[np.float64]:
        """See :class:`~lsb_rag.counted.Statistics`."""
        with self.reading():
            rows = self.run(
                "SELECT vector FROM json_each(?) CROSS JOIN records ON number = value ORDER BY number",
                (json.dumps(numbers.tolist()),),
            )
            packed = b"".join(vector or b"" for (vector,) in rows)
        self.check(len(packed) == 2 * self.dimension * len(numbers), "vectors that are missing")
        return np.frombuffer(packed, np.float16).reshape(len(numbers), self.dimension).astype(np.float64)

    def _total(self, name: str) -> int:
        return (self._held or self._totals())[name]

    def _totals(self) -> dict[str, int]:
        with self.reading():
            row = self.run("SELECT * FROM totals").fetchone()
            self.check(row is not None, "totals that are missing")
            return dict(zip(TOTALS, row, strict=True))

    def _current(self) -> tuple[dict[str, tuple[int, int]], dict[str, NDArray[np.float64]]]:
        """What has been read of this revision."""
        revision = self.version
        if self._read[0] != revision or len(self._read[1]) > CACHED_UNITS:
            self._read = (revision, {}, {})
        return self._read[1:]

    def _rows(self, units: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Number and df of those units that a passage holds, in the order asked for."""
        with self.reading():
            known, _ = self._current()
            missing = [unit for unit in units if unit not in known]
            found = self.run(f"SELECT unit, number, df {BY_NAME}", (json.dumps(missing),)) if missing else ()
            rows = {unit: (number, df) for unit, number, df in found}
            known.update((unit, row) for unit, row in rows.items() if len(unit) <= LONGEST_CACHED)
            return {unit: row for unit in units if (row := known.get(unit) or rows.get(unit))}

    def _sum(self, name: str) -> NDArray[np.float64]:
        with self.reading():
            _, sums = self._current()
            if name not in sums:
                row = self.run("SELECT value FROM sums WHERE name = ?", (name,)).fetchone()
                length = self.dimension if name == "vectors" else self.dimension**2
                self.check(row is not None and len(row[0]) == 8 * length, "sums that are missing")
                sums[name] = np.frombuffer(row[0], np.float64)
                self.check(bool(np.isfinite(sums[name]).all()), "sums that are no numbers")
            return sums[name]
