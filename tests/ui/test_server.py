"""The page over HTTP: what it serves, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag.errors import InvalidInputError, MissingExtraError
from lsb_rag.ui import Catalog, listen, make_app

from ..chat_server import chat_server
from .client import OURS, QUERY, client_of


async def test_the_headers_let_nothing_load_or_run(catalog: Catalog) -> None:
    for path in ("/", "/style.css", "/page.js", "/nowhere"):
        headers = (await client_of(catalog).get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("127.0.0.1:7860", 200),
        ("[::1]:7860", 200),
        ("192.168.1.7", 200),
        ("page.example", 200),
        ("evil.example", 403),
        ("evil.example:7860", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[fe80::1%25evil.example]", 403),
    ],
)
async def test_another_sites_name_is_refused(catalog: Catalog, host: str, status: int) -> None:
    client = client_of(catalog, host="page.example")
    assert (await client.get("/", headers={"host": host})).status_code == status


async def test_another_sites_page_cannot_make_it_answer(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    with chat_server("Blocked [1].") as model:
        client = client_of(Catalog(database, f"openai:some-model@{model.url}"))
        for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:1"}):
            assert (await client.get("/answer/lsb", params=QUERY, headers=headers)).status_code == 403
            assert (await client.post("/", params=QUERY, headers=headers)).status_code == 403
        assert (await client.get("/", params=QUERY, headers={"sec-fetch-site": "cross-site"})).status_code == 200
        assert model.requests == []
        assert "Blocked" in (await client.get("/answer/lsb", params=QUERY, headers=OURS)).text


def test_an_address_that_cannot_be_had() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInputError, match="--port"):
            listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InvalidInputError, match="--host"):
        listen("nowhere.invalid", 0)


def test_without_the_extra_it_says_which(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[ui\]"):
        make_app(catalog)


def test_the_files_of_the_page_are_installed() -> None:
    import lsb_rag.ui

    folder = Path(lsb_rag.ui.__file__).parent
    assert {"page.html.jinja", "answer.html.jinja", "page.js", "style.css"} <= {one.name for one in folder.iterdir()}
