"""The judge: a language model behind an OpenAI-compatible endpoint, and its limits."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

from ...errors import EndpointError, InvalidInputError, MissingExtraError
from ...generation import checked_choice
from ...utils.arguments import checked
from ...utils.endpoints import api_key, checked_url, shown_url

SPENT = "lsb_rag_budget_spent"
BUDGET = "not asked: the budget was spent"
UNREADABLE = "the judge's answer could not be read"
TIMEOUT = "the judge did not answer in time"
CONNECTION = "no connection to the judge"
ANSWERED_STATUS = (400, 413, 422)
"""HTTP statuses of a working endpoint that refuses one request, for example because it is too long for the model."""
CHARACTERS_PER_TOKEN = 4
"""Estimate for endpoints that do not count tokens, or count nonsense."""
MAX_TOKENS_PER_REQUEST = 10**8
"""Counts from here on are nonsense."""


@checked
@dataclass(frozen=True)
class Judge:
    """A judge and the limits it works under.

    The key comes from the environment variable ``OPENAI_API_KEY``. Without one, a placeholder is sent, which suits a
    local server.

    :param model: Name of the model at the endpoint.
    :param base_url: The endpoint, such as ``http://localhost:11434/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI's.
    :param max_requests: Most HTTP requests of one run, repeated ones included; 0 for no limit.
    :param max_tokens: Tokens of one run, prompts and answers together, after which nothing more is asked. Requests
        under way are still finished. 0 for no limit.
    :param concurrency: Number of judgements asked for at a time.
    :param timeout: Seconds to wait for one answer.
    :param retries: Number of times a failed request (429, 5xx, timeout, connection) is repeated, with back-off.
    :raises InvalidInputError: For a limit that is too low, or an address that cannot be read.
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
        """The name that chooses it on the command line, without credentials."""
        return self.model + (f"@{shown_url(self.base_url)}" if self.base_url else "")


@checked
def make_judge(choice: str, **limits: Any) -> Judge:
    """Return the judge that a command line names: ``MODEL`` or ``MODEL@URL``.

    :param limits: Options of :class:`Judge`.
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
    """Return why the endpoint of `judge` does not answer, or an empty string if it does.

    Any response counts as an answer. No model is asked.
    """
    import httpx

    url = judge.base_url or "https://api.openai.com/v1"
    try:
        httpx.get(url, timeout=min(judge.timeout, 10.0))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"Nothing answers at the judge's endpoint {shown_url(url)} ({type(error).__name__}); is it running?"
    return ""


@dataclass
class Usage:
    """Requests and tokens of a run so far.

    :param requests: Number of HTTP requests sent.
    :param tokens: Number of tokens, as counted by the endpoint or else estimated.
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
    """Return an ``openai.AsyncOpenAI`` that counts every HTTP request and sends none beyond the limits of `judge`.

    Repeated requests count as well. The caller closes the client.

    :param usage: Counts the requests and tokens.
    :raises MissingExtraError: When the extra ``openai`` is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise MissingExtraError("A judge needs the openai client: `pip install 'lsb-rag[eval]'`.") from error
    # httpx or its successor, whichever this release of openai uses.
    library = next(kind for kind in openai.DefaultAsyncHttpxClient.__mro__ if kind.__name__ == "AsyncClient").__module__
    http: Any = sys.modules[library.partition(".")[0]]

    class CountingClient(http.AsyncClient):  # type: ignore[misc]
        async def send(self, request: Any, **options: Any) -> Any:
            if usage.spent(judge):
                # A response that the caller does not repeat. It would take an exception for a lost connection.
                body = {"error": {"message": "The budget is spent.", "code": SPENT}}
                return http.Response(402, json=body, request=request)
            usage.requests += 1
            response = await super().send(request, **options)
            if response.status_code == 200:
                usage.tokens += _count_tokens(request.content, await response.aread())
            return response

    return openai.AsyncOpenAI(
        base_url=judge.base_url,
        api_key=api_key(),
        timeout=judge.timeout,
        max_retries=judge.retries,
        http_client=CountingClient(timeout=judge.timeout),  # follows no redirects, which would be requests too
    )


def _count_tokens(request: bytes, response: bytes) -> int:
    """Return the tokens that a response counts, or an estimate if it counts none or nonsense."""
    try:
        tokens = json.loads(response)["usage"]["total_tokens"]
    except (ValueError, KeyError, TypeError, RecursionError):
        tokens = None
    if isinstance(tokens, int) and 0 < tokens < MAX_TOKENS_PER_REQUEST:
        return tokens
    return (len(request) + len(response)) // CHARACTERS_PER_TOKEN


def failure(error: BaseException) -> tuple[str, bool]:
    """Return why a judgement failed, and whether the endpoint is to blame.

    The reason names no address and no key.
    """
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
