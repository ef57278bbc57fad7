"""A chat-completions endpoint on loopback: a real HTTP server in place of a paid one."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .embedding_server import embeddings
from .loopback import serving

HANG, CUT = object(), object()
"""Answer too late; close the connection in the middle."""
HANG_SECONDS = 3.0


class ChatServer(ThreadingHTTPServer):
    """Answers each request with the next of `replies` (the last one again when they run out).

    A reply is a text, or ``(status, headers, body)`` sent as it is, or :data:`HANG`, or :data:`CUT`, or a function from
    the request's body to one of these. Requests are kept, headers included, except those for embeddings.
    """

    daemon_threads = True

    def __init__(self, replies: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.replies = replies
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/embeddings"):
            self._send(200, {"Content-Type": "application/json"}, json.dumps(embeddings(body)))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append({"path": self.path, "headers": headers, "body": body})
        reply = self.server.replies[min(len(self.server.requests), len(self.server.replies)) - 1]
        if callable(reply):
            reply = reply(body)
        if reply is HANG:
            time.sleep(HANG_SECONDS)
            reply = ""
        if reply is CUT:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if isinstance(reply, str):
            message = {"role": "assistant", "content": reply}
            completion = {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100},
            }
            reply = (200, {"Content-Type": "application/json"}, json.dumps(completion))
        self._send(*reply)

    def _send(self, status: int, headers: dict[str, str], text: str) -> None:
        payload = text.encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(payload))}.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            self.wfile.write(payload)
        except OSError:
            pass  # the client has given up

    def log_message(self, *_: object) -> None:
        """Keep the test output quiet."""


@contextmanager
def chat_server(*replies: Any) -> Iterator[ChatServer]:
    with serving(ChatServer(list(replies))) as server:
        yield server
