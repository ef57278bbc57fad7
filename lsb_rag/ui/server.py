"""The page over HTTP, for whoever sits at this machine."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, MissingExtraError
from .catalog import Collections

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).parent
HEADERS = {
    # Nothing that stands in a passage can load, run or send anything.
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    b"img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
OURS = b"x-lsb-rag"
"""A header that a browser lets no page of another site send."""


def make_app(collections: Collections, *, preferred: str = "", host: str = "127.0.0.1") -> Starlette:
    """The page as an ASGI application.

    :param collections: What can be asked.
    :param preferred: The collection that is chosen at first; the first one by default.
    :param host: The name it is served under, besides this machine's own names and any plain address.
    :raises MissingExtraError: When the extra ``ui`` is not installed.
    """
    try:
        import jinja2  # noqa: F401 - the pages' templates
        import uvicorn  # noqa: F401 - what serve() takes
        from anyio import from_thread
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError(
            "The page needs starlette, uvicorn and jinja2. Install them with `pip install 'lsb-rag[ui]'`."
        ) from error
    from . import views as pages

    def waits(request: Request) -> Callable[[], bool]:
        return lambda: not from_thread.run(request.is_disconnected)

    # Not async: Starlette runs these in threads, so that one search does not hold up another.
    def page(request: Request) -> Response:
        answering = request.method == "POST"
        return HTMLResponse(*pages.page(collections, request.query_params, preferred, answering, waits(request)))

    def answer(side: str) -> Callable[[Request], Response]:
        return lambda request: HTMLResponse(*pages.answer(collections, request.query_params, side, waits(request)))

    def file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        content = (HERE / name).read_bytes()

        async def served(_: Request) -> Response:
            return Response(content, media_type=kind)

        return served

    return Starlette(
        routes=[
            Route("/", page, methods=["GET", "POST"]),
            *(Route(f"/answer/{side}", answer(side)) for side in pages.SIDES),
            Route("/style.css", file("style.css", "text/css")),
            Route("/page.js", file("page.js", "text/javascript")),
        ],
        middleware=[Middleware(_Guard, host=host)],
    )


class _Guard:
    """Sets the headers; refuses other sites, whose pages could spend a paid model or read what is here."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        own = socket.gethostname().lower()
        self.names = {"localhost", own, f"{own}.local", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_ours(hosts[0]):  # a name of another site may be made to point here
            refused = _refused("This page answers to localhost, and to this machine's name or address.")
            await refused(scope, receive, with_headers)
        elif not _may_ask(scope, hosts[0]):
            await _refused("Answers are for the page itself.")(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)

    def _is_ours(self, header: str) -> bool:
        name, _, port = header.rpartition(":")
        name = (name if port.isdigit() else header).strip("[]").lower()
        try:
            return not getattr(ipaddress.ip_address(name), "scope_id", None)
        except ValueError:
            return name in self.names


def _may_ask(scope: Scope, host: str) -> bool:
    """Whether a generator may be made to work: by our script, known by its header, and by our form, by its origin."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if scope["path"].startswith("/answer/"):
        return OURS in headers
    origin = headers.get(b"origin", b"").decode("latin-1")
    return scope["method"] != "POST" or origin.partition("://")[2] == host


def _refused(why: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(why, 403)


def serve(app: Any, listening: socket.socket) -> None:
    """Serve `app` until it is interrupted.

    :param listening: From :func:`listen`.
    """
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
    # In a thread: an interrupt does not wait for an answer that a model is making.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    :param host: Address to listen at.
    :param port: Port to listen at; 0 takes a free one.
    :raises InvalidInputError: When it cannot.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        raise InvalidInputError(
            f"The page cannot be served at {host}, port {port}: {error.strerror or error}. Choose an address of this "
            "machine with --host, another port with --port; port 0 takes a free one."
        ) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
