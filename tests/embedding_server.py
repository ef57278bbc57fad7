"""An embeddings endpoint on loopback, as OpenAI's: a real HTTP server in place of a paid one."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .loopback import serving

QUERY_TYPES = ("query", "search_query")
"""Values of ``input_type`` that ask for the vector of a query."""


def vector(text: str, dimension: int = 64, input_type: str | None = None) -> list[float]:
    """A vector of length 1, the same at all times: texts that share words are near.

    With `input_type` the vectors of queries and of passages are pulled in directions of their own.
    """
    words = re.findall(r"\w+(?:-\w+)*", text.lower()) or [text]
    total = np.sum([_direction(word, dimension) for word in words], axis=0)
    if input_type is not None:
        side = "query" if input_type in QUERY_TYPES else "document"
        total = total / np.linalg.norm(total) + 0.5 * _direction(f"side:{side}", dimension)
    values: list[float] = (total / np.linalg.norm(total)).tolist()
    return values


@lru_cache(maxsize=10_000)
def _direction(word: str, dimension: int) -> NDArray[np.float64]:
    seed = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "big")
    direction = np.random.default_rng(seed).standard_normal(dimension)
    return np.asarray(direction / np.linalg.norm(direction))


class EmbeddingServer(ThreadingHTTPServer):
    """Answers ``POST /v1/embeddings`` with :func:`vector`; ``dimensions`` in a request makes them narrower.

    :param dimension: Width of the vectors.
    :param texts_at_once: More in one request are refused with status 413.
    :param pause: Seconds before each answer.
    """

    daemon_threads = True

    def __init__(self, dimension: int = 64, *, texts_at_once: int | None = None, pause: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.dimension = dimension
        self.texts_at_once = texts_at_once
        self.pause = pause
        self.requests: list[tuple[str, dict[str, Any]]] = []
        """Path and body of each request, also of those that were refused."""
        self._failures: list[tuple[int, Mapping[str, str]]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def texts(self) -> list[str]:
        """Every text that was asked for, in order."""
        return [text for _, body in self.requests for text in inputs(body)]

    def fail_next(self, status: int, times: int = 1, headers: Mapping[str, str] | None = None) -> None:
        """Refuse the next requests with `status`."""
        with self.lock:
            self._failures += [(status, headers or {})] * times

    def failure(self) -> tuple[int, Mapping[str, str]] | None:
        with self.lock:
            return self._failures.pop(0) if self._failures else None


def inputs(body: Mapping[str, Any]) -> Sequence[str]:
    """The texts of a request; lists of tokens as strings."""
    given = body.get("input", [])
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        given = [given]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in given]


def embeddings(body: Mapping[str, Any], dimension: int = 64) -> dict[str, Any]:
    """The answer to a request."""
    rows = [_encoded(text, body, dimension) for text in inputs(body)]
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    usage = {"prompt_tokens": len(rows), "total_tokens": len(rows)}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}


def _encoded(text: str, body: Mapping[str, Any], dimension: int) -> list[float] | str:
    row = np.asarray(vector(text, dimension, body.get("input_type")))
    if body.get("dimensions"):
        row = row[: body["dimensions"]]
        row = row / np.linalg.norm(row)
    if body.get("encoding_format") == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    values: list[float] = row.tolist()
    return values


class _Handler(BaseHTTPRequestHandler):
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, body))
        failure = self.server.failure()
        if self.server.pause:
            time.sleep(self.server.pause)
        most, texts = self.server.texts_at_once, inputs(body)
        if failure is not None:
            self._answer(failure[0], {"error": {"message": "told to fail", "type": "test"}}, failure[1])
        elif not self.path.startswith("/v1/embeddings"):
            self._answer(404, {"error": {"message": f"no such path: {self.path}", "type": "test"}})
        elif most is not None and len(texts) > most:
            self._answer(413, {"error": {"message": f"at most {most} texts", "type": "test"}})
        else:
            self._answer(200, embeddings(body, self.server.dimension))

    def _answer(self, status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        payload = json.dumps(content).encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(payload))}
        for name, value in sent.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(payload)
        except OSError:
            pass  # the client has given up

    def log_message(self, *_: object) -> None:
        """Keep the test output quiet."""


@contextmanager
def embedding_server(
    dimension: int = 64, *, texts_at_once: int | None = None, pause: float = 0.0
) -> Iterator[EmbeddingServer]:
    with serving(EmbeddingServer(dimension, texts_at_once=texts_at_once, pause=pause)) as server:
        yield server
