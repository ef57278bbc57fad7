from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import CorpusBridge, CorpusStatistics
from lsb_rag.bridge.weighting import slr
from lsb_rag.errors import InvalidInputError

D = 8


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def collection(seed: int = 0, n: int = 40) -> tuple[list[list[str]], np.ndarray]:
    rng = np.random.default_rng(seed)
    passages = [list(rng.choice(list("abcdefghij"), size=rng.integers(1, 5))) for _ in range(n)]
    return passages, unit(rng.normal(size=(n, D))).astype(np.float16).astype(np.float64)  # as they are counted


def fitted(passages: list[list[str]], rows: np.ndarray) -> CorpusBridge:
    statistics = CorpusStatistics(D)
    statistics.add(passages, rows)
    return CorpusBridge(statistics, ridge=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_direction_against_the_formula_written_densely(seed: int) -> None:
    passages, rows = collection(seed, n=25)  # all of which are averaged over
    bridge = fitted(passages, rows)
    query = ["a", "c", "zebra"]
    mean, sigma = rows.mean(axis=0), np.cov(rows.T, bias=True)
    shrunk = sigma + 0.2 * np.trace(sigma) / D * np.eye(D)
    with_t = {t: np.array([t in units for units in passages]) for t in ("a", "c")}
    idf = {t: np.log(1 + (len(rows) - df.sum() + 0.5) / (df.sum() + 0.5)) for t, df in with_t.items()}
    counts = sum(idf[t] * with_t[t] for t in with_t) ** 4
    expected = np.zeros(D)
    for t in with_t:
        of_t = np.average(rows[with_t[t]], axis=0, weights=counts[with_t[t]])
        expected += idf[t] * np.linalg.solve(shrunk, of_t - mean)
    whole = sum(idf.values()) + np.log(1 + (len(rows) + 0.5) / 0.5)  # zebra, which no passage holds
    share = max(sum(idf[t] * with_t[t] for t in with_t)) / whole
    np.testing.assert_allclose(bridge.direction(slr(query)), share * unit(expected), atol=1e-10)


def test_weights_scale_the_units() -> None:
    bridge = fitted(*collection())
    both = bridge.direction({"a": 1.0, "b": 0.0})
    np.testing.assert_allclose(both, bridge.direction({"a": 3.0}))
    assert not np.allclose(both, bridge.direction({"a": 1.0, "b": 1.0}))


def test_nothing_known_gives_no_direction() -> None:
    bridge = fitted(*collection())
    assert bridge.direction({}) is None
    assert bridge.direction({"zebra": 1.0}) is None
    assert CorpusBridge(CorpusStatistics(D)).direction({"a": 1.0}) is None
    assert fitted([["a"]], unit(np.ones((1, D)))).direction({"a": 1.0}) is None
    identical = fitted([["a"], ["b"]], unit(np.ones((2, D))))
    assert identical.direction({"a": 1.0}) is None


def test_later_changes_are_seen() -> None:
    passages, rows = collection()
    bridge = fitted(passages, rows)
    more, more_rows = collection(seed=9)
    bridge.statistics.add(more, more_rows)
    whole = fitted(passages + more, np.concatenate([rows, more_rows]))
    np.testing.assert_allclose(bridge.direction({"a": 1.0}), whole.direction({"a": 1.0}), atol=1e-10)


def test_a_ridge_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="ridge"):
        CorpusBridge(CorpusStatistics(D), ridge=0)
