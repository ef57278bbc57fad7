"""``lsb-rag ui``: the local page."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from ..errors import FingerprintMismatchError
from .options import Db, GeneratorChoice, database, without_evaluations

PORT = 7860


def ui(
    collection: Annotated[
        str | None,
        typer.Option("--collection", "-c", help="The collection chosen at first. Default: the first one."),
    ] = None,
    db: Db = None,
    generator: GeneratorChoice = "extractive",
    host: Annotated[str, typer.Option(help="Address to serve at; other machines reach any but this one's own.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 takes a free one.")] = PORT,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Start a local page: ask, and see vanilla dense retrieval and LexSemBridge side by side.

    It shows how ranks change, which words moved the query's vector, and the answers with their citations.
    """
    import webbrowser

    from ..generation import checked_choice
    from ..ui import Catalog, address_of, listen, make_app, serve
    from .console import passages_progress, say

    checked_choice(generator)
    catalog = Catalog(database(db), generator)
    names = [collection] if collection else without_evaluations(catalog.names())
    app = make_app(catalog, preferred=next(iter(names), ""), host=host)
    with listen(host, port) as listening:
        if names:
            try:
                with passages_progress(f"Opening {names[0]}") as progress:
                    store = catalog.store(names[0], progress)
                catalog.generator_for(store)  # a missing package is reported now, not at the first answer
            except FingerprintMismatchError as error:
                if collection:
                    raise
                say(f"{error} The page is served for the others.")
        say(f"Open {address_of(listening)} in a browser. Ctrl-C stops it.")
        if not _is_loopback(host):
            say("Whoever reaches this port can read what the database holds.")
        if open_browser:
            webbrowser.open(address_of(listening))
        serve(app, listening)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
