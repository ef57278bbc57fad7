from __future__ import annotations

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.generation import (
    Generator,
    make_generator,
)


def test_generators_are_chosen_by_name(encoder: LexSemBridgeEncoder) -> None:
    extractive: Generator = make_generator("extractive", encoder)
    assert extractive.name == "extractive"
    assert make_generator("openai:org/m@http://h:1/v1", encoder).name == "openai:org/m@http://h:1/v1"
    assert make_generator("openai:@cf/m@http://h/v1", encoder).name == "openai:@cf/m@http://h/v1"
    for choice in ("", "gpt", "smollm2", "openai:", "openai", "extractive:2"):
        with pytest.raises(InvalidInputError, match=r"choose extractive or openai:MODEL\[@URL\]"):
            make_generator(choice, encoder)
