"""A client of the page without a server, and what the tests ask it."""

from __future__ import annotations

import httpx
from bs4 import BeautifulSoup

from lsb_rag.ui import Catalog, make_app

QUERY = {"q": "why did the pump stop with E-4012", "collection": "manual"}
LOCAL = "http://localhost"
OURS = {"x-lsb-rag": "page"}


def client_of(catalog: Catalog, base_url: str = LOCAL, **options: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(catalog, **options))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def soup(client: httpx.AsyncClient, status: int = 200, **parameters: str) -> BeautifulSoup:
    response = await client.get("/", params=parameters)
    assert response.status_code == status, response.text
    return BeautifulSoup(response.text, "html.parser")
