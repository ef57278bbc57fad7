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

from lsb_rag.errors import CorruptFileError, InvalidInputError, ReadError, StoreError
from lsb_rag.statistics.base import Statistics
from lsb_rag.statistics.in_memory import FORMAT, CorpusStatistics

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


def held(statistics: Statistics, unit: str) -> list[list[float]]:
    """The vectors of the passages that hold `unit`, in an order of their own."""
    return sorted(statistics.vectors(statistics.postings([unit])[0]).tolist())


def assert_same(one: Any, other: Any) -> None:
    one, other = one.snapshot(), other.snapshot()
    assert sorted(one.units) == sorted(other.units)
    assert (one.n_passages, one.n_units) == (other.n_passages, other.n_units)
    assert one.look_up(one.units) == {unit: other.df(unit) for unit in one.units}
    assert [held(one, unit) for unit in one.units] == [held(other, unit) for unit in one.units]
    np.testing.assert_array_equal(one.mean, other.mean)  # bit for bit
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-12)


def test_statistics_against_their_definition() -> None:
    rows = vectors(5)
    statistics = fitted(PASSAGES, rows)
    exact = rows.astype(np.float64)
    assert statistics.n_passages == 5
    assert statistics.n_units == 9
    assert statistics.average_length == pytest.approx(9 / 5)
    assert [statistics.df(unit) for unit in "abcdez"] == [2, 2, 2, 1, 1, 0]
    assert statistics.look_up(["z", "e", "a"]) == {"e": 1, "a": 2}
    numbers, lengths = statistics.postings(["c", "a", "d"])
    assert (numbers.tolist(), lengths.tolist()) == ([1, 2, 0, 3, 3], [2, 2, 1])
    np.testing.assert_array_equal(statistics.vectors(numbers[2:4]), exact[[0, 3]])
    np.testing.assert_allclose(statistics.mean, exact.mean(axis=0))
    np.testing.assert_allclose(statistics.covariance, np.cov(exact.T, bias=True), atol=1e-12)
    assert statistics.idf("a") == pytest.approx(np.log(1 + (5 - 2 + 0.5) / (2 + 0.5)))


Passages = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(Passages, st.integers(0, 12))
def test_parts_added_or_merged_equal_the_whole(passages: list[list[str]], cut: int) -> None:
    rows = vectors(len(passages), seed=7)
    first, second = fitted(passages[:cut], rows[:cut]), fitted(passages[cut:], rows[cut:])
    one_by_one = CorpusStatistics(D)
    for units, row in zip(passages, rows, strict=True):
        one_by_one.add([units], row[None])
    first.merge(second)
    for grown in (first, one_by_one):
        assert_same(grown, fitted(passages, rows))


def test_a_refused_change_changes_nothing() -> None:
    rows = vectors(5)
    statistics = fitted(PASSAGES, rows)
    bad = rows[:1].copy()
    bad[0, 0] = np.nan
    with pytest.raises(InvalidInputError, match="NaN"):
        statistics.add([["a"]], bad)
    with pytest.raises(InvalidInputError, match="shape"):
        statistics.add([["a"]], rows[:2])
    with pytest.raises(InvalidInputError, match="do not merge"):
        statistics.merge(CorpusStatistics(D + 1))
    assert_same(statistics, fitted(PASSAGES, rows))


def test_an_interrupted_addition_changes_nothing() -> None:
    rows = vectors(2)
    statistics = fitted(PASSAGES[:2], rows)

    class Interrupted(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        statistics.add([["a"], Interrupted()], rows)
    assert_same(statistics, fitted(PASSAGES[:2], rows))


def test_merged_with_itself() -> None:
    rows = vectors(2)
    statistics = fitted(PASSAGES[:2], rows)
    statistics.merge(statistics)
    assert_same(statistics, fitted([*PASSAGES[:2], *PASSAGES[:2]], np.concatenate([rows, rows])))


def test_saved_and_loaded(tmp_path: Path) -> None:
    statistics = fitted([*PASSAGES, ["\n", "\ud800", "ü"]], vectors(6))
    path = tmp_path / "deep" / "statistics.safetensors"
    statistics.save(path, {"collection": "x", "records": 5})
    loaded, about = CorpusStatistics.load(path)
    assert about == {"collection": "x", "records": 5}
    assert_same(loaded, statistics)
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
    header = {"format": FORMAT, "statistics": json.dumps({"n_units": 1, "about": {}})}
    save_file({"df": np.zeros(1)}, path, metadata=header)
    with pytest.raises(CorruptFileError, match="damaged"):
        CorpusStatistics.load(path)
    with pytest.raises(ReadError):
        CorpusStatistics.load(tmp_path / "none")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "statistics.safetensors"
    statistics = fitted(PASSAGES, vectors(5))
    statistics.save(path)
    path.with_name("blocked").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="blocked"):
        statistics.save(path.with_name("blocked") / "statistics.safetensors")
    assert_same(CorpusStatistics.load(path)[0], statistics)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("df", [1, 1, 1], "do not fit each other"),
        ("df", [2, 1], "do not fit each other"),
        ("df", [0, 2], "impossible numbers"),
        ("postings", [0, 2], "impossible numbers"),
        ("vectors", [[np.nan, 1], [1, 0]], "impossible numbers"),
    ],
)
def test_impossible_numbers_in_a_file_are_refused(tmp_path: Path, name: str, value: list[Any], message: str) -> None:
    statistics = CorpusStatistics(2)
    statistics.add([["a"], ["b"]], np.eye(2))
    tensors = statistics._tensors()
    tensors[name] = np.array(value, tensors[name].dtype)
    header = {"format": FORMAT, "statistics": json.dumps({"n_units": 2, "about": {}})}
    save_file(tensors, tmp_path / "file", metadata=header)
    with pytest.raises(CorruptFileError, match=message):
        CorpusStatistics.load(tmp_path / "file")


def test_nothing_counted_can_be_saved(tmp_path: Path) -> None:
    CorpusStatistics(D).save(tmp_path / "empty")
    loaded, _about = CorpusStatistics.load(tmp_path / "empty")
    assert (loaded.dimension, loaded.n_passages, loaded.units) == (D, 0, [])


def test_a_copy_is_independent() -> None:
    statistics = CorpusStatistics(2)
    statistics.add([["a"], ["b"]], np.eye(2))
    copied = copy.deepcopy(statistics)
    copied.add([["a"]], np.ones((1, 2)))
    assert (statistics.df("a"), copied.df("a")) == (1, 2)
