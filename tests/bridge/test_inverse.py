from __future__ import annotations

import pickle

import numpy as np
import pytest

from lsb_rag import CorpusBridge, CorpusStatistics
from lsb_rag.bridge import inverse
from lsb_rag.bridge.inverse import FIRM, Inverse
from lsb_rag.statistics import on_disk
from lsb_rag.statistics.base import WIDE, Record, at_unit_length
from lsb_rag.statistics.on_disk import StatisticsFile

D = 48


def covariance(n: int, d: int = D, decay: float = 1.0) -> np.ndarray:
    rows = np.random.default_rng(n).normal(size=(n, d)) * (np.arange(d) + 1.0) ** -decay
    return np.cov(rows.T, bias=True)


def exact(sigma: np.ndarray, ridge: float) -> np.ndarray:
    return np.linalg.inv(sigma + ridge * np.trace(sigma) / len(sigma) * np.eye(len(sigma)))


def of(sigma: np.ndarray, ridge: float) -> Inverse:
    return Inverse(sigma, ridge, float(np.trace(sigma)) / len(sigma))


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inverse, "WIDE", D)


def test_narrow_vectors_get_the_general_inverse_bit_for_bit() -> None:
    sigma, rows = covariance(100), np.random.default_rng(0).normal(size=(3, D))
    np.testing.assert_array_equal(of(sigma, 1.0).times(rows[0]), exact(sigma, 1.0) @ rows[0])
    np.testing.assert_array_equal(of(sigma, 1.0).times_each(rows), rows @ exact(sigma, 1.0))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("ridge", [FIRM, 1.0])
@pytest.mark.parametrize("n", [2, 3, 20, 500])
@pytest.mark.parametrize("decay", [0.0, 1.0, 9.0])
def test_wide_vectors_get_it_in_float32(n: int, decay: float, ridge: float) -> None:
    sigma, rows = covariance(n, decay=decay), np.random.default_rng(0).normal(size=(3, D))
    kept, expected = sigma.copy(), rows @ exact(sigma, ridge)
    found = of(sigma, ridge)
    np.testing.assert_allclose(found.times_each(rows), expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(found.times(rows[1]), found.times_each(rows)[1])
    assert found.times_each(rows[:0]).shape == (0, D)
    assert len(pickle.dumps(found)) < 4 * D * D + 1000
    np.testing.assert_array_equal(sigma, kept)


@pytest.mark.usefixtures("wide")
def test_a_weak_ridge_needs_float64() -> None:
    sigma, vector = covariance(5), np.arange(D) / D
    np.testing.assert_array_equal(of(sigma, 1e-6).times(vector), exact(sigma, 1e-6) @ vector)


@pytest.mark.parametrize("d", [D, WIDE])
def test_where_all_is_one_the_inverse_is_zero(d: int) -> None:
    none = Inverse(np.zeros((d, d)), 1.0, 0.0)
    assert not none.times(np.ones(d)).any()
    assert not none.times_each(np.ones((2, d))).any()


@pytest.mark.parametrize("n", [1, 2, 3, 60])
def test_directions_of_wide_vectors_are_those_in_float64(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    passages = [["all", f"word{number}", f"third{number % 3}"] for number in range(n)]
    statistics = CorpusStatistics(WIDE)
    statistics.add(passages, at_unit_length(rng.normal(size=(n, WIDE)) / (np.arange(WIDE) + 1) + 0.01))
    query = {"all": 1.0, "word0": 1.0, "unknown": 1.0}
    bridge = CorpusBridge(statistics)
    found = bridge.direction(query)
    if n == 1:
        assert found is None
        return
    assert found is not None
    assert found.dtype == np.float64
    # Of few passages, the directions there are are those that are shrunk most, and lose as much in float32.
    rounding = 1e-3 * np.linalg.norm(found)
    np.testing.assert_allclose(sum(bridge.contributions(query).values()), found, atol=rounding)
    monkeypatch.setattr(inverse, "WIDE", WIDE + 1)
    expected = CorpusBridge(statistics).direction(query)
    assert expected is not None
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(expected))
    np.testing.assert_allclose(found, expected, atol=rounding)


def test_what_holds_of_all_passages_points_nowhere() -> None:
    rows = at_unit_length(np.random.default_rng(0).normal(size=(7, WIDE)) / 20 + 1)
    statistics = CorpusStatistics(WIDE)
    statistics.add([["all", f"word{number}"] for number in range(7)], rows)
    bridge = CorpusBridge(statistics)  # raises what little the mean of seven and the mean of all differ by, in rounding
    assert bridge.direction({"all": 1.0}) is None
    assert bridge.contributions({"all": 1.0}) == {}
    assert bridge.direction({"all": 1e-9, "word1": 1e-9}) is not None


def test_the_direction_is_the_same_whatever_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "WAITING", 25)
    rows = at_unit_length(np.random.default_rng(0).normal(size=(80, WIDE)) / (np.arange(WIDE) + 1) ** 0.6)
    records = [Record(str(n), b"", [f"word{n % 9}", f"third{n % 3}"], rows[n]) for n in range(80)]
    one, other = StatisticsFile(None, WIDE, {}), StatisticsFile(None, WIDE, {})
    one.count(records[:60])
    for some in ([*range(59, 29, -1)], [70, 3, 71], [*range(30)]):
        other.count([records[n] for n in some])
    other.count([Record("5", b"", ["other"], rows[75])], ["70", "71"])
    other.count([records[5]])
    query = {"word2": 1.0, "third1": 1.0}
    expected = CorpusBridge(one).direction(query)
    np.testing.assert_allclose(CorpusBridge(other).direction(query), expected, atol=1e-6)


def test_equal_wide_vectors_tell_no_direction() -> None:
    statistics = CorpusStatistics(WIDE)
    statistics.add([["a"], ["b"], ["a", "b"]], at_unit_length(np.ones((3, WIDE))))
    bridge = CorpusBridge(statistics)
    assert bridge.direction({"a": 1.0}) is None
    assert bridge.contributions({"a": 1.0}) == {}
