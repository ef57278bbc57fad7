"""A look at a statistics file from outside: whether it is damaged, and what it holds of some records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from .on_disk import FORMAT, TOTALS, checksum

TABLES = {
    "totals": ", ".join(TOTALS),
    "sums": "name, value",
    "units": "number, unit, df",
    "postings": "unit, block, records",
    "records": "number, id, digest, length, units, vector",
}
"""The columns of each table under the checksum."""


def damage_in(path: Path) -> str:
    """Return what is wrong with a file, by its pages and the checksum of every row; empty where nothing is."""
    try:
        with closing(_read_only(path)) as file:
            found = file.execute("PRAGMA integrity_check(1)").fetchall()
            if found != [("ok",)]:
                return str(found[0][0]) if found else "it cannot be looked through"
            if file.execute("SELECT value FROM about WHERE key = 'format'").fetchone() != (FORMAT,):
                return "another format"
            for table, columns in TABLES.items():
                for *row, kept in file.execute(f"SELECT {columns}, checksum FROM {table}"):  # noqa: S608
                    if kept != checksum(row):
                        return f"a row of {table} that does not match its checksum"
            units, records = ("(SELECT count(*) FROM units)", "(SELECT count(*) FROM records)")
            rows = file.execute(f"SELECT n_distinct = {units}, n_records = {records} FROM totals")  # noqa: S608
            if rows.fetchall() != [(1, 1)]:
                return "rows that are missing"
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return str(error)
    return ""


def damaged_pages(path: Path) -> str:
    """Return what is wrong with the pages of any SQLite file; empty where nothing is."""
    try:
        with closing(_read_only(path)) as file:
            (found,) = file.execute("PRAGMA quick_check(1)").fetchone()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        return str(error)
    return "" if found == "ok" else str(found)


def counted(path: Path, ids: Sequence[str]) -> dict[str, tuple[bytes, bytes | None]]:
    """Return the digest of the text and the float16 vector that a file holds of each of `ids` that it knows."""
    statement = "SELECT records.id, digest, vector FROM json_each(?) CROSS JOIN records ON records.id = value"
    with closing(_read_only(path)) as file:
        rows = file.execute(statement, (json.dumps(list(ids)),))
        return {id: (digest, vector) for id, digest, vector in rows}


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
