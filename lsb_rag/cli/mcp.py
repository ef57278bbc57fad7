"""``lsb-rag mcp``: a collection for agents."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Backbone, Collection, Db, GeneratorChoice, open_store

PORT = 7861


def mcp(
    collection: Collection = None,
    db: Db = None,
    generator: GeneratorChoice = "extractive",
    http: Annotated[bool, typer.Option("--http", help="Serve over HTTP on this machine, in place of stdio.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --http; 0 takes a free one.")] = PORT,
    backbone: Backbone = None,
) -> None:
    """Serve a collection to agents, over the Model Context Protocol.

    Tools: search, ask, fetch. An agent starts it over stdio, or it serves streamable HTTP to this machine alone.
    """
    from ..generation import make_generator
    from ..mcp_server import make_mcp_server
    from ..ui import address_of, listen, serve
    from .console import say

    store = open_store(collection, db, backbone)
    server = make_mcp_server(store, make_generator(generator, store.encoder, table=store.sentences))
    store.fit()
    if not http:
        server.run("stdio")
        return
    with listen("127.0.0.1", port) as listening:
        say(f"Serving {store.name} at {address_of(listening)}mcp. Ctrl-C stops it.")
        serve(server.streamable_http_app(), listening)
