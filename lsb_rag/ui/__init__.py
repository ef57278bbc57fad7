"""A local page that shows vanilla dense retrieval and LexSemBridge side by side."""

from __future__ import annotations

from .catalog import Catalog
from .server import address_of, listen, make_app, serve

__all__ = ["Catalog", "address_of", "listen", "make_app", "serve"]
