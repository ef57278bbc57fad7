from __future__ import annotations

import sys

import bm25s
import numpy as np
import pytest
import snowballstemmer

from lsb_rag.errors import MissingExtraError
from lsb_rag.evaluation import Bm25, convex_fusion, reciprocal_rank_fusion
from lsb_rag.evaluation.baselines import stems, stems_and_names
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


def test_scores_of_several_analyzers_are_added_up() -> None:
    query = "the pumps that stopped, E-4012"
    together = Bm25(IDS, TEXTS, [words, stems]).scores(query)
    np.testing.assert_allclose(together, Bm25(IDS, TEXTS).scores(query) + Bm25(IDS, TEXTS, stems).scores(query))
    assert Bm25(["a"], ["the"], [stems, words]).search("the", 1).keys() == {"a"}  # a stop word alone


def test_what_scores_as_much_as_the_last() -> None:
    index = Bm25(["a", "b", "c", "d"], ["inlet blocked", "outlet blocked", "valve blocked", "blocked blocked"])
    assert list(index.search("blocked", 2)) == ["d", "a"]
    assert list(index.search("blocked", 2, ties=True)) == ["d", "a", "b", "c"]
    assert list(index.search("blocked", 9, ties=True)) == ["d", "a", "b", "c"]
    assert index.search("nothing", 2, ties=True) == {}


def test_stems_are_those_of_llamaindexs_users() -> None:
    stemmer = snowballstemmer.stemmer("english")
    for text in (*TEXTS, "The pumps' running costs, and those of E-4012_b: naïve Größe"):
        (theirs,) = bm25s.tokenize([text], stopwords="en", return_ids=False, show_progress=False)
        assert stems(text) == stemmer.stemWords(theirs)
    assert stems_and_names("The pumps stopped at E-4012") == [*stems("The pumps stopped at E-4012"), "#e-4012", "#4012"]


def test_tied_passages_share_their_mean_rank() -> None:
    # b and c: 1/62.5, and c 1/61 more; a: 1/61
    assert reciprocal_rank_fusion([["a", ("b", "c")], ["c"]]) == ["c", "a", "b"]
    assert reciprocal_rank_fusion([[("b", "a")]]) == ["a", "b"]


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
