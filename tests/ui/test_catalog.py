"""Collections that go, come again and are recreated while the page is served."""

from __future__ import annotations

from pathlib import Path

from lsb_rag import PassageStore
from lsb_rag.ui import Catalog

from ..chroma_server import chroma_server, url_of
from ..conftest import MANUAL
from .client import OURS, QUERY, client_of, soup


async def test_a_collection_that_goes_and_comes_again(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    PassageStore(folder, "manual").add(MANUAL[:2])
    catalog = Catalog(folder)
    client = client_of(catalog)
    await soup(client, **QUERY)
    opened = catalog.store("manual")
    opened.collection._client.delete_collection("manual")
    assert "no collection" in (await soup(client, status=404, **QUERY)).get_text()
    PassageStore(folder, "manual").add(MANUAL[2:5])
    assert len((await soup(client, **QUERY)).select("#lsb-title ~ .passages > li")) == 3


async def test_a_collection_that_another_client_makes_anew(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "served") as (chroma, _):
        PassageStore(chroma, "manual").add(MANUAL[:2])
        catalog = Catalog(url_of(chroma))
        client = client_of(catalog)
        await soup(client, **QUERY)
        chroma.delete_collection("manual")
        PassageStore(chroma, "manual").add(MANUAL[2:5])
        assert len((await soup(client, **QUERY)).select("#lsb-title ~ .passages > li")) == 3
        assert "alert" not in (await client.get("/answer/lsb", params=QUERY, headers=OURS)).text


async def test_a_server_that_dies_is_said_and_found_again(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "served") as (chroma, process):
        PassageStore(chroma, "manual").add(MANUAL[:2])
        url = url_of(chroma)
        client = client_of(Catalog(url))
        await soup(client, **QUERY)
        process.kill()
        process.wait()
        assert "Chroma" in (await soup(client, status=503, **QUERY)).select_one("[role=alert]").get_text()  # type: ignore[union-attr]
    with chroma_server(tmp_path / "served", port=int(url.rpartition(":")[2])):
        await soup(client, **QUERY)
