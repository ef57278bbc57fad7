"""A server on loopback that sends back what it was sent, headers and all, as some proxies do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .loopback import serving

CHROMA = {
    "/auth/identity": {"user_id": "", "tenant": "default_tenant", "databases": ["default_database"]},
    "/tenants/default_tenant": {"name": "default_tenant"},
    "/databases/default_database": {
        "id": "00000000-0000-0000-0000-000000000000",
        "name": "default_database",
        "tenant": "default_tenant",
    },
}
"""What a Chroma client asks when it connects."""


def echo(headers: Message, form: str) -> str:
    """The body of an answer with the request's headers in it."""
    sent = "\n".join(f"{name}: {value}" for name, value in headers.items())
    token = headers.get("Authorization", "")
    if form == "plain":
        return sent
    if form == "chroma":
        return json.dumps({"error": "AuthError", "message": dict(headers)})
    if form == "collection":  # of which pydantic quotes the beginning and the end of what is wrong
        about = {"id": token, "name": token, "dimension": token, "metadata": None, "configuration_json": {}}
        return json.dumps(about | {"tenant": "default_tenant", "database": "default_database"})
    if form == "completion":
        message = {"role": "assistant", "content": f"You sent {token}, or {token.rpartition(' ')[2]}."}
        return json.dumps({"choices": [{"index": 0, "message": message}], "data": dict(headers)})
    return json.dumps(dict(headers))


class EchoServer(ThreadingHTTPServer):
    """Answers everything with `status` and the request's headers; a Chroma client may connect first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.form = 401, "plain"
        self.greets = False
        """Whether it answers a Chroma client that connects."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: EchoServer

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        greeting = next((json.dumps(said) for path, said in CHROMA.items() if self.path.endswith(path)), None)
        greeted = self.server.greets and greeting is not None
        body = (greeting if greeted and greeting else echo(self.headers, self.server.form)).encode()
        self.send_response(200 if greeted else self.server.status)
        self.send_header("Content-Type", "text/plain" if self.server.form == "plain" else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def echo_server() -> Iterator[EchoServer]:
    with serving(EchoServer()) as server:
        yield server
