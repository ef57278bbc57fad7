"""The page over HTTP, for the user of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BusyError, InvalidInputError, MissingExtraError
from ..utils.arguments import checked
from ..utils.threads import in_background
from .catalog import Catalog
from .turns import Turns

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).parent
HEADERS = {
    # Nothing in a passage can load, run or send anything.
    b"content-security-policy": b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    b"img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
SCRIPT_HEADER = b"x-lsb-rag"
"""The header that the page's script sends. A browser does not let the page of another site send it."""


@checked
def make_app(catalog: Catalog, *, preferred: str = "", host: str = "127.0.0.1") -> Starlette:
    """Return the page as an ASGI application.

    :param catalog: The collections to offer.
    :param preferred: The collection selected at first. Default: the first one.
    :param host: The host name to accept, besides this machine's own names and any plain address.
    :raises MissingExtraError: When the extra ``ui`` is not installed.
    """
    try:
        import jinja2  # noqa: F401 - the pages' templates
        import uvicorn  # noqa: F401 - what serve() takes
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Route
    except ImportError as error:
        raise MissingExtraError(
            "The page needs starlette, uvicorn and jinja2. Install them with `pip install 'lsb-rag[ui]'`."
        ) from error
    from . import views

    turns = Turns()

    async def shown(request: Request, view: Any, *, answering: bool) -> Response:
        """Search at once, and answer in turn: answers that are waited for keep no search waiting."""
        try:
            made = await (turns.take(request.receive, view) if answering else in_background(view))
        except BusyError as error:
            made = await in_background(view, refused=error)
        return HTMLResponse(*(made or ("", 503)))

    async def page(request: Request) -> Response:
        answering = request.method == "POST"
        view = partial(views.page, catalog, request.query_params, preferred=preferred, answering=answering)
        return await shown(request, view, answering=answering)

    def answer(side: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer_of_side(request: Request) -> Response:
            view = partial(views.answer, catalog, request.query_params, side)
            return await shown(request, view, answering=True)

        return answer_of_side

    def static_file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
        content = (HERE / name).read_bytes()

        async def serve_file(_: Request) -> Response:
            return Response(content, media_type=media_type)

        return serve_file

    return Starlette(
        routes=[
            Route("/", page, methods=["GET", "POST"]),
            *(Route(f"/answer/{side}", answer(side)) for side in views.SIDES),
            Route("/style.css", static_file("style.css", "text/css")),
            Route("/page.js", static_file("page.js", "text/javascript")),
        ],
        middleware=[Middleware(_Guard, host=host)],
    )


class _Guard:
    """Set the security headers and refuse other sites.

    Their pages could otherwise run up costs on a paid model, or read the database.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        machine = socket.gethostname().lower()
        self.names = {"localhost", machine, f"{machine}.local", host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        app: ASGIApp = self.app
        if len(hosts) != 1 or not self._is_own_host(hosts[0]):  # another site may point its own name at this machine
            app = _refusal("This page answers to localhost, and to this machine's name or address.")
        elif not _may_ask(scope, hosts[0]):
            app = _refusal("Answers are for the page itself.")
        await app(scope, receive, with_headers)

    def _is_own_host(self, header: str) -> bool:
        name, _, port = header.rpartition(":")
        name = (name if port.isdigit() else header).strip("[]").lower()
        try:
            return not getattr(ipaddress.ip_address(name), "scope_id", None)
        except ValueError:
            return name in self.names


def _may_ask(scope: Scope, host: str) -> bool:
    """Whether a request may run the generator.

    The page's script may, which is known by its header, and the page's form, which is known by its origin.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if scope["path"].startswith("/answer/"):
        return SCRIPT_HEADER in headers
    origin = headers.get(b"origin", b"").decode("latin-1")
    return scope["method"] != "POST" or origin.partition("://")[2] == host


def _refusal(reason: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(reason, 403)


def serve(app: Any, listening: socket.socket) -> None:
    """Serve `app` until it is interrupted.

    :param listening: The socket from :func:`listen`.
    """
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
    # In a thread, so that an interrupt does not wait for an answer that a model is generating.
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1)


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    :param host: Address to listen at.
    :param port: Port to listen at; 0 takes a free one.
    :raises InvalidInputError: When the address or the port cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except OSError as error:
        of_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = "port with --port; 0 takes a free one" if of_port else "address, one of this machine, with --host"
        raise InvalidInputError(
            f"Nothing can be served at {host}, port {port}: {error.strerror or error}. Choose another {advice}."
        ) from error
    return listening


@checked
def address_of(listening: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
