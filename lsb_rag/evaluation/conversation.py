"""Conversations: each question made to stand alone, by what the user's framework makes of it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from ..errors import InvalidInputError, InvalidTypeError
from ..utils.arguments import shown
from ..utils.secrets import redacted, without_secrets
from .dataset import Query

logger = logging.getLogger(__name__)

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


def now(result: Any) -> Any:
    """Return a result, awaited where it has to be, always on the same loop, which clients are bound to."""
    if isinstance(result, Awaitable):
        return asyncio.run_coroutine_threadsafe(_awaited(result), _loop()).result()
    return result


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return a loop that runs in a thread of its own, as there may be one here already."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="lsb_rag-evaluation").start()
    return loop


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
