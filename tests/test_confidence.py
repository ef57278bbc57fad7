from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import Hit, PassageStore, Retriever
from lsb_rag.confidence import ANSWER, MODULATED, VANILLA, spread_out, with_confidence
from lsb_rag.errors import InvalidInputError


@pytest.mark.parametrize("calibration", [MODULATED, VANILLA, ANSWER])
def test_it_rises_with_cosine_coverage_and_the_identifiers_held(calibration: object) -> None:
    assert callable(calibration)
    assert 0 < calibration(0.2, 0.2, None) < calibration(0.6, 0.2, None) < calibration(0.6, 0.9, None) < 1
    assert calibration(0.6, 0.9, False) < calibration(0.6, 0.9, None) < calibration(0.6, 0.9, True)
    assert 0 <= calibration(-1e9, 0, False) < calibration(1e9, 1, True) <= 1


def test_cosines_of_a_narrow_cone_are_spread_out() -> None:
    cosines = np.array([1.0, 0.8, 0.75])
    np.testing.assert_allclose(spread_out(cosines, 1.0), cosines)
    np.testing.assert_allclose(spread_out(cosines, 0.5), [1, 0.2, 0], atol=1e-12)


def test_a_passage_without_the_identifier_is_unlikely() -> None:
    hits = [Hit("a", 0, "E-4012: the inlet is blocked.", cosine=0.7), Hit("b", 0, "The inlet is blocked.", cosine=0.7)]
    right, wrong = with_confidence("what does E-4012 mean", hits, modulated=True)
    assert right.confidence > 0.5 > 0.1 > wrong.confidence


def test_hits_have_a_confidence_which_is_a_threshold(store: PassageStore) -> None:
    hits = Retriever(store).search("what does E-4012 mean", 4)
    assert hits[0].confidence > 0.2 > max(hit.confidence for hit in hits[1:])
    kept = Retriever(store, min_confidence=0.2).search("what does E-4012 mean", 4)
    assert [hit.id for hit in kept] == [hits[0].id]
    together = Retriever(store, min_confidence=0.2).search_batch(["what does E-4012 mean", "who won the cup"])
    assert [[hit.id for hit in found] for found in together] == [[hits[0].id], []]
    assert Retriever(store, vanilla=True).search("what does E-4012 mean", 1)[0].confidence > 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan"), True])
def test_a_threshold_is_a_number_from_0_to_1(store: PassageStore, wrong: float) -> None:
    with pytest.raises(InvalidInputError, match="min_confidence must be a number from 0 to 1"):
        Retriever(store, min_confidence=wrong)
