from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.lexical import analyzer, slr
from lsb_rag.units import word_spans, words


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
        ("E\u20114012 E\u20134012", ["e-4012", "e", "4012", "e-4012", "e", "4012"]),  # other hyphens
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),  # decomposed and composed
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),  # vowel signs
        ("... --- ?!", []),
        ("", []),
    ],
)
def test_words(text: str, units: list[str]) -> None:
    assert words(text) == units


@given(st.text())
def test_spans_lie_in_the_text_and_name_the_words(text: str) -> None:
    spans = word_spans(text)
    assert [unit for unit, _, _ in spans] == words(text)
    assert all(0 <= start < end <= len(text) for _, start, end in spans)


def test_spans_of_compounds() -> None:
    assert word_spans("an E-4012!") == [("an", 0, 2), ("e-4012", 3, 9), ("e", 3, 4), ("4012", 5, 9)]
    assert word_spans("\uff25\uff0d\uff14") == [("e-4", 0, 3), ("e", 0, 1), ("4", 2, 3)]
    assert word_spans("Stra\u00dfe-1") == [("strasse-1", 0, 8), ("strasse", 0, 8), ("1", 0, 8)]


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
