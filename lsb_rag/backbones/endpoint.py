"""A model behind an OpenAI-compatible endpoint as a backbone: OpenAI, Ollama, vLLM, LiteLLM, TEI, llama.cpp."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from ..errors import BackboneError, InvalidInputError
from ..utils.endpoints import KEY_VARIABLE, api_key, checked_url, secrets_of, shown_url
from ..utils.secrets import redacted, without_secrets
from .base import PROBES
from .provider import ProviderBackbone
from .spread import UNRELATED

if TYPE_CHECKING:
    import httpx
    from tenacity import RetryCallState

logger = logging.getLogger(__name__)

PREFIX = "openai:"
OPENAI = "https://api.openai.com/v1"
OPTIONS = ("dimensions", "query", "document", "input_type")
TIMEOUT_SECONDS = 120.0
OVERLOADED_SECONDS = 60.0
"""How long a request is repeated while the endpoint is overloaded or limits the rate."""
AWAY_SECONDS = 10.0
"""How long a request is repeated while nothing answers."""
TEXTS_AT_ONCE = 64
"""Texts per request to begin with; halved where the endpoint takes fewer, or is too slow for as many."""
SHORT = 32_000
"""Bytes from which a request that was refused is too long, rather than of too many texts."""
BYTES_AT_ONCE = 300_000
"""Most bytes of text per request. OpenAI takes 300,000 tokens, and no token is shorter than a byte."""
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
TOO_MUCH = (400, 413, 422)
"""Statuses by which endpoints refuse a batch that is too large, and other requests."""
SLOW = 598
"""Stands for the status of an answer that did not come in time."""
ADVICE = {
    401: f"Check {KEY_VARIABLE}.",
    403: f"Check {KEY_VARIABLE}.",
    404: "Check the name of the model and the address; most end in /v1.",
    SLOW: "It is too slow, even for one text.",
}


class OpenAIEndpoint:
    """Embeds texts at an OpenAI-compatible endpoint, ``POST /embeddings``.

    The key comes from the environment variable ``OPENAI_API_KEY``, is read for each request and never shown; a local
    server that needs none gets a placeholder. Requests are repeated for up to a minute while the endpoint is
    overloaded or limits the rate, and for ten seconds while nothing answers.

    :param model: Name of the model at the endpoint.
    :param base_url: The endpoint, such as ``http://localhost:11434/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI's.
    :param dimensions: Asks for vectors of this width, from models that can be shortened.
    :param prompts: Text before a ``query`` and before a ``document``, for models that were trained with one.
    :param input_types: Sends ``input_type`` with this value for a ``query`` and for a ``document``, to endpoints that
        know the difference.
    :raises InvalidInputError: When the endpoint's address cannot be read.
    :raises BackboneError: For OpenAI's own endpoint without a key.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        dimensions: int | None = None,
        prompts: Mapping[str, str] | None = None,
        input_types: Mapping[str, str] | None = None,
    ) -> None:
        if not model:
            raise InvalidInputError("Name the model at the endpoint: openai:MODEL@http://localhost:PORT/v1.")
        if dimensions is not None and dimensions < 1:
            raise InvalidInputError(f"dimensions must be at least 1, not {dimensions}.")
        self.model = model
        self.base_url = (checked_url(base_url) or OPENAI).strip().rstrip("/").removesuffix("/embeddings")
        self.dimensions = dimensions
        self.prompts = dict(prompts or {})
        self.input_types = dict(input_types or {})
        if self.base_url == OPENAI and not os.environ.get(KEY_VARIABLE):
            raise BackboneError(f"Set {KEY_VARIABLE}, or name a local endpoint: openai:MODEL@http://localhost:PORT/v1.")
        self._open()

    def _open(self) -> None:
        self._client: httpx.Client | None = None
        self._process = os.getpid()
        self._texts_at_once, self._bytes_at_once = TEXTS_AT_ONCE, BYTES_AT_ONCE
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"OpenAIEndpoint({self.name!r})"

    @property
    def name(self) -> str:
        """``openai:MODEL[@URL][?OPTIONS]``, from which :func:`endpoint_backbone` makes it again; without secrets."""
        options: dict[str, Any] = {} if self.dimensions is None else {"dimensions": self.dimensions}
        options |= self.prompts
        if self.input_types:
            options["input_type"] = f"{self.input_types['query']},{self.input_types['document']}"
        where = "" if self.base_url == OPENAI else f"@{shown_url(self.base_url)}"
        asked = f"?{urlencode(options, quote_via=quote)}" if options else ""
        return f"{PREFIX}{self.model}{where}{asked}"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of passages.

        :raises BackboneError: When the endpoint cannot be reached, refuses, or answers with something else.
        """
        return self._embedded(texts, "document")

    def embed_queries(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of queries.

        :raises BackboneError: As :meth:`embed_documents`.
        """
        return self._embedded(texts, "query")

    def _embedded(self, texts: Sequence[str], side: str) -> list[list[float]]:
        vectors: list[list[float]] = []
        prompt = self.prompts.get(side, "")
        while len(vectors) < len(texts):
            batch = self._batch(texts, len(vectors), prompt)
            status, answer = self._post(batch, side)
            if status in (*TOO_MUCH, SLOW) and len(batch) > 1:
                size = _bytes(batch)
                if size > SHORT and status != SLOW:
                    self._bytes_at_once = size // 2
                else:
                    self._texts_at_once = len(batch) // 2
                continue
            if status != 200:
                self._texts_at_once, self._bytes_at_once = TEXTS_AT_ONCE, BYTES_AT_ONCE  # it was not the size
                said = "gave no answer in time" if status == SLOW else f"refused with status {status}: {answer}"
                raise self._error(said, batch, status)
            vectors += self._read(answer, batch)
        return vectors

    def _batch(self, texts: Sequence[str], start: int, prompt: str) -> list[str]:
        """Return the texts of the next request, with the prompt: at least one, and no more than fit."""
        batch: list[str] = []
        size = 0
        for text in texts[start : start + self._texts_at_once]:
            size += _bytes([prompt + text])
            if batch and size > self._bytes_at_once:
                break
            batch.append(prompt + text)
        return batch

    def _post(self, batch: list[str], side: str) -> tuple[int, Any]:
        """Return the status and the answer, as JSON where it is; repeated while the endpoint is overloaded or away.

        :raises BackboneError: When it does not answer.
        """
        import httpx
        from tenacity import Retrying, retry_if_exception_type, retry_if_result

        body: dict[str, Any] = {"model": self.model, "input": batch, "encoding_format": "float"}
        if self.dimensions is not None:
            body["dimensions"] = self.dimensions
        if self.input_types:
            body["input_type"] = self.input_types[side]

        headers = {"Authorization": f"Bearer {api_key()}"}

        def post() -> httpx.Response:
            return self._connected().post("embeddings", json=body, headers=headers)

        again = Retrying(
            retry=retry_if_exception_type((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError))
            | retry_if_result(lambda response: response.status_code in PASSING),
            wait=_pause,
            stop=lambda state: (state.seconds_since_start or 0) >= _limit(state),
            before_sleep=self._say,
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        try:
            response = again(post)
        except httpx.TimeoutException:
            return SLOW, ""
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise self._error(f"does not answer ({type(error).__name__}: {error})", batch) from without_secrets(error)
        try:
            return response.status_code, response.json()
        except ValueError:
            return response.status_code, response.text

    def _say(self, state: RetryCallState) -> None:
        if state.attempt_number == 1:
            response = _response(state)
            what = "does not answer" if response is None else f"answers with status {response.status_code}"
            logger.warning("The endpoint %s %s; trying for %.0f s.", shown_url(self.base_url), what, _limit(state))

    def _read(self, answer: Any, batch: Sequence[str]) -> list[list[float]]:
        try:
            rows = {int(row["index"]): [float(value) for value in row["embedding"]] for row in answer["data"]}
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._error(f"gave something else than embeddings: {answer}", batch) from without_secrets(error)
        if sorted(rows) != list(range(len(batch))) or len(answer["data"]) != len(batch):
            raise self._error(f"gave {len(answer['data'])} vectors for {len(batch)} texts", batch)
        return [rows[index] for index in range(len(batch))]

    def _error(self, what: str, batch: Sequence[str], status: int = 0) -> BackboneError:
        message, about = redacted(what)[:600], ""
        if len(batch) == 1 and batch[0] not in (*PROBES, *UNRELATED):
            about = f" The text was {batch[0][:60]!r}, of {len(batch[0])} characters."
        advice = ADVICE.get(status, f"Check that it runs, the name of the model, {self.model!r}, and {KEY_VARIABLE}.")
        return BackboneError(
            f"The endpoint {shown_url(self.base_url)} {message.rstrip('.')}.{about} {advice} What was stored before is "
            "kept; the same call goes on from there."
        )

    def _connected(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None or self._process != os.getpid():  # connections do not survive a fork
                parts = urlsplit(self.base_url)
                # Without user and password, which httpx would log.
                auth = (unquote(parts.username or ""), unquote(parts.password or "")) if parts.username else None
                self._client = httpx.Client(base_url=shown_url(self.base_url), timeout=TIMEOUT_SECONDS, auth=auth)
                self._process = os.getpid()
            return self._client

    def __getstate__(self) -> dict[str, Any]:
        if secrets_of(self.base_url):
            raise InvalidInputError("An endpoint with a password in its address is not pickled; leave it out.")
        names = ("model", "base_url", "dimensions", "prompts", "input_types")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._open()


def address_in(name: str) -> str:
    """Return the address in ``openai:MODEL@URL[?OPTIONS]``; empty where there is none."""
    rest = name.removeprefix(PREFIX).partition("?")[0]
    at = rest.rfind("@http")
    return rest[at + 1 :] if name.startswith(PREFIX) and at >= 0 else ""


def endpoint_backbone(name: str) -> ProviderBackbone:
    """Return the backbone that ``openai:MODEL[@URL][?OPTIONS]`` names.

    :param name: With the options ``dimensions=256``; ``query=`` and ``document=``, texts to put before queries and
        passages, such as ``query=query:%20&document=passage:%20`` for E5; ``input_type=query,passage``, values to send
        as ``input_type``.
    :raises InvalidInputError: For an option that is unknown or an address that cannot be read.
    :raises BackboneError: For OpenAI's own endpoint without a key.
    """
    rest, _, asked = name.removeprefix(PREFIX).partition("?")
    at = rest.rfind("@http")  # a name may hold an @
    model, url = (rest, "") if at < 0 else (rest[:at], rest[at + 1 :])
    if not url and "@" in model[1:]:
        model, _, url = rest.partition("@")
    options = dict(parse_qsl(asked, keep_blank_values=True))
    if unknown := [option for option in options if option not in OPTIONS]:
        raise InvalidInputError(f"Unknown option {unknown[0]!r} of an endpoint; there are {', '.join(OPTIONS)}.")
    types = options.get("input_type", "").split(",") if "input_type" in options else []
    dimensions = options.get("dimensions")
    if (types and (len(types) != 2 or not all(types))) or (dimensions is not None and not dimensions.isdecimal()):
        raise InvalidInputError("Write dimensions=NUMBER, and input_type=FOR_QUERIES,FOR_PASSAGES.")
    endpoint = OpenAIEndpoint(
        model,
        url or None,
        dimensions=int(dimensions) if dimensions else None,
        prompts={side: options[side] for side in ("query", "document") if side in options},
        input_types=dict(zip(("query", "document"), types, strict=True)) if types else None,
    )
    return ProviderBackbone(
        endpoint.embed_documents,
        embed_queries=endpoint.embed_queries,
        name=endpoint.name,
        kind="OpenAI-compatible endpoint",
        batch_size=TEXTS_AT_ONCE,
    )


def _pause(state: RetryCallState) -> float:
    """Return the seconds to wait before the next attempt: what the endpoint asks for, else more each time."""
    from tenacity import wait_random_exponential

    response = _response(state)
    asked = str(response.headers.get("retry-after", "")) if response is not None else ""
    with suppress(ValueError):
        return min(max(float(asked), 0.0), OVERLOADED_SECONDS)
    return float(wait_random_exponential(multiplier=0.5, max=10)(state))


def _bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode("utf-8", "replace")) for text in texts)


def _limit(state: RetryCallState) -> float:
    return AWAY_SECONDS if _response(state) is None else OVERLOADED_SECONDS


def _response(state: RetryCallState) -> httpx.Response | None:
    """Return the answer to the last attempt; None where nothing answered."""
    outcome = state.outcome
    return None if outcome is None or outcome.failed else cast("httpx.Response", outcome.result())
