"""The judge: a language model behind an OpenAI-compatible endpoint, and what it may cost."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

from ...errors import EndpointError, InvalidInputError, MissingExtraError
from ...generation import checked_choice
from ...generation.openai_endpoint import api_key, checked_url, shown_url

SPENT = "lsb_rag_budget_spent"
BUDGET = "not asked: the budget was spent"
UNREADABLE = "the judge's answer could not be read"
TIMEOUT = "the judge did not answer in time"
CONNECTION = "no connection to the judge"
ANSWERED_STATUS = (400, 413, 422)
"""Of an endpoint that answers, but not this request: too long for the model, or not to its liking."""
CHARACTERS_A_TOKEN = 4
"""For endpoints that do not say what a request took, or say nonsense."""
MOST_TOKENS = 10**8


@dataclass(frozen=True)
class Judge:
    """A judge and the limits it works under.

    The key comes from the environment variable ``OPENAI_API_KEY``; a local server that wants none gets a placeholder.

    :param model: Name of the model at the endpoint.
    :param base_url: The endpoint, such as ``http://localhost:11434/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI's.
    :param max_requests: HTTP requests of one run at most, repeated ones counted; 0 for no limit.
    :param max_tokens: Tokens of one run, prompts and answers together, after which nothing more is asked; requests
        under way then still end. 0 for no limit.
    :param concurrency: Judgements asked for at a time.
    :param timeout: Seconds to wait for one answer.
    :param retries: How often a request that failed (429, 5xx, timeout, connection) is repeated, with back-off.
    :raises InvalidInputError: For a limit below its least, or an address that cannot be read.
    """

    model: str
    base_url: str | None = field(default=None, repr=False)
    max_requests: int = 0
    max_tokens: int = 0
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "base_url", checked_url(self.base_url))
        for name, least in (("max_requests", 0), ("max_tokens", 0), ("concurrency", 1), ("retries", 0)):
            if getattr(self, name) < least:
                raise InvalidInputError(f"{name} must be at least {least}, not {getattr(self, name)}.")

    @property
    def name(self) -> str:
        """How it is chosen on the command line, without credentials."""
        return self.model + (f"@{shown_url(self.base_url)}" if self.base_url else "")


def make_judge(choice: str, **limits: Any) -> Judge:
    """The judge that a command line names: ``MODEL`` or ``MODEL@URL``.

    :param limits: See :class:`Judge`.
    :raises InvalidInputError: When no model is named.
    :raises EndpointError: When OpenAI's own endpoint is meant and there is no key.
    """
    try:
        model, url = checked_choice(f"openai:{choice.removeprefix('openai:')}")
    except InvalidInputError:
        raise InvalidInputError("Unknown judge; name it like MODEL@http://localhost:PORT/v1.") from None
    judge = Judge(model, url or None, **limits)
    if not judge.base_url and not os.environ.get("OPENAI_API_KEY"):
        raise EndpointError("Set OPENAI_API_KEY, or name a local endpoint: MODEL@http://localhost:PORT/v1.")
    return judge


def unreachable(judge: Judge) -> str:
    """Why nothing answers at the endpoint of `judge`; empty where something does, whatever it says. Asks no model."""
    import httpx

    url = judge.base_url or "https://api.openai.com/v1"
    try:
        httpx.get(url, timeout=min(judge.timeout, 10.0))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"Nothing answers at the judge's endpoint {shown_url(url)} ({type(error).__name__}); is it running?"
    return ""


@dataclass
class Usage:
    """What a run has taken so far.

    :param requests: HTTP requests sent.
    :param tokens: Tokens, as the endpoint counts them, or estimated where it does not.
    """

    requests: int = 0
    tokens: int = 0

    def spent(self, judge: Judge) -> bool:
        """Whether a limit of `judge` is reached."""
        return bool(
            (judge.max_requests and self.requests >= judge.max_requests)
            or (judge.max_tokens and self.tokens >= judge.max_tokens)
        )


def open_client(judge: Judge, usage: Usage) -> Any:
    """An ``openai.AsyncOpenAI`` whose every HTTP request is counted, whoever repeats it, and none sent beyond the
    limits of `judge`. Close it where it was opened.

    :param usage: Where it is counted.
    :raises MissingExtraError: When the extra ``openai`` is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError("A judge needs the openai client: `pip install 'lsb-rag[eval]'`.") from error
    # httpx or its successor, whichever this release of openai stands on.
    library = next(kind for kind in openai.DefaultAsyncHttpxClient.__mro__ if kind.__name__ == "AsyncClient").__module__
    http: Any = sys.modules[library.partition(".")[0]]

    class Counting(http.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            if usage.spent(judge):
                # As a response the caller does not repeat: an exception it would take for a lost connection.
                body = {"error": {"message": "The budget is spent.", "code": SPENT}}
                return http.Response(402, json=body, request=request)
            usage.requests += 1
            response = await super().send(request, **options)
            if response.status_code == 200:
                usage.tokens += _tokens(request.content, await response.aread())
            return response

    return openai.AsyncOpenAI(
        base_url=judge.base_url,
        api_key=api_key(),
        timeout=judge.timeout,
        max_retries=judge.retries,
        http_client=Counting(timeout=judge.timeout),  # follows no redirect: each would be a request,
    )


def _tokens(asked: bytes, answered: bytes) -> int:
    try:
        tokens = json.loads(answered)["usage"]["total_tokens"]
    except (ValueError, KeyError, TypeError, RecursionError):
        tokens = None
    counted = isinstance(tokens, int) and 0 < tokens < MOST_TOKENS
    return tokens if counted else (len(asked) + len(answered)) // CHARACTERS_A_TOKEN


def failure(error: BaseException) -> tuple[str, bool]:
    """Why a judgement failed, in a few words that name no address and no key; and whether the endpoint is to blame."""
    import openai

    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, openai.APIStatusError):
            if cause.code == SPENT:
                return BUDGET, False
            return f"HTTP {cause.status_code} from the judge", cause.status_code not in ANSWERED_STATUS
        if isinstance(cause, openai.APITimeoutError):
            return TIMEOUT, True
        if isinstance(cause, openai.APIConnectionError):
            return CONNECTION, True
        cause = cause.__cause__ or cause.__context__
    return UNREADABLE, False
