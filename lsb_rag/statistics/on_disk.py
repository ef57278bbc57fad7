"""Corpus statistics in an SQLite file: each record counted once by its id, changed in place, read unit by unit.

The file holds the records of each unit, and the units and the float16 vector of each record. A record that is changed
or deleted is therefore taken out exactly, even when its former content is no longer known. A change costs work in
proportion to its size. A query reads the rows of its own units and of the passages it is drawn towards; no reader loads
the whole file.

Every row has a checksum, which is compared whenever the row is read: a row that was changed by anything else is damage,
and does not become a wrong score.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import randbits
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..lexical.information import idf
from ..utils.batches import batched
from .base import WIDE, Record, as_counted, covariance_of, outer_sum
from .in_memory import CorpusStatistics
from .postings import Numbers, by_block, pairs, unpacked, updated_block
from .sqlite_file import SqliteFile

FORMAT = "lsb-rag statistics file 6"
"""Format of the file; one of another format is emptied and fitted again."""
CACHED_UNITS = 4096
LONGEST_CACHED = 100
"""Longest unit, in characters, whose row is cached."""
CACHED_VECTORS = 8 * 2**20
"""Most bytes of the vectors that are cached."""
TOTALS = ("n_passages", "n_units", "n_records", "n_distinct", "revision", "fitted")
SCHEMA = """
CREATE TABLE totals (
  n_passages INTEGER, n_units INTEGER, n_records INTEGER, n_distinct INTEGER, revision INTEGER, fitted INTEGER,
  checksum INTEGER);
CREATE TABLE sums (name TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER);
CREATE TABLE units (number INTEGER PRIMARY KEY, unit TEXT UNIQUE NOT NULL, df INTEGER NOT NULL, checksum INTEGER);
CREATE TABLE postings (
  unit INTEGER, block INTEGER, records BLOB NOT NULL, checksum INTEGER, PRIMARY KEY (unit, block)) WITHOUT ROWID;
CREATE TABLE records (
  number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, digest BLOB, length INTEGER, units BLOB, vector BLOB,
  checksum INTEGER);
CREATE TABLE pending (id TEXT PRIMARY KEY);
"""
OUTER = "outer"
"""Name of the sum of outer products; of wide vectors it is kept otherwise."""
WIDE_OUTER = "folded"
"""Name of the sum of the outer products of wide vectors, as far as it is summed; empty at first.

At 3,072 dimensions it takes 75 MB, too much to be written with every change. Vectors counted or taken out since stand
beside it, as ``added N`` and ``gone N``, and are summed when the sum is read. It has another name than that of narrow
vectors, so that a version of this library that does not know of them finds the file damaged, and counts anew.
"""
WAITING = 1024
"""Most vectors that stand beside the sum."""
BY_NAME = "FROM json_each(?) CROSS JOIN units ON unit = value"
"""Selects units given as one JSON list, which may be of any length."""
BY_NUMBER = "FROM json_each(?) CROSS JOIN units ON number = value ORDER BY key"
RECORD = "number, records.id, digest, length, units, vector, checksum"
"""The columns of a record."""
BY_BLOCK = "FROM json_each(?) CROSS JOIN postings ON postings.unit = value >> 32 AND block = value & 0xFFFFFFFF"
IDS_AT_ONCE = 500
"""Ids in one statement; SQLite takes no more than about 32,000."""


@dataclass(frozen=True)
class _Cache:
    """What was read of one revision: number and df of units, sums, and vectors by their number."""

    revision: int
    units: dict[str, tuple[int, int]] = field(default_factory=dict)
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    vectors: dict[int, bytes] = field(default_factory=dict)


class StatisticsFile(SqliteFile):
    """:class:`~lsb_rag.statistics.base.Statistics` of one collection, for any number of readers and writers.

    :param path: The file; None keeps the statistics in memory.
    :param dimension: Width d of the vectors.
    :param about: What the statistics describe; those of something else are not used.
    """

    def __init__(self, path: Path | None, dimension: int, about: Mapping[str, str]) -> None:
        self.dimension = dimension
        self._cache = _Cache(revision=-1)
        self._fixed_totals: dict[str, int] | None = None
        """The totals, while several readings see the same state."""
        self.seen_version: int | None = None
        """The :attr:`version` up to which this process knows of all changes; None before the first look."""
        super().__init__(path, SCHEMA, {"format": FORMAT, "dimension": str(dimension), **about})

    def _create_tables(self) -> None:
        super()._create_tables()
        d = self.dimension
        outer = (WIDE_OUTER, b"") if d >= WIDE else (OUTER, bytes(8 * d * d))
        sums = (with_checksum(*one) for one in (("vectors", bytes(8 * d)), outer))
        self.run("INSERT INTO totals VALUES (?, ?, ?, ?, ?, ?, ?)", with_checksum(0, 0, 0, 0, randbits(62), 0))
        self.run_many("INSERT INTO sums VALUES (?, ?, ?)", sums)

    def __reduce__(self) -> tuple[Any, ...]:
        return CorpusStatistics.snapshot, (self.snapshot(),)  # a copy lives in memory

    def _in_child(self) -> None:
        super()._in_child()
        self._fixed_totals = None

    # -- reading ------------------------------------------------------------------------------------------------

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        with self.lock:
            if self._fixed_totals:  # nested in another context
                yield
                return
            with self.reading(at_once=True):
                self._fixed_totals = self._totals()
                try:
                    yield
                finally:
                    self._fixed_totals = None

    @property
    def version(self) -> int:
        """A number that differs after every change, whichever process made it."""
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
        """Average number of units in a passage."""
        return self._total("n_units") / max(self.n_passages, 1)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean passage vector, shape ``[d]``."""
        return self._sum("vectors") / max(self.n_passages, 1)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the passage vectors, shape ``[d, d]``."""
        return covariance_of(self._outer().reshape(self.dimension, -1), self.mean, self.n_passages)

    def df(self, unit: str) -> int:
        """Return the number of passages that hold `unit`."""
        return self.look_up([unit]).get(unit, 0)

    def idf(self, unit: str) -> float:
        """Return :func:`~lsb_rag.lexical.information.idf` of `unit`."""
        return idf(self.df(unit), self.n_passages)

    def look_up(self, units: Sequence[str]) -> dict[str, int]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        return {unit: df for unit, (_, df) in self._rows(units).items()}

    def postings(self, units: Sequence[str]) -> tuple[Numbers, Numbers]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        units_found = self._rows(units)
        with self.reading():
            found = self.run(
                "SELECT key, unit, block, records, checksum FROM json_each(?) CROSS JOIN postings "
                "ON postings.unit = value ORDER BY key, block",
                (json.dumps([number for number, _ in units_found.values()]),),
            ).fetchall()
            self._checked(row[1:] for row in found)
        sizes = np.array([len(row[3]) for row in found], np.int64) // 2
        lengths = np.bincount([row[0] for row in found], sizes, len(units_found)).astype(np.int64)
        self.check(lengths.tolist() == [df for _, df in units_found.values()], "postings that are missing")
        packed = b"".join(row[3] for row in found)
        return unpacked(packed, np.repeat([row[2] for row in found], sizes)), lengths

    def vectors(self, numbers: Numbers) -> NDArray[np.float64]:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        wanted = numbers.tolist()
        with self.reading():
            cached = self._current().vectors
            missing = [number for number in wanted if number not in cached]
            if missing:
                if 2 * self.dimension * (len(cached) + len(missing)) > CACHED_VECTORS:
                    cached.clear()
                    missing = wanted
                rows = self.run(
                    f"SELECT {RECORD} FROM json_each(?) CROSS JOIN records ON number = value",  # noqa: S608
                    (json.dumps(missing),),
                ).fetchall()
                cached.update((number, vector or b"") for number, *_, vector in self._checked(rows))
            packed = b"".join(cached.get(number, b"") for number in wanted)
        self.check(len(packed) == 2 * self.dimension * len(numbers), "vectors that are missing")
        return np.frombuffer(packed, np.float16).reshape(len(numbers), self.dimension).astype(np.float64)

    def snapshot(self) -> CorpusStatistics:
        """Return a copy of the statistics in memory, as they are now."""
        copy = CorpusStatistics(self.dimension)
        with self.at_once():
            named = self._checked(self.run("SELECT number, unit, df, checksum FROM units"))
            names = {number: unit for number, unit, _ in named}
            stored = self._checked(self.run(f"SELECT {RECORD} FROM records ORDER BY number"))  # noqa: S608
            rows = [(units, vector) for *_, units, vector in stored if vector is not None]
            known = np.fromiter(names, np.uint32, len(names))
            occurring = np.frombuffer(b"".join(units for units, _ in rows), np.uint32)
            self.check(bool(np.isin(occurring, known).all()), "units that are missing")
            passages = [[names[number] for number in np.frombuffer(units, np.uint32).tolist()] for units, _ in rows]
            vectors = np.frombuffer(b"".join(vector for _, vector in rows), np.float16)
            copy.add(passages, vectors.reshape(-1, self.dimension))
            copy.n_units = self._total("n_units")
        return copy

    def save(self, path: Path, about: Mapping[str, str | int] | None = None) -> None:
        """See :class:`~lsb_rag.statistics.base.Statistics`."""
        self.snapshot().save(path, about)

    @property
    def verified_with(self) -> str:
        """Fingerprint, as JSON, that the collection's vectors were last verified with on opening; empty at first."""
        with self.reading():
            found = self.run("SELECT value FROM about WHERE key = 'verified_with'").fetchone()
            return str(found[0]) if found else ""

    @verified_with.setter
    def verified_with(self, fingerprint: str) -> None:
        with self.transaction():
            self.run("REPLACE INTO about VALUES ('verified_with', ?)", (fingerprint,))

    def ids(self) -> set[str]:
        """Return the ids of all records known."""
        with self.reading():
            return {id for (id,) in self.run("SELECT id FROM records")}

    def knows(self, id: str) -> bool:
        """Whether a record is known."""
        with self.reading():
            return self.run("SELECT 1 FROM records WHERE id = ?", (id,)).fetchone() is not None

    def pending(self) -> list[str]:
        """Return the ids of records whose write was begun and not counted."""
        with self.reading():
            ids = [id for (id,) in self.run("SELECT id FROM pending")]
        self.check(all(isinstance(id, str) for id in ids), "an id that is no text")
        return ids

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return the digest of the counted text of each of `ids` that is known."""
        with self.reading():
            return {id: digest for _, id, digest, *_ in self._stored(ids)}

    def vectors_by_id(self, ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return the counted vector of each of `ids` that has one, shape ``[d]``."""
        with self.reading():
            stored = {id: vector for _, id, *_, vector in self._stored(ids) if vector is not None}
        return {id: np.frombuffer(vector, np.float16).astype(np.float64) for id, vector in stored.items()}

    def unchanged(self, contents: Mapping[str, tuple[bytes, NDArray[Any] | None]]) -> set[str]:
        """Return the ids of the records that are counted with this content.

        :param contents: Digest of the text and vector as in :class:`Record`, by id.
        """
        with self.reading():
            return {
                id
                for _, id, digest, _, _, vector in self._stored(list(contents))
                if (digest, vector) == (contents[id][0], _packed(contents[id][1]))
            }

    def look_through(self, *, pages: bool) -> None:
        """Look for damage that is not met where a row is read: a row that is lost has no checksum.

        :param pages: Look through the pages, and the units, by whose names others are found.
        :raises CorruptFileError: When there is some.
        """
        super().look_through(pages=pages)
        with self.reading(at_once=True):
            units, records = self.run("SELECT (SELECT count(*) FROM units), (SELECT count(*) FROM records)").fetchone()
            self.check(units == self._total("n_distinct"), "units that are missing")
            self.check(records == self._total("n_records"), "records that are missing")
            if pages:
                self._checked(self.run("SELECT number, unit, df, checksum FROM units"))

    # -- rows and sums ------------------------------------------------------------------------------------------

    def _total(self, name: str) -> int:
        return (self._fixed_totals or self._totals())[name]

    def _totals(self) -> dict[str, int]:
        with self.reading():
            rows = self._checked(self.run(f"SELECT {', '.join(TOTALS)}, checksum FROM totals"))  # noqa: S608
            self.check(len(rows) == 1, "totals that are missing")
            return dict(zip(TOTALS, rows[0], strict=True))

    def _checked(self, rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return rows without the checksum at their end.

        :raises CorruptFileError: When one has another.
        """
        checked: list[Sequence[Any]] = []
        for *values, kept in rows:
            self.check(kept == checksum(values), "a row that does not match its checksum")
            checked.append(values)
        return checked

    def _current(self) -> _Cache:
        """Return what was read of this revision."""
        revision = self.version
        if self._cache.revision != revision or len(self._cache.units) > CACHED_UNITS:
            self._cache = _Cache(revision)
        return self._cache

    def _rows(self, units: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return number and df of those units that a passage holds, in the order given."""
        with self.reading():
            cached = self._current().units
            missing = [unit for unit in units if unit not in cached]
            read = {unit: (number, df) for number, unit, df in self._units(BY_NAME, missing)}
            cached.update((unit, row) for unit, row in read.items() if len(unit) <= LONGEST_CACHED)
            rows: dict[str, tuple[int, int]] = {}
            for unit in units:
                row = cached.get(unit) or read.get(unit)
                if row:
                    rows[unit] = row
            return rows

    def _units(self, source: str, keys: Sequence[str | int]) -> list[Sequence[Any]]:
        """Return number, name and df of units.

        :param source: Selects them by `keys`.
        """
        if not keys:
            return []
        return self._checked(self.run(f"SELECT number, unit, df, checksum {source}", (json.dumps(keys),)))

    def _sum(self, name: str) -> NDArray[np.float64]:
        with self.reading():
            sums = self._current().sums
            if name not in sums:
                rows = self._checked(self.run("SELECT name, value, checksum FROM sums WHERE name = ?", (name,)))
                length = self.dimension if name == "vectors" else self.dimension**2
                self.check(len(rows) == 1 and len(rows[0][1]) == 8 * length, "sums that are missing")
                sums[name] = np.frombuffer(rows[0][1], np.float64)
            return sums[name]

    def _outer(self) -> NDArray[np.float64]:
        """Return the sum of outer products, which is not cached for wide vectors."""
        if self.dimension < WIDE:
            return self._sum("outer")
        return self._folded(self._outer_parts())

    def _outer_parts(self) -> dict[str, bytes]:
        """Return the parts of the sum of wide vectors' outer products by name; all of one state of the file."""
        with self.reading():
            statement = "SELECT name, value, checksum FROM sums WHERE name != 'vectors' ORDER BY rowid"
            return {name: bytes(value) for name, value in self._checked(self.run(statement))}

    def _folded(self, parts: dict[str, bytes]) -> NDArray[np.float64]:
        """Return the sum of wide vectors' outer products from its parts, which are used up."""
        folded = parts.pop("folded", parts.pop("outer", None))  # the latter of a version without parts
        self.check(folded is not None and len(folded) in (0, 8 * self.dimension**2), "sums that are missing")
        self.check(all(len(part) % (2 * self.dimension) == 0 for part in parts.values()), "sums cut off")
        added, gone = (
            np.frombuffer(b"".join(part for name, part in parts.items() if name.startswith(kind)), np.float16)
            for kind in ("added", "gone")
        )
        total = outer_sum(added.reshape(-1, self.dimension))
        if len(gone):
            total -= outer_sum(gone.reshape(-1, self.dimension))
        if folded:
            total += np.frombuffer(folded, np.float64).reshape(total.shape)
        return total

    # -- writing ------------------------------------------------------------------------------------------------

    def expect(self, ids: Iterable[str]) -> None:
        """Note durably that these records are about to be written; whoever finds the note reads them again."""
        with self.transaction():
            self.run_many("INSERT OR IGNORE INTO pending VALUES (?)", ((id,) for id in ids))

    def count(self, records: Sequence[Record], gone: Sequence[str] = (), *, fitted: bool = False) -> None:
        """Count `records`, replacing what was counted under their ids, and take out `gone`.

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
            knew_all = self.seen_version in (None, self.version)
            stored = self._stored(ids)
            before = np.frombuffer(b"".join(row[-1] or b"" for row in stored), np.float16).reshape(-1, self.dimension)
            number_of = self._record_numbers(records, {id: number for number, id, *_ in stored})
            unit_numbers, n_new = self._unit_numbers({unit for record in counted for unit in record.units})
            units = {record.id: _distinct_numbers(record.units, unit_numbers) for record in counted}
            n_gone = self._update_postings(
                after=pairs((number_of[id], numbers) for id, numbers in units.items()),
                before=pairs(
                    (number, np.frombuffer(packed, np.uint32)) for number, *_, packed, vector in stored if vector
                ),
            )
            self.run_many("DELETE FROM records WHERE id = ?", ((id,) for id in ids))
            self.run_many(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
                (with_checksum(*_record_row(number_of[record.id], record, units.get(record.id))) for record in records),
            )
            self.run_many("DELETE FROM pending WHERE id = ?", ((id,) for id in ids))
            self._add_to("vectors", after.sum(axis=0, dtype=np.float64) - before.sum(axis=0, dtype=np.float64))
            self._add_outer(after, before)
            totals = self._totals()
            totals["n_passages"] += len(after) - len(before)
            totals["n_units"] += sum(len(record.units) for record in counted) - sum(row[3] for row in stored)
            totals["n_records"] += len(records) - len(stored)
            totals["n_distinct"] += n_new - n_gone
            totals["revision"] += 1
            totals["fitted"] |= int(fitted)
            columns = ", ".join(f"{column} = ?" for column in (*TOTALS, "checksum"))
            self.run(f"UPDATE totals SET {columns}", with_checksum(*totals.values()))  # noqa: S608
            seen_version = totals["revision"]
        if knew_all:
            self.seen_version = seen_version

    def _record_numbers(self, records: Sequence[Record], known: Mapping[str, int]) -> dict[str, int]:
        """Return the number of each record: the one it has, or the next free one."""
        following = int(self.run("SELECT coalesce(max(number), 0) + 1 FROM records").fetchone()[0])
        new = (record.id for record in records if record.id not in known)
        return {**known, **{id: following + i for i, id in enumerate(new)}}

    def _unit_numbers(self, units: Iterable[str]) -> tuple[dict[str, int], int]:
        """Return the number of each unit, and how many are new and have got one."""
        units = list(units)
        numbers: dict[str, int] = {unit: number for number, unit, _ in self._units(BY_NAME, units)}
        following = int(self.run("SELECT coalesce(max(number), 0) + 1 FROM units").fetchone()[0])
        new = {unit: following + i for i, unit in enumerate(unit for unit in units if unit not in numbers)}
        rows = (with_checksum(number, unit, 0) for unit, number in new.items())
        self.run_many("INSERT INTO units VALUES (?, ?, ?, ?)", rows)
        return {**numbers, **new}, len(new)

    def _update_postings(self, *, after: Numbers, before: Numbers) -> int:
        """Update the postings and the df of units, from the pairs of unit and record after and before a change.

        :return: The number of units that no record holds any more.
        """
        added, gone = np.setdiff1d(after, before), np.setdiff1d(before, after)
        numbers, rows = np.unique(np.concatenate([added, gone]) >> 32, return_inverse=True)
        change = np.bincount(rows, np.repeat([1, -1], [len(added), len(gone)]), len(numbers)).astype(int)
        units = self._units(BY_NUMBER, numbers.tolist())
        self.check(len(units) == len(numbers), "units that are missing")
        changed = [(number, unit, df + by) for (number, unit, df), by in zip(units, change.tolist(), strict=True)]
        self.run_many(
            "UPDATE units SET df = ?, checksum = ? WHERE number = ?",
            ((unit[2], checksum(unit), unit[0]) for unit in changed if unit[2] > 0),
        )
        gone_units = [(number,) for number, _, df in changed if df <= 0]
        self.run_many("DELETE FROM units WHERE number = ?", iter(gone_units))
        new, old = by_block(added), by_block(gone)
        touched = [*dict.fromkeys([*new, *old])]
        selected = self.run(f"SELECT unit, block, records, checksum {BY_BLOCK}", (json.dumps(touched),))
        stored: dict[int, bytes] = {unit << 32 | block: packed for unit, block, packed in self._checked(selected)}
        blocks = {
            key: updated_block(stored.get(key, b""), added=new.get(key, b""), removed=old.get(key, b""))
            for key in touched
        }
        self.run_many(
            "DELETE FROM postings WHERE unit = ? AND block = ?",
            ((key >> 32, key & 0xFFFFFFFF) for key in touched if not blocks[key]),
        )
        self.run_many(
            "REPLACE INTO postings VALUES (?, ?, ?, ?)",
            (with_checksum(key >> 32, key & 0xFFFFFFFF, blocks[key]) for key in touched if blocks[key]),
        )
        return len(gone_units)

    def _add_to(self, name: str, change: NDArray[np.float64]) -> None:
        total = (self._sum(name) + change.reshape(-1)).tobytes()
        self.run("REPLACE INTO sums VALUES (?, ?, ?)", with_checksum(name, total))

    def _add_outer(self, after: NDArray[np.float16], before: NDArray[np.float16]) -> None:
        if self.dimension < WIDE:
            self._add_to("outer", outer_sum(after) - outer_sum(before))
            return
        revision = self.version
        change = {f"{kind} {revision}": rows.tobytes() for kind, rows in (("added", after), ("gone", before))}
        sizes = dict(self.run("SELECT name, length(value) FROM sums WHERE name != 'vectors'").fetchall())
        waiting = after.nbytes + before.nbytes + sum(sizes.values()) - sizes.get("folded", 0)
        if "outer" in sizes or waiting > 2 * self.dimension * WAITING:
            total = self._folded({**self._outer_parts(), **change})
            self.run("DELETE FROM sums WHERE name != 'vectors'")
            self.run("INSERT INTO sums VALUES (?, ?, ?)", with_checksum("folded", total.data))
        else:
            parts = (with_checksum(*part) for part in change.items() if part[1])
            self.run_many("INSERT INTO sums VALUES (?, ?, ?)", parts)

    def _stored(self, ids: Sequence[str]) -> list[Sequence[Any]]:
        """Return number, id, digest, length, units and vector of those of `ids` that are known."""
        rows: list[Sequence[Any]] = []
        for batch in batched(ids, IDS_AT_ONCE):
            marks = ",".join("?" * len(batch))
            rows += self._checked(self.run(f"SELECT {RECORD} FROM records WHERE id IN ({marks})", batch))  # noqa: S608
        return rows


BYTES = (bytes, memoryview)


def checksum(values: Iterable[Any]) -> int:
    """Return the CRC-32 of a row: integers, texts, bytes and None."""
    # A generator and isinstance() would take as long again, for each row that is read. repr() escapes surrogates.
    return crc32(b"".join([value if value.__class__ in BYTES else repr(value).encode() for value in values]))


def with_checksum(*values: Any) -> tuple[Any, ...]:
    """Return a row with its checksum at the end."""
    return *values, checksum(values)


def _distinct_numbers(units: Sequence[str], numbers: Mapping[str, int]) -> NDArray[np.uint32]:
    return np.array([numbers[unit] for unit in dict.fromkeys(units)], np.uint32)


def _packed(vector: NDArray[Any] | None) -> bytes | None:
    return None if vector is None else np.asarray(vector).astype(np.float16).tobytes()


def _record_row(number: int, record: Record, units: NDArray[np.uint32] | None) -> tuple[Any, ...]:
    if units is None:
        return number, record.id, record.digest, 0, None, None
    return number, record.id, record.digest, len(record.units), units.tobytes(), _packed(record.vector)
