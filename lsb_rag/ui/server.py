"""The page over HTTP, for whoever sits at this machine."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError, MissingExtraError
from .opened import Collections

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
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
PATIENCE_SECONDS = 2
"""How long a request may go on after the page was stopped."""


def make_app(collections: Collections, *, preferred: str = "", host: str = "127.0.0.1") -> Starlette:
    """The page as an ASGI application.

    :param collections: What can be asked.
    :param preferred: The collection that is chosen at first; the first one by default.
    :param host: The name it is served under, besides this machine's own names and any plain address.
    :raises MissingExtraError: When the extra ``ui`` is not installed.
    """
    try:
        from anyio import from_thread
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import FileResponse, HTMLResponse
        from starlette.routing import Route

        from . import pages
    except ImportError as error:
        raise MissingExtraError(
            "The page needs starlette, uvicorn and jinja2. Install them with `pip install 'lsb-rag[ui]'`."
        ) from error

    # Not async: Starlette runs these in threads, so that one search does not hold up another.
    def page(request: Request) -> Response:
        return HTMLResponse(*pages.page(collections, request.query_params, preferred))

    def answer(side: str) -> Callable[[Request], Response]:
        def of_side(request: Request) -> Response:
            def wanted() -> bool:
                return not from_thread.run(request.is_disconnected)

            return HTMLResponse(*pages.answer(collections, request.query_params, side, wanted))

        return of_side

    def file(name: str, kind: str) -> Callable[[Request], Response]:
        return lambda _: FileResponse(HERE / name, media_type=kind)

    return Starlette(
        routes=[
            Route("/", page),
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
        self.names = {"localhost", socket.gethostname().lower(), host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not self._is_ours(headers.get(b"host", "")):  # a name of another site may be made to point here
            await _refused("This page answers to localhost, and to this machine's name or address.")(
                scope, receive, with_headers
            )
        elif headers.get(b"sec-fetch-site") in ("cross-site", "same-site") and _answers(scope):
            await _refused("Answers are for the page itself.")(scope, receive, with_headers)
        else:
            await self.app(scope, receive, with_headers)

    def _is_ours(self, header: str) -> bool:
        name, _, port = header.rpartition(":")
        name = (name if port.isdigit() else header).strip("[]").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return True


def _answers(scope: Scope) -> bool:
    return scope["path"].startswith("/answer/") or b"answers" in scope["query_string"]


def _refused(why: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(why, 403)


def serve(app: Any, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve `app` until it is interrupted.

    :param host: Address to listen at.
    :param port: Port to listen at; 0 takes a free one.
    :param ready: Called with the page's address when it can be opened.
    :raises InvalidInputError: When the address cannot be listened at.
    """
    import uvicorn

    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=PATIENCE_SECONDS
    )
    with listening:
        ready(f"http://{shown}:{listening.getsockname()[1]}/")
        uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        raise InvalidInputError(
            f"The page cannot be served at {host}, port {port}: {error.strerror or error}. Choose another with --port; "
            "0 takes a free one."
        ) from error
    return listening
