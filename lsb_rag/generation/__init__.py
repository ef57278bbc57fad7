"""Answers with citations from retrieved passages."""

from __future__ import annotations

import re

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..sentences.table import SentenceTable
from ..utils.arguments import checked
from .answer import NO_ANSWER, Answer, Generator, Quote, fenced, is_refusal
from .embedded_sentences import SentenceEncoder
from .extractive import ExtractiveGenerator
from .openai_endpoint import TIMEOUT_SECONDS, OpenAIGenerator

__all__ = [
    "NO_ANSWER",
    "Answer",
    "ExtractiveGenerator",
    "Generator",
    "OpenAIGenerator",
    "Quote",
    "SentenceEncoder",
    "checked_choice",
    "fenced",
    "is_refusal",
    "make_generator",
]


@checked
def make_generator(
    choice: str,
    encoder: LexSemBridgeEncoder,
    *,
    table: SentenceTable | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Generator:
    """Return the generator of a name: ``extractive`` or ``openai:MODEL[@URL]``.

    :param choice: The name, as the command line takes it.
    :param encoder: The encoder that measures the support of quotations.
    :param table: See :class:`ExtractiveGenerator`.
    :param timeout: Seconds to wait for an answer of an endpoint.
    :raises InvalidInputError: For any other name.
    :raises MissingExtraError: When a package that the generator needs is not installed.
    """
    if choice == "extractive":
        return ExtractiveGenerator(encoder, table=table)
    model, url = checked_choice(choice)
    return OpenAIGenerator(model, url or None, timeout=timeout, background=encoder.background)


@checked
def checked_choice(choice: str) -> tuple[str, str]:
    """Return the model and the URL of the endpoint that `choice` names. Both are empty for the other generators.

    :raises InvalidInputError: For an unknown generator.
    """
    if choice == "extractive":
        return "", ""
    # Some models have an @ in their name, some URLs have one in their credentials.
    endpoint = re.fullmatch(r"openai:(?P<model>\S+?)(?:@(?P<url>[A-Za-z][\w+.-]*://\S+))?", choice)
    if endpoint is None or "://" in endpoint["model"]:
        shown = re.sub(r"://\S*@", "://…@", choice)  # without a password
        raise InvalidInputError(f"Unknown generator {shown!r}; choose extractive or openai:MODEL[@URL].")
    return endpoint["model"], endpoint["url"] or ""
