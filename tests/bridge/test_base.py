from __future__ import annotations

import pytest

from lsb_rag import CorpusBridge, CorpusStatistics
from lsb_rag.bridge.base import DEFAULT_STRENGTH, Bridge, checked_strength
from lsb_rag.errors import InvalidInputError


def test_unusable_strengths_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="product, residual, signed_product"):
        checked_strength("sum", None)  # type: ignore[arg-type]
    for strength in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInputError, match="strength"):
            checked_strength("residual", strength)
    assert {f: checked_strength(f, None) for f in DEFAULT_STRENGTH} == {  # type: ignore[arg-type]
        "product": 1.0,
        "residual": 0.8,
        "signed_product": 14.0,
    }


def test_what_is_no_number_is_refused_as_a_strength() -> None:
    for strength in ("strong", [1.0]):
        with pytest.raises(InvalidInputError, match="finite number of at least 0"):
            checked_strength("residual", strength)  # type: ignore[arg-type]
    assert checked_strength("residual", 0) == 0.0


def test_a_corpus_fitted_bridge_is_a_bridge() -> None:
    assert isinstance(CorpusBridge(CorpusStatistics(2)), Bridge)
    assert not isinstance(object(), Bridge)
