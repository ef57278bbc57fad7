from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lsb_rag.corpus_statistics import FORMAT, CorpusStatistics
from lsb_rag.errors import CorruptFileError, InvalidInputError

D = 5
PASSAGES = [["a", "b", "a"], ["b", "c"], ["c"], ["a", "d", "e"], []]


def vectors(n: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, D))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)  # as they are counted
    return rows.astype(np.float32)


def fitted(passages: list[list[str]], rows: np.ndarray) -> CorpusStatistics:
    statistics = CorpusStatistics(D)
    statistics.add(passages, rows)
    return statistics


def assert_same(one: Any, other: Any, tolerance: float = 1e-9) -> None:
    one, other = one.snapshot(), other.snapshot()
    units = {unit for unit in one.rows if one.df(unit)}
    assert units == {unit for unit in other.rows if other.df(unit)}
    assert (one.n_passages, one.n_units) == (other.n_passages, other.n_units)
    for unit in units:
        assert one.df(unit) == other.df(unit)
    if units:
        np.testing.assert_allclose(one.look_up(sorted(units)).sums, other.look_up(sorted(units)).sums, atol=tolerance)
    np.testing.assert_allclose(one.vector_sum, other.vector_sum, atol=tolerance)
    np.testing.assert_allclose(one.outer_sum, other.outer_sum, atol=tolerance)


def test_sums_against_their_definition() -> None:
    rows = vectors(5)
    statistics = fitted(PASSAGES, rows)
    exact = rows.astype(np.float64)
    assert statistics.n_passages == 5
    assert statistics.n_units == 9
    assert statistics.average_length == pytest.approx(9 / 5)
    assert [statistics.df(unit) for unit in "abcdez"] == [2, 2, 2, 1, 1, 0]
    np.testing.assert_allclose(statistics.look_up(["a", "c"]).sums, [exact[0] + exact[3], exact[1] + exact[2]])
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=0))
    np.testing.assert_allclose(statistics.covariance, np.cov(exact.T, bias=True), atol=1e-12)
    assert statistics.idf("a") == pytest.approx(np.log(1 + (5 - 2 + 0.5) / (2 + 0.5)))


Passages = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(Passages, st.data())
def test_adding_and_removing_equals_fitting_what_is_left(passages: list[list[str]], data: st.DataObject) -> None:
    rows = vectors(len(passages), seed=len(passages))
    statistics = CorpusStatistics(D)
    for units, row in zip(passages, rows, strict=True):
        statistics.add([units], row[None])
    gone = data.draw(st.sets(st.sampled_from(range(len(passages)))))
    for position in gone:
        statistics.remove([passages[position]], rows[position][None])
    kept = [position for position in range(len(passages)) if position not in gone]
    assert_same(statistics, fitted([passages[i] for i in kept], rows[kept]))


@settings(max_examples=30, deadline=None)
@given(Passages, st.integers(0, 12))
def test_merging_parts_equals_fitting_the_whole(passages: list[list[str]], cut: int) -> None:
    rows = vectors(len(passages), seed=7)
    first, second = fitted(passages[:cut], rows[:cut]), fitted(passages[cut:], rows[cut:])
    first.merge(second)
    assert_same(first, fitted(passages, rows))


def test_twenty_thousand_changes_leave_no_drift() -> None:
    rows = vectors(50, seed=3)
    units = [["x", "y"] if i % 2 else ["x"] for i in range(50)]
    statistics = fitted(units, rows)
    for turn in range(10_000):
        i = turn % 50
        statistics.remove([units[i]], rows[i][None])
        statistics.add([units[i]], rows[i][None])
    assert_same(statistics, fitted(units, rows), tolerance=1e-9)


def test_a_refused_change_changes_nothing() -> None:
    rows = vectors(5)
    statistics = fitted(PASSAGES, rows)
    bad = rows[:1].copy()
    bad[0, 0] = np.nan
    with pytest.raises(InvalidInputError, match="NaN"):
        statistics.add([["a"]], bad)
    with pytest.raises(InvalidInputError, match="shape"):
        statistics.add([["a"]], rows[:2])
    with pytest.raises(InvalidInputError, match="not counted in"):
        statistics.remove([["unseen"]], rows[:1])
    with pytest.raises(InvalidInputError, match="do not merge"):
        statistics.merge(CorpusStatistics(D + 1))
    assert_same(statistics, fitted(PASSAGES, rows))


def test_saved_and_loaded(tmp_path: Path) -> None:
    statistics = fitted([*PASSAGES, ["\n", "\ud800", "ü"]], vectors(6))
    statistics.remove([PASSAGES[3]], vectors(6)[3:4])  # leaves units without passages, which are not written
    path = tmp_path / "deep" / "statistics.safetensors"
    statistics.save(path, {"collection": "x", "records": 5})
    loaded, about = CorpusStatistics.load(path)
    assert about == {"collection": "x", "records": 5}
    assert_same(loaded, statistics, tolerance=0)
    assert "d" not in loaded.rows
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    loaded.add([["new"]], vectors(1))  # a loaded file can grow
    assert loaded.df("new") == 1


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "statistics.safetensors"
    fitted(PASSAGES, vectors(5)).save(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\x80\x04pickle", whole[:8] + b"x" + whole[9:]):
        path.write_bytes(damaged)
        with pytest.raises(CorruptFileError, match="damaged"):
            CorpusStatistics.load(path)
    save_file({"df": np.zeros(1)}, path, metadata={"format": "lsb-rag corpus statistics 0"})
    with pytest.raises(CorruptFileError, match="not in the format"):
        CorpusStatistics.load(path)
    good = CorpusStatistics(D)
    good.add(PASSAGES, vectors(5))
    good.outer_sum = np.zeros((2, 2))
    good.save(path)
    with pytest.raises(CorruptFileError, match="do not fit each other"):
        CorpusStatistics.load(path)
    header = {"format": FORMAT, "statistics": json.dumps({"n_passages": 1, "n_units": 1, "about": {}})}
    save_file({"df": np.zeros(1)}, path, metadata=header)
    with pytest.raises(CorruptFileError, match="damaged"):
        CorpusStatistics.load(path)
    with pytest.raises(FileNotFoundError):
        CorpusStatistics.load(tmp_path / "none")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "statistics.safetensors"
    statistics = fitted(PASSAGES, vectors(5))
    statistics.save(path)
    path.with_name("blocked").write_text("a file, not a folder")
    with pytest.raises(OSError, match="blocked"):
        statistics.save(path.with_name("blocked") / "statistics.safetensors")
    assert_same(CorpusStatistics.load(path)[0], statistics)


@pytest.mark.parametrize("damage", ["nan", "negative"])
def test_impossible_numbers_in_a_file_are_refused(tmp_path: Path, damage: str) -> None:
    statistics = CorpusStatistics(2)
    statistics.add([["a"], ["b"]], np.eye(2))
    if damage == "nan":
        statistics.vector_sum[0] = np.nan
    else:
        statistics.n_passages = 0
    statistics.save(tmp_path / "file")
    with pytest.raises(CorruptFileError, match="impossible numbers"):
        CorpusStatistics.load(tmp_path / "file")


def test_a_copy_is_independent() -> None:
    statistics = CorpusStatistics(2)
    statistics.add([["a"], ["b"]], np.eye(2))
    copied = copy.deepcopy(statistics)
    copied.add([["a"]], np.ones((1, 2)))
    assert (statistics.df("a"), copied.df("a")) == (1, 2)
