"""Answers with citations from retrieved passages."""

from __future__ import annotations

import re

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from .answer import NO_ANSWER, Answer, Generator, fenced
from .extractive import ExtractiveGenerator
from .openai_endpoint import TIMEOUT_SECONDS, OpenAIGenerator
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


def make_generator(choice: str, encoder: LexSemBridgeEncoder, *, timeout: float = TIMEOUT_SECONDS) -> Generator:
    """The generator that a command line names: ``extractive``, ``smollm2`` or ``openai:MODEL[@URL]``.

    :param timeout: Seconds to wait for an answer of an endpoint.
    :raises InvalidInputError: For any other name.
    :raises MissingExtraError: When what it needs is not installed.
    """
    if choice == "extractive":
        return ExtractiveGenerator(encoder)
    if choice == "smollm2":
        return SmolLM2Generator(encoder)
    model, url = checked_choice(choice)
    return OpenAIGenerator(model, url or None, timeout=timeout)


def checked_choice(choice: str) -> tuple[str, str]:
    """Model and URL of an endpoint that a choice names, both empty for the others.

    :raises InvalidInputError: For an unknown generator.
    """
    if choice in ("extractive", "smollm2"):
        return "", ""
    # Some models have an @ in their name, some URLs have one in their credentials.
    found = re.fullmatch(r"openai:(?P<model>\S+?)(?:@(?P<url>[A-Za-z][\w+.-]*://\S+))?", choice)
    if found is None or "://" in found["model"]:
        shown = re.sub(r"://\S*@", "://…@", choice)
        raise InvalidInputError(f"Unknown generator {shown!r}; choose extractive, smollm2 or openai:MODEL@URL.")
    return found["model"], found["url"] or ""
