from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import random
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag.errors import CorruptFileError
from lsb_rag.statistics import on_disk, postings
from lsb_rag.statistics.base import WIDE, Record, Statistics, at_unit_length
from lsb_rag.statistics.in_memory import CorpusStatistics
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.utils.batches import batched
from lsb_rag.utils.digests import text_digest

from ..statistics.test_in_memory import assert_same

D = 6
WORDS = ["E-1", "pump", "valve", "a", "b", "naïve", "日本", "x" * 300, "'quoted\"", "%_"]


def record(id: str, seed: int) -> Record:
    rng = np.random.default_rng(seed)
    units = [WORDS[i] for i in rng.integers(0, len(WORDS), rng.integers(0, 6))]
    vector = rng.normal(size=D)
    return Record(id, text_digest(str(seed)), units, None if seed % 9 == 0 else vector / np.linalg.norm(vector))


def from_scratch(records: dict[str, Record]) -> CorpusStatistics:
    statistics = CorpusStatistics(D)
    for one in records.values():
        if one.vector is not None:
            statistics.add([one.units], one.vector[None])
    return statistics


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 20), max_size=8), st.lists(st.integers(0, 20), max_size=4)), max_size=12)
)
def test_any_sequence_of_changes_equals_counting_from_scratch(changes: list[tuple[list[int], list[int]]]) -> None:
    file, kept = StatisticsFile(None, D, {}), dict[str, Record]()
    for step, (added, gone) in enumerate(changes):
        records = {f"id{number}": record(f"id{number}", 100 * step + number) for number in added}
        removed = [f"id{number}" for number in set(gone) - set(added)]
        file.count(list(records.values()), removed)
        kept = {**{id: one for id, one in kept.items() if id not in removed}, **records}
        assert file.n_records == len(kept)
        assert file.ids() == set(kept)
    assert_same(file, from_scratch(kept))


def test_a_long_sequence_leaves_no_drift(tmp_path: Path) -> None:
    draw = random.Random(0)
    file, kept = StatisticsFile(tmp_path / "long.sqlite3", D, {}), dict[str, Record]()
    for step in range(600):
        records = {id: record(id, step) for id in draw.sample([str(n) for n in range(60)], 5)}
        gone = [id for id in draw.sample(sorted(kept), min(len(kept), 3)) if id not in records]
        file.count(list(records.values()), gone)
        kept = {**{id: one for id, one in kept.items() if id not in gone}, **records}
    assert_same(file, from_scratch(kept))
    file.count([], list(kept))
    assert (file.n_passages, file.n_records, file.look_up(WORDS)) == (0, 0, {})
    np.testing.assert_array_equal(file.mean, np.zeros(D))


def test_a_change_writes_its_own_rows_alone(tmp_path: Path) -> None:
    file = StatisticsFile(tmp_path / "grown.sqlite3", D, {})
    vector = np.ones(D) / np.sqrt(D)
    file.count([Record(str(n), b"", [f"word{n}", "common"], vector) for n in range(3000)])
    before = file._connection.total_changes
    file.count([Record("new", b"", ["word7", "common", "fresh"], vector)])
    assert file._connection.total_changes - before < 12
    assert [file.df(unit) for unit in ("word7", "common", "fresh", "word8")] == [2, 3001, 1, 1]


def test_postings_over_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "BLOCK", 4)
    path = tmp_path / "blocks.sqlite3"
    file = StatisticsFile(path, D, {})
    vectors = [one.vector for n in range(1, 40) if (one := record("", n)).vector is not None]
    records = [Record(str(n), b"", ["all", f"third{n % 3}"], vector) for n, vector in enumerate(vectors)]
    for batch in batched(records, 7):
        file.count(batch)
    file.count([Record("3", b"", ["all", "fresh"], vectors[0])], ["0", "8", "9", "10", "11"])
    left = {one.id: one for one in records if one.id not in ("0", "8", "9", "10", "11")}
    left["3"] = Record("3", b"", ["all", "fresh"], vectors[0])
    assert_same(file, from_scratch(left))
    numbers = file.postings(["all"])[0]
    assert numbers.tolist() == sorted(numbers.tolist())
    with sqlite3.connect(path) as database:
        sizes = [size for (size,) in database.execute("SELECT length(records) FROM postings WHERE block = 2")]
        assert sizes  # two bytes a record
        assert max(sizes) <= 2 * 4
        assert not database.execute("SELECT 1 FROM postings WHERE records = x''").fetchall()
    database.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE records SET vector = substr(vector, 1, 7)",
        "UPDATE records SET vector = NULL",
        "DELETE FROM records",
        "UPDATE postings SET records = substr(records, 1, 1)",
        "DELETE FROM postings",
        "DELETE FROM totals",
        "DELETE FROM sums",
        "UPDATE sums SET value = substr(value, 1, 9)",
        f"UPDATE sums SET value = x'{'ff' * 8 * D}' WHERE name = 'vectors'",  # noqa: S608
    ],
)
def test_what_no_intact_file_holds_is_damage(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.sqlite3"
    file = StatisticsFile(path, D, {})
    vector = np.ones(D) / np.sqrt(D)
    file.count([Record(str(n), b"", [f"word{n}", "common"], vector) for n in range(5)])
    with sqlite3.connect(path) as database:
        database.execute(damage)
        database.execute("UPDATE totals SET revision = revision + 1")
    database.close()
    with pytest.raises(CorruptFileError, match="fitted again when they are next used"):  # noqa: PT012 - any of them
        with file.at_once():
            numbers = np.unique(file.postings(["word1", "common"])[0])
            _ = file.vectors(numbers), file.mean, file.covariance
        file.count([], ["1"])
    assert file.damaged
    file.empty("damaged")
    file.count([Record("again", b"", ["word"], vector)])
    assert file.look_up(["word", "common"]) == {"word": 1}


def test_a_copy_of_a_damaged_file_is_refused(tmp_path: Path) -> None:
    file = StatisticsFile(tmp_path / "damaged.sqlite3", D, {})
    file.count([record("a", 1), record("b", 2)])
    with sqlite3.connect(tmp_path / "damaged.sqlite3") as database:
        database.execute("DELETE FROM units")
    database.close()
    with pytest.raises(CorruptFileError, match="units that are missing"):
        file.snapshot()


def test_one_state_within_another() -> None:
    file = StatisticsFile(None, D, {})
    file.count([record("a", 1)])
    with file.at_once(), file.at_once():
        assert file.n_passages == 1
    file.count([record("b", 2)])
    assert file.n_passages == 2


def test_another_process_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.sqlite3"
    mine, theirs = StatisticsFile(path, D, {}), StatisticsFile(path, D, {})
    for step in range(3):
        theirs.count([record(str(step), step + 1)])
        assert mine.version == theirs.version
        assert_same(mine, theirs.snapshot())
    mine.count([], ["0"])
    assert theirs.n_records == 2


def _count_in_child(file: StatisticsFile) -> None:
    file.count([record("child", 5)])


def test_a_fork_opens_the_file_anew(tmp_path: Path) -> None:
    file = StatisticsFile(tmp_path / "forked.sqlite3", D, {})
    file.count([record("parent", 4)])
    child = multiprocessing.get_context("fork").Process(target=_count_in_child, args=(file,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    file.count([record("after", 7)])
    assert file.ids() == {"parent", "child", "after"}


def test_a_fork_while_another_thread_is_at_work(tmp_path: Path) -> None:
    file = StatisticsFile(tmp_path / "forked.sqlite3", D, {})
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with file.writing(), file.reading():
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = multiprocessing.get_context("fork").Process(target=lambda: file.ids())
    child.start()
    child.join(20)
    release.set()
    thread.join()
    assert child.exitcode == 0


def test_what_is_begun_and_not_counted_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "pending.sqlite3"
    file = StatisticsFile(path, D, {})
    file.expect(["a", "b", "b"])
    assert sorted(StatisticsFile(path, D, {}).pending()) == ["a", "b"]
    file.count([record("a", 1)])
    assert file.pending() == ["b"]


def test_unchanged_goes_by_text_and_vector() -> None:
    file = StatisticsFile(None, D, {})
    one = record("a", 1)
    file.count([one, record("bare", 9)])
    assert one.vector is not None
    assert file.unchanged({"a": (one.digest, one.vector)}) == {"a"}
    assert file.unchanged({"a": (text_digest("other"), one.vector)}) == set()
    assert file.unchanged({"a": (one.digest, -one.vector)}) == set()
    assert file.unchanged({"unknown": (one.digest, one.vector)}) == set()
    assert file.unchanged({"bare": (text_digest("9"), one.vector)}) == set()
    assert file.unchanged({"bare": (text_digest("9"), None)}) == {"bare"}


def test_copies_live_in_memory(tmp_path: Path) -> None:
    file = StatisticsFile(tmp_path / "original.sqlite3", D, {})
    file.count([record(str(n), n) for n in range(1, 9)])
    for made in (pickle.loads(pickle.dumps(file)), copy.deepcopy(file)):  # noqa: S301 - our own
        assert isinstance(made, CorpusStatistics)
        assert_same(made, file.snapshot())
    assert isinstance(file, Statistics)
    assert isinstance(file.snapshot(), Statistics)


def test_many_units_are_looked_up_at_once() -> None:
    file = StatisticsFile(None, D, {})
    units = [f"unit{n}" for n in range(40_000)]
    file.count([Record("all", b"", units, np.ones(D) / np.sqrt(D))])
    found = file.look_up(["unknown", *units, "lone \ud800"])
    assert found == dict.fromkeys(units, 1)
    numbers, lengths = file.postings(units)
    assert set(numbers.tolist()) == set(lengths.tolist()) == {1}
    assert len(numbers) == len(lengths) == 40_000


FULL = """
import json, resource, signal, sys
from pathlib import Path
import numpy as np
from lsb_rag.errors import CorruptFileError, StoreError
from lsb_rag.statistics.on_disk import StatisticsFile
from lsb_rag.statistics.base import Record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = StatisticsFile(Path(sys.argv[1]), 64, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000))
counted = 0
try:
    for n in range(10_000):
        file.expect([str(n)])
        file.count([Record(str(n), b"", [f"word{n}", f"other{n}"], np.ones(64) / 8)])
        counted += 1
except StoreError as error:
    print(json.dumps([counted, str(error)]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "full.sqlite3"
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)  # noqa: S603
    counted, message = json.loads(done.stdout)
    assert counted > 5
    assert "Make room" in message
    file = StatisticsFile(path, 64, {})
    assert counted <= file.n_records <= counted + 1
    assert file.df("word0") == 1
    file.count([Record("more", b"", ["fits"], np.ones(64) / 8)])
    assert file.df("fits") == 1


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let vectors of :data:`D` dimensions be wide ones, of which three may stand beside the sum."""
    monkeypatch.setattr(on_disk, "WIDE", D)
    monkeypatch.setattr(on_disk, "WAITING", 3)


def sums(path: Path) -> dict[str, int]:
    """The sizes of the sums in a file, by name."""
    with sqlite3.connect(path) as database:
        found = dict(database.execute("SELECT name, length(value) FROM sums ORDER BY name").fetchall())
    database.close()
    return found


@pytest.mark.usefixtures("wide")
def test_changes_of_wide_vectors_stand_beside_their_sum_at_first(tmp_path: Path) -> None:
    path, draw, kept = tmp_path / "wide.sqlite3", random.Random(1), dict[str, Record]()
    file, reader = StatisticsFile(path, D, {}), StatisticsFile(path, D, {})
    folded = set()
    for step in range(60):
        records = {id: record(id, step) for id in draw.sample([str(n) for n in range(9)], draw.randint(0, 2))}
        gone = [id for id in draw.sample(sorted(kept), min(len(kept), 1)) if id not in records]
        file.count(list(records.values()), gone)
        kept = {**{id: one for id, one in kept.items() if id not in gone}, **records}
        np.testing.assert_allclose(reader.covariance, from_scratch(kept).covariance, atol=1e-12)
        sizes = sums(path)
        assert sizes.pop("vectors") == 8 * D
        folded.add(sizes.pop("folded"))
        assert sum(sizes.values()) <= 3 * 2 * D
    assert folded == {0, 8 * D * D}
    assert_same(reader, from_scratch(kept))
    file.count([], list(kept))
    np.testing.assert_allclose(reader.covariance, np.zeros((D, D)), atol=1e-12)


def test_a_passage_of_wide_vectors_is_added_without_the_matrix(tmp_path: Path) -> None:
    path = tmp_path / "wide.sqlite3"
    file, rows = StatisticsFile(path, WIDE, {}), at_unit_length(np.random.default_rng(0).normal(size=(1100, WIDE)))
    file.count([Record(str(n), b"", [f"word{n}"], rows[n]) for n in range(1099)])
    assert sums(path)["folded"] == 8 * WIDE**2
    file.checkpoint()
    file.count([Record("last", b"", ["word0"], rows[-1])])
    assert path.with_name("wide.sqlite3-wal").stat().st_size < WIDE**2 / 4
    counted = rows.astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(file.covariance, np.cov(counted.T, bias=True), atol=1e-12)


def test_wide_vectors_counted_by_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, kept = tmp_path / "earlier.sqlite3", {str(n): record(str(n), n) for n in range(1, 8)}
    earlier = StatisticsFile(path, D, {})
    earlier.count(list(kept.values()))
    monkeypatch.setattr(on_disk, "WIDE", D)
    file = StatisticsFile(path, D, {})
    np.testing.assert_array_equal(file.covariance, earlier.covariance)
    assert file.n_passages == 7
    file.count([record("more", 10)], ["2"])
    kept = {id: one for id, one in kept.items() if id != "2"} | {"more": record("more", 10)}
    assert_same(file, from_scratch(kept))
    assert sums(path) == {"folded": 8 * D * D, "vectors": 8 * D}
    monkeypatch.setattr(on_disk, "WIDE", D + 1)
    with pytest.raises(CorruptFileError, match="sums that are missing"):  # rather than a part of the sum
        _ = earlier.covariance


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM sums WHERE name = 'folded'",
        "UPDATE sums SET value = substr(value, 1, 9) WHERE name = 'folded'",
        "UPDATE sums SET value = substr(value, 1, 9) WHERE name LIKE 'added %'",
        f"UPDATE sums SET value = x'{'ff' * 2 * D}' WHERE name LIKE 'gone %'",  # noqa: S608
    ],
)
def test_damaged_sums_of_wide_vectors_are_found(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.sqlite3"
    file = StatisticsFile(path, D, {})
    file.count([record(str(n), n) for n in range(1, 8)])
    file.count([record("new", 10)], ["1"])
    assert len(sums(path)) == 4  # vectors, folded, added, gone
    with sqlite3.connect(path) as database:
        assert database.execute(damage).rowcount == 1
    database.close()
    with pytest.raises(CorruptFileError, match="fitted again"):
        _ = file.covariance
    file.empty("damaged")
    file.count([record("again", 2)])
    assert file.n_passages == 1
