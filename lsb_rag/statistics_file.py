"""Corpus statistics in an SQLite file: each record counted once by its id, changed in place, read unit by unit.

Beside the sums the file keeps what was counted of each record (its units, and its vector as float16), so that a record
that is changed or gone is taken out exactly, even when nobody knows any more what it was. A change costs work in
proportion to itself, a query reads the rows of its own units, and no reader loads the whole. The sums are exact in
float64 (see :mod:`lsb_rag.corpus_statistics`); each row is written in the smallest format that holds it exactly, which
for a unit of one passage is float16.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .corpus_statistics import CorpusStatistics
from .counted import Counted, Record, idf
from .sqlite_file import SqliteFile

FORMAT = "lsb-rag corpus statistics 2"
CACHED_UNITS = 4096
LONGEST_CACHED = 100
"""Characters of a unit."""
SCHEMA = """
CREATE TABLE totals (n_passages INTEGER, n_units INTEGER, n_records INTEGER, revision INTEGER, fitted INTEGER);
CREATE TABLE sums (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE units (number INTEGER PRIMARY KEY, unit TEXT UNIQUE NOT NULL, df INTEGER NOT NULL, sum BLOB NOT NULL);
CREATE TABLE records (id TEXT PRIMARY KEY, digest BLOB, length INTEGER, units BLOB, vector BLOB);
CREATE TABLE pending (id TEXT PRIMARY KEY);
INSERT INTO totals VALUES (0, 0, 0, abs(random() / 2), 0);
INSERT INTO sums VALUES ('vectors', zeroblob(8 * {d})), ('outer', zeroblob(8 * {d} * {d}));
"""
BY_NAME = "FROM json_each(?) CROSS JOIN units ON unit = value"
"""Units given as one JSON list, which may be of any length."""
_FORMATS = (np.float16, np.float32, np.float64)


class StatisticsFile(SqliteFile):
    """The statistics of one collection, as :class:`~lsb_rag.counted.Statistics`, for any number of readers.

    :param path: The file; None keeps the statistics in memory.
    :param dimension: Width d of the vectors.
    :param about: What the statistics are of; those of something else are not used.
    """

    def __init__(self, path: Path | None, dimension: int, about: Mapping[str, str]) -> None:
        self.dimension = dimension
        self._read: tuple[int, dict[str, tuple[int, bytes] | None], dict[str, NDArray[np.float64]]] = (-1, {}, {})
        super().__init__(path, SCHEMA.format(d=dimension), {"format": FORMAT, "dimension": str(dimension), **about})

    def __reduce__(self) -> tuple[Any, ...]:
        return CorpusStatistics.snapshot, (self.snapshot(),)  # a copy lives in memory

    # -- reading ------------------------------------------------------------------------------------------------

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
        mean = self.mean
        return self._sum("outer").reshape(self.dimension, -1) / max(self.n_passages, 1) - np.outer(mean, mean)

    def df(self, unit: str) -> int:
        """Number of passages that contain `unit`."""
        row = self._rows([unit])[unit]
        return row[0] if row else 0

    def idf(self, unit: str) -> float:
        """:func:`~lsb_rag.counted.idf` of `unit`."""
        return idf(self.df(unit), self.n_passages)

    def look_up(self, units: Sequence[str]) -> Counted:
        """See :class:`~lsb_rag.counted.Statistics`."""
        rows = self._rows(units)
        known = [(unit, row) for unit in units if (row := rows[unit])]
        sums = np.array([self._unpacked(row[1]) for _, row in known]).reshape(len(known), self.dimension)
        return Counted([unit for unit, _ in known], np.array([row[0] for _, row in known], np.int64), sums)

    def snapshot(self) -> CorpusStatistics:
        """The statistics as they are, in memory: units x d float64 numbers."""
        with self.reading(at_once=True):
            units = self.run("SELECT unit, df, sum FROM units ORDER BY number").fetchall()
            copy = CorpusStatistics(self.dimension)
            copy.rows = {unit: row for row, (unit, _, _) in enumerate(units)}
            copy._df = np.array([df for _, df, _ in units], np.int64)
            copy._unit_sums = np.array([self._unpacked(sum) for _, _, sum in units]).reshape(-1, self.dimension)
            copy.vector_sum = self._sum("vectors").copy()
            copy.outer_sum = self._sum("outer").reshape(self.dimension, -1).copy()
            copy.n_passages, copy.n_units = self.n_passages, self._total("n_units")
        return copy

    def save(self, path: Path, about: Mapping[str, str | int] | None = None) -> None:
        """See :class:`~lsb_rag.counted.Statistics`."""
        self.snapshot().save(path, about)

    @property
    def verified_with(self) -> str:
        """What the collection's vectors were verified with when it was last opened, as JSON; empty at first."""
        with self.reading():
            found = self.run("SELECT value FROM about WHERE key = 'verified_with'").fetchone()
            return str(found[0]) if found else ""

    @verified_with.setter
    def verified_with(self, fingerprint: str) -> None:
        with self.transaction():
            self.run("REPLACE INTO about VALUES ('verified_with', ?)", (fingerprint,))

    def ids(self) -> set[str]:
        """Ids of all records known."""
        with self.reading():
            return {id for (id,) in self.run("SELECT id FROM records")}

    def pending(self) -> list[str]:
        """Ids of records whose write was begun and not counted."""
        with self.reading():
            return [id for (id,) in self.run("SELECT id FROM pending")]

    def unchanged(self, contents: Mapping[str, tuple[bytes, NDArray[Any] | None]]) -> set[str]:
        """Ids of those records that are counted with this content.

        :param contents: By id the digest of the text, and the vector as in :class:`Record`.
        """
        with self.reading():
            return {
                id
                for id, digest, _, _, vector in self._stored(list(contents))
                if (digest, vector) == (contents[id][0], _half(contents[id][1]))
            }

    # -- writing ------------------------------------------------------------------------------------------------

    def expect(self, ids: Iterable[str]) -> None:
        """Note durably that these records are about to be written: whoever finds the note reads them again."""
        with self.transaction():
            self.run_many("INSERT OR IGNORE INTO pending VALUES (?)", ((id,) for id in ids))

    def count(self, records: Sequence[Record], gone: Sequence[str] = (), *, fitted: bool = False) -> None:
        """Count `records` in, in place of what was counted under their ids, and take `gone` out.

        :param fitted: True marks the collection as counted as a whole.
        :raises StoreError: When the disk is full or not writable; nothing is counted then.
        """
        ids = [*(record.id for record in records), *gone]
        with self.transaction():
            stored = self._stored(ids)
            before, after = self._sums_of(stored), CorpusStatistics(self.dimension)
            counted = [record for record in records if record.vector is not None]
            if counted:
                after.add([record.units for record in counted], np.array([record.vector for record in counted]))
            numbers = self._apply(after, before)
            many = self.run_many
            many("DELETE FROM records WHERE id = ?", ((id,) for id in ids))
            many("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (_row(record, numbers) for record in records))
            many("DELETE FROM pending WHERE id = ?", ((id,) for id in ids))
            self.run(
                "UPDATE totals SET n_passages = n_passages + ?, n_units = n_units + ?, n_records = n_records + ?, "
                "revision = revision + 1, fitted = fitted OR ?",
                (
                    after.n_passages - before.n_passages,
                    after.n_units - sum(length for _, _, length, _, _ in stored),
                    len(records) - len(stored),
                    fitted,
                ),
            )

    def _sums_of(self, stored: Sequence[tuple[Any, ...]]) -> CorpusStatistics:
        """The statistics of stored records; their units count once a record here, not as often as they occur."""
        sums = CorpusStatistics(self.dimension)
        counted = [(np.frombuffer(units, np.uint32).tolist(), vector) for *_, units, vector in stored if vector]
        if counted:
            wanted = json.dumps(sorted({number for numbers, _ in counted for number in numbers}))
            found = self.run("SELECT number, unit FROM json_each(?) CROSS JOIN units ON number = value", (wanted,))
            names = dict(found.fetchall())
            vectors = np.array([np.frombuffer(vector, np.float16) for _, vector in counted])
            sums.add([[names[number] for number in numbers] for numbers, _ in counted], vectors)
        return sums

    def _apply(self, after: CorpusStatistics, before: CorpusStatistics) -> dict[str, int]:
        """Add one and take the other away; the numbers of the units added."""
        units = list(dict.fromkeys([*after.rows, *before.rows]))
        row = {unit: number for number, unit in enumerate(units)}
        df, sums = np.zeros(len(units), np.int64), np.zeros((len(units), self.dimension))
        found = self.run(f"SELECT unit, df, sum {BY_NAME}", (json.dumps(units),))
        for unit, count, value in found:
            df[row[unit]], sums[row[unit]] = count, self._unpacked(value)
        for change, sign in ((after.look_up(list(after.rows)), 1), (before.look_up(list(before.rows)), -1)):
            rows = [row[unit] for unit in change.units]
            df[rows] += sign * change.df
            sums[rows] += sign * change.sums
        self.run_many("DELETE FROM units WHERE unit = ?", ((unit,) for unit in units if not df[row[unit]]))
        self.run_many(
            "INSERT INTO units (unit, df, sum) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET df = excluded.df, "
            "sum = excluded.sum",
            ((unit, int(df[i]), _packed(sums[i])) for i, unit in enumerate(units) if df[i]),
        )
        for name, change_of in (
            ("vectors", after.vector_sum - before.vector_sum),
            ("outer", after.outer_sum - before.outer_sum),
        ):
            changed = self._sum(name) + change_of.reshape(-1)
            self.run("REPLACE INTO sums VALUES (?, ?)", (name, changed.tobytes()))
        numbers = self.run(f"SELECT unit, number {BY_NAME}", (json.dumps(list(after.rows)),))
        return dict(numbers.fetchall())

    # -- rows ---------------------------------------------------------------------------------------------------

    def _total(self, name: str) -> int:
        with self.reading():
            return int(self.run(f"SELECT {name} FROM totals").fetchone()[0])  # noqa: S608 - our own names

    def _current(self) -> tuple[dict[str, tuple[int, bytes] | None], dict[str, NDArray[np.float64]]]:
        """What has been read of this revision."""
        revision = self.version
        if self._read[0] != revision or len(self._read[1]) > CACHED_UNITS:
            self._read = (revision, {}, {})
        return self._read[1:]

    def _rows(self, units: Sequence[str]) -> dict[str, tuple[int, bytes] | None]:
        with self.reading():
            known, _ = self._current()
            rows = {unit: known[unit] for unit in units if unit in known}
            missing = [unit for unit in units if unit not in rows]
            if missing:
                rows.update(dict.fromkeys(missing))
                found = self.run(f"SELECT unit, df, sum {BY_NAME}", (json.dumps(missing),))
                rows.update((unit, (df, value)) for unit, df, value in found)
                known.update((unit, rows[unit]) for unit in missing if len(unit) <= LONGEST_CACHED)
            return rows

    def _sum(self, name: str) -> NDArray[np.float64]:
        with self.reading():
            _, sums = self._current()
            if name not in sums:
                value = self.run("SELECT value FROM sums WHERE name = ?", (name,)).fetchone()[0]
                sums[name] = np.frombuffer(value, np.float64)
            return sums[name]

    def _stored(self, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ",".join("?" * len(part))
            rows += self.run(f"SELECT * FROM records WHERE id IN ({marks})", part).fetchall()  # noqa: S608
        return rows

    def _unpacked(self, value: bytes) -> NDArray[np.float64]:
        kind = _FORMATS[{2: 0, 4: 1, 8: 2}[len(value) // self.dimension]]
        return np.frombuffer(value, kind).astype(np.float64)


def _packed(sums: NDArray[np.float64]) -> bytes:
    """In the smallest format that holds the numbers exactly."""
    with np.errstate(over="ignore"):
        return next(
            (small.tobytes() for kind in _FORMATS[:-1] if ((small := sums.astype(kind)) == sums).all()), sums.tobytes()
        )


def _half(vector: NDArray[Any] | None) -> bytes | None:
    return None if vector is None else np.asarray(vector).astype(np.float16).tobytes()


def _row(record: Record, numbers: Mapping[str, int]) -> tuple[Any, ...]:
    if record.vector is None:
        return record.id, record.digest, 0, None, None
    units = np.array([numbers[unit] for unit in dict.fromkeys(record.units)], np.uint32)
    return record.id, record.digest, len(record.units), units.tobytes(), _half(record.vector)
