from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag import CorpusBridge, CorpusStatistics, LearnedBridge
from lsb_rag.bridge.base import DEFAULT_STRENGTH, checked_strength
from lsb_rag.bridge.fusion import check_combination, fuse
from lsb_rag.bridge.weighting import PieceWeights, slr
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


def test_a_learned_bridge_is_the_linear_layer() -> None:
    torch.manual_seed(0)
    bridge = LearnedBridge(7, D)
    torch.nn.init.normal_(bridge.weight)
    torch.nn.init.normal_(bridge.bias)  # type: ignore[arg-type]
    ids, weights = torch.tensor([[2, 5, 0], [1, 1, 6]]), torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.0, 0.25]])
    dense = torch.zeros(2, 7)
    dense[0, 2], dense[0, 5], dense[1, 1], dense[1, 6] = 0.5, 1.0, 2.0, 0.25
    expected = dense @ bridge.weight + bridge.bias
    torch.testing.assert_close(bridge(PieceWeights(ids, weights)), expected)
    torch.testing.assert_close(bridge(PieceWeights(None, dense)), expected)
    assert not LearnedBridge(7, D, bias=False)(PieceWeights(ids, weights)).any()  # starts at 0


Floats = st.lists(st.floats(-1, 1, width=32), min_size=D, max_size=D).filter(lambda row: np.linalg.norm(row) > 0.1)


@settings(deadline=None)
@given(Floats, Floats, st.floats(0.01, 20))
def test_fusions_against_their_formulas(e: list[float], v: list[float], strength: float) -> None:
    query, raw = unit(np.array(e)), np.array(v)
    direction = unit(raw)

    def fused(fusion: str) -> np.ndarray:
        v = torch.tensor(raw if fusion == "product" else direction)[None]
        return fuse(torch.tensor(query)[None], v, fusion, strength)[0].numpy()  # type: ignore[arg-type]

    def softmax(logits: np.ndarray) -> np.ndarray:
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    if np.linalg.norm(query + strength * direction) > 1e-6:
        np.testing.assert_allclose(fused("residual"), unit(query + strength * direction), atol=1e-9)
    signed, product = fused("signed_product"), fused("product")
    np.testing.assert_allclose(signed, unit(query * softmax(strength * direction * np.sign(query))), atol=1e-9)
    np.testing.assert_allclose(product, unit(query * softmax(strength * raw)), atol=1e-9)
    for modulated in (signed, product):
        assert np.all(modulated * query >= 0)  # no component changes its sign
        assert np.linalg.norm(modulated) == pytest.approx(1)


@pytest.mark.parametrize("fusion", ["product", "residual", "signed_product"])
def test_strength_zero_and_no_direction_are_the_identity(fusion: str) -> None:
    query = torch.tensor(unit(np.arange(1.0, 2 * D + 1).reshape(2, D)))
    ones = torch.ones(2, D, dtype=torch.float64)
    assert fuse(query, ones, fusion, 0.0) is query  # type: ignore[arg-type]
    some = ones * torch.tensor([[0.0], [1.0]])
    with torch.inference_mode():
        half = fuse(query, some, fusion, 1.0)  # type: ignore[arg-type]
    assert torch.equal(half[0], query[0])
    torch.testing.assert_close(fuse(query, some, fusion, 1.0)[0], query[0])  # type: ignore[arg-type]


def test_opposite_directions_of_equal_length_fall_back_to_the_query() -> None:
    query = torch.tensor(unit(np.arange(1.0, D + 1)))[None]
    assert torch.equal(fuse(query, -query, "residual", 1.0), query)


def test_half_precision_stays_close() -> None:
    torch.manual_seed(1)
    query = torch.nn.functional.normalize(torch.randn(16, 384), dim=1)
    v = torch.randn(16, 384) / 10
    for fusion, strength in (("product", 1.0), ("residual", 0.8), ("signed_product", 14.0)):
        exact = fuse(query, v, fusion, strength)  # type: ignore[arg-type]
        for kind in (torch.float16, torch.bfloat16):
            half = fuse(query.to(kind), v.to(kind), fusion, strength).float()  # type: ignore[arg-type]
            assert torch.nn.functional.cosine_similarity(half, exact).min() > 0.999


def test_unusable_options_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="product, residual, signed_product"):
        checked_strength("sum", None)  # type: ignore[arg-type]
    for strength in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="strength"):
            checked_strength("residual", strength)
    with pytest.raises(InvalidInputError, match="ridge"):
        CorpusBridge(CorpusStatistics(D), ridge=0)
    assert {f: checked_strength(f, None) for f in DEFAULT_STRENGTH} == {  # type: ignore[arg-type]
        "product": 1.0,
        "residual": 0.8,
        "signed_product": 14.0,
    }


def test_combinations_that_make_no_sense_are_refused_with_the_reason() -> None:
    corpus, learned = CorpusBridge(CorpusStatistics(D)), LearnedBridge(7, D)
    with pytest.raises(InvalidInputError, match="needs units='wordpieces'"):
        check_combination(learned, "product", "words")
    with pytest.raises(InvalidInputError, match="use fusion='signed_product'"):
        check_combination(corpus, "product", "words")
    for fusion in ("product", "residual", "signed_product"):
        check_combination(learned, fusion, "wordpieces")  # type: ignore[arg-type]
        check_combination(None, fusion, "words")  # type: ignore[arg-type]
    for units in ("words", "wordpieces"):
        check_combination(corpus, "residual", units)  # type: ignore[arg-type]
        check_combination(corpus, "signed_product", units)  # type: ignore[arg-type]
