from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag import CorpusBridge, CorpusStatistics
from lsb_rag.bridge import checked_fusion, fuse
from lsb_rag.errors import InvalidInputError
from lsb_rag.lexical import slr

D = 8


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def collection(seed: int = 0, n: int = 40) -> tuple[list[list[str]], np.ndarray]:
    rng = np.random.default_rng(seed)
    passages = [list(rng.choice(list("abcdefghij"), size=rng.integers(1, 5))) for _ in range(n)]
    return passages, unit(rng.normal(size=(n, D)))


def fitted(passages: list[list[str]], rows: np.ndarray) -> CorpusBridge:
    statistics = CorpusStatistics(D)
    statistics.add(passages, rows)
    return CorpusBridge(statistics, ridge=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_direction_against_the_formula_written_densely(seed: int) -> None:
    passages, rows = collection(seed)
    bridge = fitted(passages, rows)
    query = ["a", "c", "zebra"]
    mean, sigma = rows.mean(axis=0), np.cov(rows.T, bias=True)
    shrunk = sigma + 0.2 * np.trace(sigma) / D * np.eye(D)
    expected = np.zeros(D)
    for t in ("a", "c"):
        with_t = np.array([t in units for units in passages])
        idf = np.log(1 + (len(rows) - with_t.sum() + 0.5) / (with_t.sum() + 0.5))
        expected += idf * np.linalg.solve(shrunk, rows[with_t].mean(axis=0) - mean)
    np.testing.assert_allclose(bridge.direction(slr(query)), unit(expected), atol=1e-10)


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


def test_refit_sees_later_changes() -> None:
    passages, rows = collection()
    bridge = fitted(passages, rows)
    more, more_rows = collection(seed=9)
    bridge.statistics.add(more, more_rows)
    bridge.refit()
    whole = fitted(passages + more, np.concatenate([rows, more_rows]))
    np.testing.assert_allclose(bridge.direction({"a": 1.0}), whole.direction({"a": 1.0}), atol=1e-10)


Floats = st.lists(st.floats(-1, 1, width=32), min_size=D, max_size=D).filter(lambda row: np.linalg.norm(row) > 0.1)


@settings(deadline=None)
@given(Floats, Floats, st.floats(0.01, 20))
def test_fusions_against_their_formulas(e: list[float], c: list[float], strength: float) -> None:
    query, direction = unit(np.array(e)), unit(np.array(c))
    if np.linalg.norm(query + strength * direction) > 1e-6:
        residual = fuse(query, direction, "residual", strength)
        np.testing.assert_allclose(residual, unit(query + strength * direction), atol=1e-9)
    logits = strength * direction * np.sign(query)
    softmax = np.exp(logits) / np.exp(logits).sum()
    product = fuse(query, direction, "signed_product", strength)
    np.testing.assert_allclose(product, unit(query * softmax), atol=1e-9)
    assert np.all(np.sign(product[np.abs(product) > 1e-12]) == np.sign(query[np.abs(product) > 1e-12]))


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_strength_zero_and_no_direction_are_the_identity(fusion: str) -> None:
    query = unit(np.arange(1.0, D + 1))
    assert fuse(query, unit(np.ones(D)), fusion, 0.0) is query  # type: ignore[arg-type]
    assert fuse(query, None, fusion, 1.0) is query  # type: ignore[arg-type]


def test_opposite_directions_of_equal_length_fall_back_to_the_query() -> None:
    query = unit(np.arange(1.0, D + 1))
    assert fuse(query, -query, "residual", 1.0) is query


def test_unusable_options_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="residual, signed_product"):
        checked_fusion("sum", None)  # type: ignore[arg-type]
    for strength in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="strength"):
            checked_fusion("residual", strength)
    with pytest.raises(InvalidInputError, match="ridge"):
        CorpusBridge(CorpusStatistics(D), ridge=0)
    assert checked_fusion("residual", None) == 0.6
    assert checked_fusion("signed_product", None) == 10.0
