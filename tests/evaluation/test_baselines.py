from __future__ import annotations

import sys

import bm25s
import numpy as np
import pytest

from lsb_rag.errors import MissingExtraError
from lsb_rag.evaluation import Bm25, convex_fusion, reciprocal_rank_fusion
from lsb_rag.lexical.units import words

from ..conftest import MANUAL

IDS = [passage.id for passage in MANUAL]
TEXTS = [passage.content for passage in MANUAL]


def test_bm25_is_the_librarys() -> None:
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index([words(text) for text in TEXTS], show_progress=False)
    ours = Bm25(IDS, TEXTS)
    np.testing.assert_allclose(ours.scores("the pump stopped"), index.get_scores(["the", "pump", "stopped"]))
    assert next(iter(ours.search("E-5100", 3))) == "valve"
    assert ours.search("zzyzx", 3) == {}
    assert ours.search("?!", 3) == {}
    assert set(ours.search("zzyzx lunch", 3)) == {"lunch"}


def test_reciprocal_rank_fusion_by_hand() -> None:
    fused = reciprocal_rank_fusion([["a", "b", "c"], ["b", "d"]], k=60)
    # b: 1/62 + 1/61, a: 1/61, d: 1/62, c: 1/63
    assert fused == ["b", "a", "d", "c"]
    assert reciprocal_rank_fusion([["b"], ["a"]]) == ["a", "b"]  # ties by id
    assert reciprocal_rank_fusion([]) == []


def test_convex_fusion_by_hand() -> None:
    cosines = {"a": 0.5, "b": 0.4, "c": 0.45}
    assert convex_fusion(cosines, {"b": 10.0, "c": 5.0}, weight=0.3) == ["b", "c", "a"]  # .7, .6, .5
    assert convex_fusion(cosines, {}) == ["a", "c", "b"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[eval\]"):
        Bm25(IDS, TEXTS)
