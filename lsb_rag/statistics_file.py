"""Corpus statistics in an SQLite file: each record counted once by its id, changed in place, read unit by unit.

Of each unit the file knows the records that hold it, of each record its units and its vector as float16, so that a
record that is changed or gone is taken out exactly, even when nobody knows any more what it was. A change costs work in
proportion to itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .corpus_statistics import CorpusStatistics
from .counted import Record, as_counted
from .postings import Numbers, by_block, changed, pairs
from .statistics_tables import BY_NAME, StatisticsTables

BY_BLOCK = "FROM json_each(?) CROSS JOIN postings ON postings.unit = value >> 32 AND block = value & 0xFFFFFFFF"


class StatisticsFile(StatisticsTables):
    """The statistics of one collection and what was counted of each record, for any number of readers and writers."""

    def __reduce__(self) -> tuple[Any, ...]:
        return CorpusStatistics.snapshot, (self.snapshot(),)  # a copy lives in memory

    # -- reading ------------------------------------------------------------------------------------------------

    def snapshot(self) -> CorpusStatistics:
        """The statistics as they are, in memory."""
        copy = CorpusStatistics(self.dimension)
        with self.at_once():
            names = dict(self.run("SELECT number, unit FROM units").fetchall())
            rows = self.run("SELECT units, vector FROM records WHERE vector IS NOT NULL ORDER BY number").fetchall()
            known = np.fromiter(names, np.uint32, len(names))
            every = np.frombuffer(b"".join(units for units, _ in rows), np.uint32)
            self.check(bool(np.isin(every, known).all()), "units that are missing")
            held = [[names[number] for number in np.frombuffer(units, np.uint32).tolist()] for units, _ in rows]
            packed = np.frombuffer(b"".join(vector for _, vector in rows), np.float16)
            copy.add(held, packed.reshape(-1, self.dimension))
            copy.n_units = self._total("n_units")
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

    def knows(self, id: str) -> bool:
        """Whether a record is known."""
        with self.reading():
            return self.run("SELECT 1 FROM records WHERE id = ?", (id,)).fetchone() is not None

    def pending(self) -> list[str]:
        """Ids of records whose write was begun and not counted."""
        with self.reading():
            return [id for (id,) in self.run("SELECT id FROM pending")]

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Of those `ids` that are known, the digest of the text that was counted."""
        with self.reading():
            return {id: digest for _, id, digest, *_ in self._stored(ids)}

    def unchanged(self, contents: Mapping[str, tuple[bytes, NDArray[Any] | None]]) -> set[str]:
        """Ids of those records that are counted with this content.

        :param contents: By id the digest of the text, and the vector as in :class:`Record`.
        """
        with self.reading():
            return {
                id
                for _, id, digest, _, _, vector in self._stored(list(contents))
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
        :raises InvalidInputError: When a vector does not fit or is not finite; nothing is counted then.
        :raises StoreError: When the disk is full or not writable; nothing is counted then.
        """
        ids = [*(record.id for record in records), *gone]
        counted = [record for record in records if record.vector is not None]
        after = as_counted(
            [record.vector for record in counted] or np.zeros((0, self.dimension)), len(counted), self.dimension
        )
        with self.transaction():
            stored = self._stored(ids)
            before = np.frombuffer(b"".join(row[-1] or b"" for row in stored), np.float16).reshape(-1, self.dimension)
            number_of = self._numbered(records, {id: number for number, id, *_ in stored})
            unit_of = self._named({unit for record in counted for unit in record.units})
            units = {record.id: _distinct(record.units, unit_of) for record in counted}
            self._hold(
                pairs((number_of[id], held) for id, held in units.items()),
                pairs((number, np.frombuffer(held, np.uint32)) for number, *_, held, vector in stored if vector),
            )
            many = self.run_many
            many("DELETE FROM records WHERE id = ?", ((id,) for id in ids))
            many(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)",
                (_row(number_of[record.id], record, units.get(record.id)) for record in records),
            )
            many("DELETE FROM pending WHERE id = ?", ((id,) for id in ids))
            self._add_to("vectors", after.sum(axis=0, dtype=np.float64) - before.sum(axis=0, dtype=np.float64))
            self._add_to("outer", _outer(after) - _outer(before))
            self.run(
                "UPDATE totals SET n_passages = n_passages + ?, n_units = n_units + ?, n_records = n_records + ?, "
                "revision = revision + 1, fitted = fitted OR ?",
                (
                    len(after) - len(before),
                    sum(len(record.units) for record in counted) - sum(length for *_, length, _, _ in stored),
                    len(records) - len(stored),
                    fitted,
                ),
            )

    def _numbered(self, records: Sequence[Record], known: Mapping[str, int]) -> dict[str, int]:
        """The number of each record: the one it has, or the next."""
        following = int(self.run("SELECT coalesce(max(number), 0) + 1 FROM records").fetchone()[0])
        new = (record.id for record in records if record.id not in known)
        return {**known, **{id: following + i for i, id in enumerate(new)}}

    def _named(self, units: Iterable[str]) -> dict[str, int]:
        """The number of each unit, which it gets when it is new."""
        names = (json.dumps(list(units)),)
        self.run("INSERT OR IGNORE INTO units (unit, df) SELECT value, 0 FROM json_each(?)", names)
        return dict(self.run(f"SELECT unit, number {BY_NAME}", names).fetchall())

    def _hold(self, after: Numbers, before: Numbers) -> None:
        """Note which records hold which units, given and known as pairs of both, and count them."""
        added, gone = np.setdiff1d(after, before), np.setdiff1d(before, after)
        numbers, rows = np.unique(np.concatenate([added, gone]) >> 32, return_inverse=True)
        change = np.bincount(rows, np.repeat([1, -1], [len(added), len(gone)]), len(numbers)).astype(int)
        self.run_many(
            "UPDATE units SET df = df + ? WHERE number = ?", zip(change.tolist(), numbers.tolist(), strict=True)
        )
        names = (json.dumps(numbers.tolist()),)
        self.run("DELETE FROM units WHERE df = 0 AND number IN (SELECT value FROM json_each(?))", names)
        new, old = by_block(added), by_block(gone)
        touched = [*dict.fromkeys([*new, *old])]
        found = self.run(f"SELECT value, records {BY_BLOCK}", (json.dumps(touched),))
        kept: dict[int, bytes] = dict(found.fetchall())
        blocks = {key: changed(kept.get(key, b""), new.get(key, b""), old.get(key, b"")) for key in touched}
        self.run_many(
            "DELETE FROM postings WHERE unit = ? AND block = ?",
            ((key >> 32, key & 0xFFFFFFFF) for key in touched if not blocks[key]),
        )
        self.run_many(
            "REPLACE INTO postings VALUES (?, ?, ?)",
            ((key >> 32, key & 0xFFFFFFFF, blocks[key]) for key in touched if blocks[key]),
        )

    def _add_to(self, name: str, change: NDArray[np.float64]) -> None:
        self.run("REPLACE INTO sums VALUES (?, ?)", (name, (self._sum(name) + change.reshape(-1)).tobytes()))

    def _stored(self, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Number, id, digest, length, units and vector of records."""
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ",".join("?" * len(part))
            rows += self.run(f"SELECT * FROM records WHERE id IN ({marks})", part).fetchall()  # noqa: S608
        sizes = [(len(units or b"") % 4, -1 if vector is None else len(vector)) for *_, units, vector in rows]
        self.check(all(size in ((0, -1), (0, 2 * self.dimension)) for size in sizes), "records cut off")
        return rows


def _distinct(units: Sequence[str], numbers: Mapping[str, int]) -> NDArray[np.uint32]:
    return np.array([numbers[unit] for unit in dict.fromkeys(units)], np.uint32)


def _outer(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    return np.asarray(exact.T @ exact)


def _half(vector: NDArray[Any] | None) -> bytes | None:
    return None if vector is None else np.asarray(vector).astype(np.float16).tobytes()


def _row(number: int, record: Record, units: NDArray[np.uint32] | None) -> tuple[Any, ...]:
    if units is None:
        return number, record.id, record.digest, 0, None, None
    return number, record.id, record.digest, len(record.units), units.tobytes(), _half(record.vector)
