"""A local page: ask, and see vanilla dense retrieval and LexSemBridge side by side."""

from __future__ import annotations

from .catalog import Collections
from .server import address_of, listen, make_app, serve

__all__ = ["Collections", "address_of", "listen", "make_app", "serve"]
