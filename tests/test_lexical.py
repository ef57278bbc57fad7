from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.lexical import analyzer, slr, words


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("E-4012 means", ["e-4012", "e", "4012", "means"]),
        ("os.path.join()", ["os.path.join", "os", "path", "join"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("--exist_ok=True.", ["exist_ok", "exist", "ok", "true"]),
        ("__init__", ["__init__", "init"]),
        ("v1.2.3, v1.2.3", ["v1.2.3", "v1", "2", "3", "v1.2.3", "v1", "2", "3"]),
        ("STRASSE straße \uff21", ["strasse", "strasse", "a"]),
        ("e - 4012", ["e", "4012"]),
        ("... --- ?!", []),
        ("", []),
    ],
)
def test_words(text: str, units: list[str]) -> None:
    assert words(text) == units


@given(st.text())
def test_words_of_any_text_are_stable_under_case(text: str) -> None:
    units = words(text)
    assert all(units)
    assert words(" ".join(units)).count("") == 0


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


def test_slr_weighs_each_distinct_unit_once() -> None:
    assert slr(["a", "b", "a"], scale=2.0) == {"a": 2.0, "b": 2.0}
