from __future__ import annotations

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.lexical.analyzer import analyzer


def test_wordpieces_ignore_truncation_and_special_tokens(encoder: LexSemBridgeEncoder) -> None:
    pieces = analyzer("wordpieces", encoder.tokenizer)("subprocess " * 400)
    assert len(pieces) >= 400
    assert not {"[CLS]", "[SEP]", "[PAD]"} & set(pieces)


def test_wordpieces_leave_the_backbone_tokenizer_as_it_was(encoder: LexSemBridgeEncoder) -> None:
    before = encoder.tokenizer.to_str()  # type: ignore[union-attr]
    analyzer("wordpieces", encoder.tokenizer)("text")
    assert encoder.tokenizer.to_str() == before  # type: ignore[union-attr]


def test_unknown_units_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="choose one of words, wordpieces"):
        analyzer("letters")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="fast tokenizer"):
        analyzer("wordpieces", None)
