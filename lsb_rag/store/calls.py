"""Calls to Chroma: retried while a server does not answer; its errors are raised as ours, with advice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from ..errors import CollectionNotFoundError, LsbRagError, StoreError
from ..utils.files import too_many_open
from ..utils.secrets import hide, redacted, without_secrets

if TYPE_CHECKING:
    from tenacity import RetryCallState

logger = logging.getLogger(__name__)

RETRY_SECONDS = 8.0
"""How long a call is retried: long enough to survive a restart, short enough to report an outage."""
OVERLOADED = (429, 502, 503, 504)
BEHIND = ("Error finding id", "Nothing found on disk")
"""Parts of Chroma's errors where the index of vectors lacks records: for a moment, while they are written; in an
embedded database for good, where another process wrote them."""
PATIENCE = 2
"""Times that such an error may pass by itself; then the database is opened anew."""

_FULL = " If the disk is full, make room and run the same again; what was stored before is kept."
ADVICE = {
    **dict.fromkeys(("is full", "No space left", "quota", "disk I/O error", "File too large", "apply logs"), _FULL),
    BEHIND[0]: " Another process has written to this database, and what it wrote cannot be read here; let one process "
    "at a time use it, or run a server.",
    "readonly database": " Its folder cannot be written to; or it was deleted or replaced while this client had it "
    "open. Then open it again by its path, PassageStore(folder, name), which mends the other clients of this program.",
}
"""Advice, by a part of Chroma's error."""

PLAIN_HEADERS = ("accept", "accept-encoding", "connection", "content-type", "user-agent")
"""Headers of Chroma's own, which hold no secret."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def call(
    doing: str, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call Chroma, and retry with growing pauses while its server does not answer. The call must be safe to repeat.

    :param doing: Says what failed, if it does.
    :raises CollectionNotFoundError: When the collection has been deleted.
    :raises StoreError: For whatever else Chroma raises.
    """
    return call_catching_up(doing, partial(function, *args, **kwargs), None)


def call_catching_up(doing: str, function: Callable[[], Result], catch_up: Callable[[], None] | None) -> Result:
    """:func:`call`, and catch up with other processes where the index of vectors lacks records.

    :param catch_up: Called before a further attempt, once :data:`PATIENCE` attempts have shown that it lacks some.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

    behind = 0

    def attempt() -> Result:
        nonlocal behind
        if catch_up and behind >= PATIENCE:
            catch_up()
        try:
            return function()
        except Exception as error:
            behind += _is_behind(error)
            raise

    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1 and not behind:
            logger.warning("%s: the Chroma server does not answer; trying for %.0f s.", doing, RETRY_SECONDS)

    again = Retrying(
        retry=retry_if_exception(lambda error: _is_passing(error) or _is_behind(error)),
        wait=wait_exponential(multiplier=0.1, max=1.0) + wait_random(0, 0.1),
        stop=stop_after_delay(RETRY_SECONDS),
        before_sleep=say,
        reraise=True,
    )
    with chroma_errors(doing):
        return again(attempt)


def _is_behind(error: BaseException) -> bool:
    return not isinstance(error, LsbRagError) and any(sign in str(error) for sign in BEHIND)


def _is_passing(error: BaseException) -> bool:
    from httpx import HTTPStatusError, LocalProtocolError, TransportError

    if isinstance(error, HTTPStatusError):
        return error.response.status_code in OVERLOADED
    if isinstance(error.__context__, HTTPStatusError):  # Chroma's client raises a plain Exception in its place
        return _is_passing(error.__context__)
    return isinstance(error, TransportError) and not isinstance(error, LocalProtocolError)


@contextmanager
def chroma_errors(doing: str) -> Iterator[None]:
    """Turn whatever Chroma raises into :class:`~lsb_rag.errors.StoreError`: `doing` says what failed.

    :raises CollectionNotFoundError: When the collection has been deleted.
    """
    from chromadb.errors import NotFoundError

    try:
        yield
    except LsbRagError:
        raise
    except NotFoundError as error:
        _hide_headers()
        raise CollectionNotFoundError(
            f"{doing} failed: the collection is not there any more ({redacted(error)}). If it was made again, open it "
            "again."
        ) from without_secrets(error)
    except BaseException as error:  # Chroma's own, built-in ones, its client's plain Exception, its Rust core's panic
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise  # Ctrl-C
        _hide_headers()
        if _is_passing(error):
            raise StoreError(
                f"{doing} failed: the Chroma server does not answer ({redacted(error)}). Check that it runs and can be "
                "reached, and try again; what was stored before is untouched."
            ) from without_secrets(error)
        why = redacted(error) or type(error).__name__
        advice = next((advice for sign, advice in ADVICE.items() if sign in why), "")
        if limit := too_many_open():
            advice = f" {limit}"
        raise StoreError(f"{doing} failed: {why.removesuffix('.')}.{advice}") from without_secrets(error)


def _hide_headers() -> None:
    """Hide what this process sends to servers: a client that was handed in has headers of its own."""
    from chromadb.api import ServerAPI
    from chromadb.api.shared_system_client import SharedSystemClient

    for system in list(SharedSystemClient._identifier_to_system.values()):
        sent = [system.settings.chroma_client_auth_credentials or ""]
        with suppress(Exception):  # a client that was closed meanwhile
            headers = system.instance(ServerAPI).get_request_headers()  # type: ignore[type-abstract, attr-defined]
            sent += [value for name, value in headers.items() if name.lower() not in PLAIN_HEADERS]
        for value in sent:
            hide(value, value.rpartition(" ")[2], value.partition(":")[2])  # without its scheme, or its user
