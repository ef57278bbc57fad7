from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag import CorpusBridge, CorpusStatistics, LearnedBridge
from lsb_rag.bridge.fusion import check_combination, directions, fuse
from lsb_rag.errors import InvalidInputError

D = 8


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


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


def test_directions_of_a_batch_are_zeros_where_a_query_points_nowhere() -> None:
    statistics = CorpusStatistics(D)
    statistics.add([["a"], ["b"], ["c"]], np.eye(D)[:3])
    bridge = CorpusBridge(statistics)
    found = directions(bridge, [{"a": 1.0}, {"zebra": 1.0}])
    assert (found.shape, found.dtype) == ((2, D), torch.float64)
    np.testing.assert_array_equal(found[0].numpy(), bridge.direction({"a": 1.0}))
    assert not found[1].any()


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


def test_a_bridge_over_other_units_is_refused() -> None:
    bridge = CorpusBridge(CorpusStatistics(D), units="words")
    check_combination(bridge, "residual", "words")
    with pytest.raises(InvalidInputError, match="fitted on words, the encoder's units are wordpieces"):
        check_combination(bridge, "residual", "wordpieces")
