"""Answers with citations from retrieved passages."""

from __future__ import annotations

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from .answer import NO_ANSWER, Answer, Generator, fenced
from .extractive import ExtractiveGenerator
from .openai_endpoint import OpenAIGenerator
from .smollm2 import SmolLM2Generator

__all__ = [
    "NO_ANSWER",
    "Answer",
    "ExtractiveGenerator",
    "Generator",
    "OpenAIGenerator",
    "SmolLM2Generator",
    "checked_choice",
    "fenced",
    "make_generator",
]


def make_generator(choice: str, encoder: LexSemBridgeEncoder) -> Generator:
    """The generator that a command line names: ``extractive``, ``smollm2`` or ``openai:MODEL[@URL]``.

    :raises InvalidInputError: For any other name.
    :raises MissingExtraError: When what it needs is not installed.
    """
    if choice == "extractive":
        return ExtractiveGenerator(encoder)
    if choice == "smollm2":
        return SmolLM2Generator(encoder)
    model, url = checked_choice(choice)
    return OpenAIGenerator(model, url or None)


def checked_choice(choice: str) -> tuple[str, str]:
    """Model and URL of an endpoint that a choice names, both empty for the others.

    :raises InvalidInputError: For an unknown generator.
    """
    if choice in ("extractive", "smollm2"):
        return "", ""
    kind, _, rest = choice.partition(":")
    model, at, url = rest.rpartition("@")
    if not at or "://" not in url:  # some models have an @ in their name
        model, url = rest, ""
    if kind != "openai" or not model:
        raise InvalidInputError(f"Unknown generator {choice!r}; choose extractive, smollm2 or openai:MODEL@URL.")
    return model, url
