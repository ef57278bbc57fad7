"""A real Chroma server on loopback, and a proxy before it that checks a token and loses answers."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import chromadb
from chromadb.api import ClientAPI

START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def chroma_server(
    folder: Path, headers: dict[str, str] | None = None, port: int | None = None
) -> Iterator[tuple[ClientAPI, subprocess.Popen[bytes]]]:
    """``chroma run`` over `folder`: a client of it, and its process."""
    port = port or free_port()
    program = Path(sys.executable).with_name("chroma")
    command = [program, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            yield _connected(port, headers or {}, process), process
        finally:
            process.kill()


def url_of(client: ClientAPI) -> str:
    settings = client.get_settings()
    return f"http://{settings.chroma_server_host}:{settings.chroma_server_http_port}"


def _connected(port: int, headers: dict[str, str], process: subprocess.Popen[bytes]) -> ClientAPI:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return chromadb.HttpClient("127.0.0.1", port, headers=headers)
        except ValueError:  # not listening yet
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)


class Proxy(ThreadingHTTPServer):
    """Forwards requests to a server on loopback.

    :param token: What the ``Authorization`` header must bear; others get a 401.
    """

    daemon_threads = True

    def __init__(self, port: int, token: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.port, self.token = port, token
        self.lose_answers = 0
        """So many answers from now on are lost: the server does what it is asked, and the client never hears of it."""
        self.overloaded = 0
        """So many requests from now on are answered with a 503."""
        self.delay = 0.0
        """Seconds that every answer takes longer."""
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Forward(BaseHTTPRequestHandler):
    server: Proxy

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self._answer(401, b'{"error": "AuthError", "message": "Forbidden"}')
        if self.server.overloaded:
            self.server.overloaded -= 1
            return self._answer(503, b"busy")
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.port)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        self.server.requests.append(f"{self.command} {self.path}")
        time.sleep(self.server.delay)
        if self.server.lose_answers and self.command == "POST":
            self.server.lose_answers -= 1
            self.close_connection = True
            return None
        return self._answer(answer.status, data)

    def _answer(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the client gave up waiting
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _forward

    def log_message(self, *_: object) -> None:
        """Say nothing."""
