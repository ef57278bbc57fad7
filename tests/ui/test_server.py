"""The page over HTTP: what it says, what it refuses, and that nothing from outside gets out of its place."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from bs4 import BeautifulSoup

from lsb_rag import PassageStore
from lsb_rag.errors import InvalidInputError, MissingExtraError
from lsb_rag.ui import Collections, make_app, serve

from ..chat_server import chat_server
from ..chroma_server import chroma_server, url_of
from ..conftest import MANUAL
from .conftest import HOSTILE

QUERY = {"q": "why did the pump stop with E-4012", "collection": "manual"}
LOCAL = "http://localhost"


def client_of(collections: Collections, base_url: str = LOCAL, **options: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(collections, **options))
    return httpx.AsyncClient(transport=transport, base_url=base_url)


async def soup(client: httpx.AsyncClient, status: int = 200, **parameters: str) -> BeautifulSoup:
    response = await client.get("/", params=parameters)
    assert response.status_code == status, response.text
    return BeautifulSoup(response.text, "html.parser")


async def test_the_page_shows_both_columns_and_what_moved_the_vector(collections: Collections) -> None:
    shown = await soup(client_of(collections), **QUERY, k="3")
    for side in ("vanilla", "lsb"):
        assert [one["id"] for one in shown.select(".passages > li") if one["id"].startswith(side)] == [
            f"{side}-{rank}" for rank in (1, 2, 3)
        ]
    first = shown.select_one("#lsb-1")
    assert first is not None
    assert "E-4012" in first.get_text()
    assert {mark.get_text() for mark in shown.select("mark")} <= {"E-4012", "4012", "4012.", "stop", "did", "E"}
    assert "e-4012" in [head.get_text() for head in shown.select("#moved th[scope=row]")]
    assert len(shown.select("line")) >= 3


async def test_the_form_shows_what_was_asked(collections: Collections) -> None:
    shown = await soup(client_of(collections), **QUERY, k="7", strength="0.35", rerank="0.1")
    values = {one["name"]: one["value"] for one in shown.select("input")}
    assert values == {"q": QUERY["q"], "k": "7", "strength": "0.35", "rerank": "0.1"}
    assert [one["value"] for one in shown.select("option[selected]")] == ["manual"]
    plain = await soup(client_of(collections, preferred="manual"))
    assert plain.select_one("#strength")["value"] == "0.8"  # type: ignore[index]
    assert [one["value"] for one in plain.select("option[selected]")] == ["manual"]
    assert plain.select(".passages") == []


async def test_answers_come_apart_or_with_the_page(collections: Collections) -> None:
    client = client_of(collections)
    shown = await soup(client, **QUERY)
    places = [one["data-answer"] for one in shown.select("[data-answer]")]
    assert len(places) == 2
    for place, side in zip(places, ("vanilla", "lsb"), strict=True):
        fragment = BeautifulSoup((await client.get(str(place))).text, "html.parser")
        assert "inlet is blocked" in fragment.get_text()
        assert fragment.select_one("a")["href"].startswith(f"#{side}-")  # type: ignore[index, union-attr]
    at_once = await soup(client, **QUERY, answers="1")
    assert at_once.select("[data-answer]") == []
    assert all("inlet is blocked" in one.get_text() for one in at_once.select(".answer"))


async def test_nothing_in_a_passage_gets_out_of_its_place(collections: Collections) -> None:
    client = client_of(collections)
    for query in (HOSTILE, "E-4012"):
        asked = {"q": query, "collection": "hostile", "passage": f"one{HOSTILE}", "answers": "1"}
        shown = await soup(client, **asked)
        assert [script["src"] for script in shown.select("script")] == ["/page.js"]
        assert shown.select("img") == []
        assert [name for tag in shown.find_all(True) for name in tag.attrs if name.startswith("on")] == []
        assert "\x1b" not in shown.get_text()
        assert "\u202e" not in shown.get_text()
        assert "{{ 7 * 7 }}" in shown.get_text()
    assert "onerror" in (await soup(client, q=HOSTILE, collection=HOSTILE, status=404)).get_text()  # type: ignore[arg-type]


async def test_the_headers_let_nothing_load_or_run(collections: Collections) -> None:
    for path in ("/", "/style.css", "/page.js", "/nowhere"):
        headers = (await client_of(collections).get(path)).headers
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
    ],
)
async def test_another_sites_name_is_refused(collections: Collections, host: str, status: int) -> None:
    client = client_of(collections, host="page.example")
    assert (await client.get("/", headers={"host": host})).status_code == status


@pytest.mark.parametrize(("site", "status"), [("same-origin", 200), ("none", 200), ("cross-site", 403)])
async def test_another_sites_page_cannot_make_it_answer(collections: Collections, site: str, status: int) -> None:
    answered = await client_of(collections).get("/answer/lsb", params=QUERY, headers={"sec-fetch-site": site})
    assert answered.status_code == status
    at_once = {**QUERY, "answers": "1"}
    headers = {"sec-fetch-site": site}
    assert (await client_of(collections).get("/", params=at_once, headers=headers)).status_code == status
    assert (await client_of(collections).get("/", params=QUERY, headers=headers)).status_code == 200  # a link


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({**QUERY, "collection": "nothing"}, 404, "no collection 'nothing'"),
        ({**QUERY, "k": "0"}, 400, "k must be a number from 1 to 20"),
        ({**QUERY, "passage": "nobody"}, 400, "no passage 'nobody'"),
    ],
)
async def test_what_is_wrong_is_said(
    collections: Collections, parameters: dict[str, str], status: int, said: str
) -> None:
    client = client_of(collections)
    alert = (await soup(client, status=status, **parameters)).select_one("[role=alert]")
    assert alert is not None
    assert said in alert.get_text()
    assert (await client.get("/answer/nobody", params=QUERY)).status_code == 404


async def test_a_blank_question_is_none(collections: Collections) -> None:
    assert (await soup(client_of(collections), q="  ", collection="manual")).select(".passages") == []


async def test_an_empty_database_says_how_to_fill_it(tmp_path: Path) -> None:
    assert "lsb-rag index" in (await soup(client_of(Collections(tmp_path / "db")))).get_text()


async def test_a_collection_that_goes_and_comes_again(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    PassageStore(folder, "manual").add(MANUAL[:2])
    collections = Collections(folder)
    client = client_of(collections)
    await soup(client, **QUERY)
    opened = collections.store("manual")
    opened.collection._client.delete_collection("manual")
    assert "no collection" in (await soup(client, status=404, **QUERY)).get_text()
    PassageStore(folder, "manual").add(MANUAL[2:5])
    assert len((await soup(client, **QUERY)).select("#lsb-title ~ .passages > li")) == 3


async def test_a_server_that_dies_is_said_and_found_again(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "served") as (chroma, process):
        PassageStore(chroma, "manual").add(MANUAL[:2])
        url = url_of(chroma)
        client = client_of(Collections(url))
        await soup(client, **QUERY)
        process.kill()
        process.wait()
        assert "Chroma" in (await soup(client, status=503, **QUERY)).select_one("[role=alert]").get_text()  # type: ignore[union-attr]
    with chroma_server(tmp_path / "served", port=int(url.rpartition(":")[2])):
        await soup(client, **QUERY)


async def test_a_generator_that_fails_leaves_the_passages(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-user")
    with chat_server((401, {}, '{"error": {"message": "bad key"}}')) as server:
        client = client_of(Collections(database, f"openai:some-model@{server.url}"))
        assert len((await soup(client, **QUERY)).select(".passages")) == 2
        failed = await client.get("/answer/lsb", params=QUERY)
        assert failed.status_code == 500
        assert 'role="alert"' in failed.text
        assert "sk-secret" not in failed.text


async def test_an_address_that_is_taken(collections: Collections) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInputError, match="--port"):
            serve(make_app(collections), "127.0.0.1", taken.getsockname()[1], print)


def test_without_the_extra_it_says_which(collections: Collections, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[ui\]"):
        make_app(collections)


def test_the_files_of_the_page_are_installed() -> None:
    import lsb_rag.ui

    folder = Path(lsb_rag.ui.__file__).parent
    assert {"page.html.jinja", "answer.html.jinja", "page.js", "style.css"} <= {one.name for one in folder.iterdir()}
