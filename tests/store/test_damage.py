"""Damaged statistics: fitted again, said once, and never a score that is silently another."""

from __future__ import annotations

import logging
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import CorruptFileError

QUERIES = ("the pump stopped with E-417", "valve P-88", "which belt has code E-233", "E-9999", "frozen")
N = 400


@pytest.fixture
def folder(tmp_path: Path, tiny: LexSemBridgeEncoder) -> Path:
    with PassageStore(tmp_path / "db", "codes", tiny) as store:
        store.add([f"E-{n}: belt {n % 7} of the pump P-{n % 90} stopped, valve {n % 5} frozen" for n in range(N)])
        store.fit()
        store.fitted.file.checkpoint()
    return tmp_path / "db"


def statistics(folder: Path) -> Path:
    (path,) = (folder / "lsb_rag").glob("*.sqlite3")
    return path


def edit(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(statistics(folder))) as database, database:
        for statement in statements:
            database.execute(statement)


def asked(retriever: Retriever) -> list[list[tuple[str, float]]]:
    return [[(hit.id, hit.score) for hit in retriever.search(query, 10)] for query in QUERIES]


def found(folder: Path, encoder: LexSemBridgeEncoder) -> list[list[tuple[str, float]]]:
    with Retriever(PassageStore(folder, "codes", encoder, create=False)) as retriever:
        return asked(retriever)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_flipped_bytes_never_change_a_score(
    folder: Path, tiny: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    expected, path = found(folder, tiny), statistics(folder)
    whole, dice, said = path.read_bytes(), random.Random(5), 0
    for flips in (1, 20, 20, 20, 200, 200, 5000, 100_000):
        damaged = bytearray(whole)
        for _ in range(flips):
            damaged[dice.randrange(len(damaged))] ^= dice.randrange(1, 256)
        path.write_bytes(damaged)
        caplog.clear()
        assert found(folder, tiny) == expected
        assert len(warnings(caplog)) <= 1, warnings(caplog)
        said += len(warnings(caplog))
        caplog.clear()
        if flips >= 200:
            assert found(folder, tiny) == expected  # fitted again for good
            assert not warnings(caplog)
    assert said >= 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sums SET value = zeroblob(length(value))",
        "UPDATE records SET vector = zeroblob(length(vector))",
        "UPDATE records SET vector = substr(vector, 1, 10)",
        "UPDATE records SET units = x'00'",
        "UPDATE units SET df = 1000000000000",
        "UPDATE units SET df = 1.5",
        "UPDATE units SET df = 'many'",
        "UPDATE units SET unit = unit || 'x'",
        "UPDATE units SET unit = CAST(x'ff' || number AS TEXT)",
        "UPDATE postings SET records = x'0000'",
        "UPDATE postings SET records = 'text'",
        "UPDATE postings SET block = block + 70000",
        "UPDATE totals SET n_passages = -1",
        "UPDATE totals SET n_units = 'x'",
        "UPDATE totals SET n_passages = 9e99",
        "UPDATE totals SET revision = NULL",
        "UPDATE totals SET n_passages = n_passages + 7, checksum = NULL",
        "UPDATE totals SET revision = 'a', checksum = NULL",
        "UPDATE units SET df = 'abc', checksum = NULL WHERE number = 3",
        "DELETE FROM units WHERE number = 3",
        "DELETE FROM records WHERE number = 3",
        "INSERT INTO records VALUES (9999, 'ghost', x'00', 0, NULL, NULL, NULL)",
        "INSERT INTO pending VALUES (x'00ff')",
        "DELETE FROM totals",
        "DELETE FROM sums",
        "DELETE FROM postings WHERE unit % 2",
        "INSERT INTO totals SELECT * FROM totals",
        "UPDATE about SET value = x'ff' WHERE key = 'units'",
    ],
)
def test_edited_rows(folder: Path, tiny: LexSemBridgeEncoder, statement: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = found(folder, tiny)
    edit(folder, statement)
    assert found(folder, tiny) == expected
    assert len(warnings(caplog)) == 1, warnings(caplog)
    assert "fitted again" in warnings(caplog)[0]
    assert found(folder, tiny) == expected
    assert len(warnings(caplog)) == 1


def test_damage_while_the_file_is_open(
    folder: Path, tiny: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    expected = found(folder, tiny)
    with Retriever(PassageStore(folder, "codes", tiny, create=False)) as retriever:
        retriever.search("pump", 1)
        edit(folder, "UPDATE units SET df = df + 1")
        assert asked(retriever) == expected
        assert len(warnings(caplog)) == 1


def test_the_file_is_replaced_by_what_is_none(
    folder: Path, tiny: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    expected = found(folder, tiny)
    with Retriever(PassageStore(folder, "codes", tiny, create=False)) as retriever:
        retriever.search("pump", 1)
        path = statistics(folder)
        for side in ("", "-wal", "-shm"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        path.mkdir()
        retriever.store.fitted.recheck()
        assert asked(retriever) == expected
        assert "they stay in memory" in warnings(caplog)[0]


def test_a_write_over_damage_is_stored_and_counted(
    folder: Path, tiny: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    edit(folder, "UPDATE totals SET n_units = n_units + 1", "UPDATE sums SET value = zeroblob(length(value))")
    with PassageStore(folder, "codes", tiny, create=False) as store:
        assert store.add([Passage("a gasket G-77 leaks", id="new")]) == 1
        assert Retriever(store).search("G-77", 1)[0].id == "new"
        assert store.bridge.statistics.n_passages == N + 1
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", "nul", '{"format": 7}'])
def test_a_damaged_adaptation_says_what_to_do(folder: Path, tiny: LexSemBridgeEncoder, text: str) -> None:
    adapted = statistics(folder).with_suffix(".adapted.json")
    adapted.write_text(text)
    with pytest.raises(CorruptFileError, match="adapt"):
        found(folder, tiny)
