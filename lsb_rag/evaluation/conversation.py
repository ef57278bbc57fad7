"""Conversations: each question made to stand alone, by what the user's framework makes of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ..errors import InvalidInputError, InvalidTypeError
from ..utils.arguments import shown
from ..utils.secrets import redacted, without_secrets
from ..utils.threads import run_to_end
from .dataset import Query

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

Messages: TypeAlias = list[dict[str, str]]
"""Messages before a question as ``{"role": "user" | "assistant", "content": …}``. LangChain's prompts take them as they
are, and LlamaIndex's ``ChatMessage`` as its arguments."""
Condense: TypeAlias = Callable[[Messages, str], Any]
"""A function from the messages before a question, and the question, to one that stands alone; it may be async."""


@dataclass(frozen=True)
class Standalone:
    """The questions that are searched for.

    :param texts: ``{query id: question}``, for all queries.
    :param failed: Number of questions that could not be made to stand alone, and are searched for as they are.
    :param alone: Whether questions of conversations were made to stand alone.
    """

    texts: dict[str, str]
    failed: int = 0
    alone: bool = True


def standalone(
    queries: Sequence[Query], condense: Condense | None, progress: Callable[[int, int], None] | None = None
) -> Standalone:
    """Return every query's question, with those that continue a conversation made to stand alone.

    :raises InvalidInputError: When `condense` fails on all.
    :raises InvalidTypeError: When it returns something else than text.
    """
    texts = {query.id: query.text for query in queries}
    later = [query for query in queries if query.history]
    if condense is None or not later:
        return Standalone(texts, alone=False)
    failures: list[Exception] = []
    for done, query in enumerate(later, start=1):
        try:
            text = now(condense(query.messages, query.text))
        except Exception as error:  # of any framework
            logger.debug("%r was not made to stand alone: %s", query.text, redacted(error))
            failures.append(error)
            continue
        text = getattr(text, "content", text)  # a message of a chat model
        if not isinstance(text, str):
            raise InvalidTypeError(f"condense must return a question, not {shown(text)}.")
        texts[query.id] = text.strip() or query.text
        if progress:
            progress(done, len(later))
    if len(failures) == len(later):
        raise InvalidInputError(
            f"condense failed on all {len(later)} questions of conversations; the last said "
            f"{type(failures[-1]).__name__}: {redacted(failures[-1])}"
        ) from without_secrets(failures[-1])
    return Standalone(texts, len(failures))


def now(result: Result | Awaitable[Result]) -> Result:
    """Return a result, awaited where it has to be."""
    return run_to_end(_awaited(result)) if isinstance(result, Awaitable) else result


async def _awaited(result: Awaitable[Result]) -> Result:
    return await result
