from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.training import Pair, mine_negatives

from ..conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]
PAIRS = [
    Pair("why did the pump stop", TEXTS[0]),
    Pair("why did the pump stop", TEXTS[1]),
    Pair("lunch", TEXTS[6], ("x",)),
]


def test_negatives_are_near_and_no_answers(encoder: LexSemBridgeEncoder) -> None:
    mined = mine_negatives(encoder, PAIRS, TEXTS, n=2, seed=1)
    vectors = encoder.encode_document(TEXTS)
    assert mined == mine_negatives(encoder, PAIRS, TEXTS, vectors, n=2, seed=1)
    assert mined[2] is PAIRS[2]  # has its own
    order = np.argsort(-(vectors @ encoder.embed_query(PAIRS[0].query)))
    for pair in mined[:2]:
        assert len(set(pair.negatives)) == 2
        assert not {TEXTS[0], TEXTS[1], TEXTS[order[0]]} & set(pair.negatives)


def test_what_is_as_good_as_the_answer_is_no_negative(encoder: LexSemBridgeEncoder) -> None:
    texts = [TEXTS[0], TEXTS[0] + " ", TEXTS[0].lower(), TEXTS[6]]
    mined = mine_negatives(encoder, [Pair("pump inlet", TEXTS[0])], texts, n=3)
    assert mined[0].negatives == (TEXTS[6],)


def test_vectors_have_to_fit(encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match="do not fit 7 texts"):
        mine_negatives(encoder, PAIRS, TEXTS, np.zeros((3, 384), np.float32))
    with pytest.raises(InvalidInputError, match="at least 1"):
        mine_negatives(encoder, PAIRS, TEXTS, n=0)
