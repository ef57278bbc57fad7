from __future__ import annotations

import numpy as np
import pytest

from lsb_rag.errors import InvalidInputError
from lsb_rag.statistics import base
from lsb_rag.statistics.base import Statistics, as_counted, at_unit_length, covariance_of, outer_sum
from lsb_rag.statistics.in_memory import CorpusStatistics


def test_vectors_at_unit_length() -> None:
    found = at_unit_length([[3, 4], [0, 0]])
    np.testing.assert_array_equal(found, [[0.6, 0.8], [0, 0]])
    assert found.dtype == np.float64


def test_vectors_as_they_are_counted_sum_up_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    rows = as_counted(at_unit_length(rng.normal(size=(1000, 8))), 1000, 8)
    assert rows.dtype == np.float16
    shuffled = rows[rng.permutation(1000)]
    np.testing.assert_array_equal(rows.sum(axis=0, dtype=np.float64), shuffled.sum(axis=0, dtype=np.float64))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((1, 3)), r"shape \(1, 3\) do not fit 2 passages of 3"),
        (np.zeros((2, 4)), r"shape \(2, 4\) do not fit 2 passages of 3"),
        (np.full((2, 3), np.nan), "NaN or infinity"),
        (np.full((2, 3), 1e6), "NaN or infinity"),  # beyond float16
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        as_counted(vectors, 2, 3)


def test_the_covariance_is_that_of_numpy() -> None:
    rows = np.random.default_rng(1).normal(size=(20, 4))
    found = covariance_of(rows.T @ rows, rows.mean(axis=0), 20)
    np.testing.assert_allclose(found, np.cov(rows.T, bias=True), atol=1e-12)
    assert not covariance_of(np.zeros((4, 4)), np.zeros(4), 0).any()


@pytest.mark.parametrize("n", [0, 1, 7, 12])
def test_the_outer_sum_of_wide_vectors_is_summed_in_parts(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = as_counted(at_unit_length(np.random.default_rng(n).normal(size=(n, 4))), n, 4)
    expected = sum((np.outer(row, row) for row in rows.astype(np.float64)), np.zeros((4, 4)))
    np.testing.assert_allclose(outer_sum(rows), expected, atol=1e-12)
    monkeypatch.setattr(base, "WIDE", 4)
    monkeypatch.setattr(base, "OUTER_ROWS", 3)
    np.testing.assert_allclose(outer_sum(rows), expected, atol=1e-12)


def test_statistics_in_memory_are_statistics() -> None:
    assert isinstance(CorpusStatistics(3), Statistics)
    assert not isinstance(object(), Statistics)
