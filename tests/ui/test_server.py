"""The page over HTTP: what it says, what it refuses, and that nothing from outside gets out of its place."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from bs4 import BeautifulSoup

from lsb_rag import PassageStore, Retriever
from lsb_rag.errors import InvalidInputError, MissingExtraError
from lsb_rag.passage import Hit
from lsb_rag.ui import Collections, listen, make_app
from lsb_rag.ui import views as pages

from ..chat_server import chat_server
from ..chroma_server import chroma_server, url_of
from ..conftest import MANUAL
from .conftest import HOSTILE

QUERY = {"q": "why did the pump stop with E-4012", "collection": "manual"}
LOCAL = "http://localhost"
OURS = {"x-lsb-rag": "page"}


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
    assert [mark.get_text() for mark in shown.select("#lsb-1 h3 mark")] == ["E-4012"]
    assert "e-4012" in [head.get_text() for head in shown.select("#moved th[scope=row]")]


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
    places = [str(one["data-answer"]) for one in shown.select("[data-answer]")]
    assert len(places) == 2
    for place, side in zip(places, ("vanilla", "lsb"), strict=True):
        fragment = BeautifulSoup((await client.get(place, headers=OURS)).text, "html.parser")
        assert "inlet is blocked" in fragment.get_text()
        assert fragment.select_one("a")["href"].startswith(f"#{side}-")  # type: ignore[index, union-attr]
    posted = await client.post(str(shown.select_one("noscript form")["action"]), headers={"origin": LOCAL})  # type: ignore[index]
    at_once = BeautifulSoup(posted.text, "html.parser")
    assert at_once.select("[data-answer]") == []
    assert all("inlet is blocked" in one.get_text() for one in at_once.select(".answer"))


async def test_nothing_in_a_passage_gets_out_of_its_place(collections: Collections) -> None:
    client = client_of(collections)
    for query in (HOSTILE, "E-4012"):
        asked = {"q": query, "collection": "hostile", "passage": f"one{HOSTILE}"}
        posted = await client.post("/", params=asked, headers={"origin": LOCAL})
        shown = BeautifulSoup(posted.text, "html.parser")
        assert len(shown.select(".answer")) == 2
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
        ("[fe80::1%25evil.example]", 403),
    ],
)
async def test_another_sites_name_is_refused(collections: Collections, host: str, status: int) -> None:
    client = client_of(collections, host="page.example")
    assert (await client.get("/", headers={"host": host})).status_code == status


async def test_another_sites_page_cannot_make_it_answer(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    with chat_server("Blocked [1].") as model:
        client = client_of(Collections(database, f"openai:some-model@{model.url}"))
        for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:1"}):
            assert (await client.get("/answer/lsb", params=QUERY, headers=headers)).status_code == 403
            assert (await client.post("/", params=QUERY, headers=headers)).status_code == 403
        assert (await client.get("/", params=QUERY, headers={"sec-fetch-site": "cross-site"})).status_code == 200
        assert model.requests == []
        assert "Blocked" in (await client.get("/answer/lsb", params=QUERY, headers=OURS)).text


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
    assert (await client.get("/answer/nobody", params=QUERY, headers=OURS)).status_code == 404


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


async def test_a_collection_that_another_client_makes_anew(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "served") as (chroma, _):
        PassageStore(chroma, "manual").add(MANUAL[:2])
        collections = Collections(url_of(chroma))
        client = client_of(collections)
        await soup(client, **QUERY)
        chroma.delete_collection("manual")
        PassageStore(chroma, "manual").add(MANUAL[2:5])
        assert len((await soup(client, **QUERY)).select("#lsb-title ~ .passages > li")) == 3
        assert "alert" not in (await client.get("/answer/lsb", params=QUERY, headers=OURS)).text


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
        failed = await client.get("/answer/lsb", params=QUERY, headers=OURS)
        assert failed.status_code == 500
        assert 'role="alert"' in failed.text
        assert "sk-secret" not in failed.text
        at_once = BeautifulSoup((await client.post("/", params=QUERY, headers={"origin": LOCAL})).text, "html.parser")
        assert len(at_once.select(".passages")) == 2
        assert len(at_once.select(".answer [role=alert]")) == 2


def test_an_address_that_cannot_be_had() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InvalidInputError, match="--port"):
            listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InvalidInputError, match="--host"):
        listen("nowhere.invalid", 0)


def test_without_the_extra_it_says_which(collections: Collections, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[ui\]"):
        make_app(collections)


def test_the_files_of_the_page_are_installed() -> None:
    import lsb_rag.ui

    folder = Path(lsb_rag.ui.__file__).parent
    assert {"page.html.jinja", "answer.html.jinja", "page.js", "style.css"} <= {one.name for one in folder.iterdir()}


@pytest.mark.parametrize(
    ("ours", "lines", "said"),
    [
        ("abc", ["same 5 5", "same 15 15", "same 25 25"], ["= stays", "= stays", "= stays"]),
        ("bac", ["down 5 15", "up 15 5", "same 25 25"], ["↑ was 2", "↓ was 1", "= stays"]),
        ("dab", ["down 5 15", "down 15 25", "down 25 35", "up 35 5"], ["↑ was 4", "↓ was 1", "↓ was 2"]),
        ("eab", ["down 5 15", "down 15 25", "down 25 35", "up 35 5"], ["↑ was further than 100", "↓ was 1", "↓ was 2"]),
    ],
)
def test_how_ranks_change_is_drawn_and_said(
    collections: Collections, monkeypatch: pytest.MonkeyPatch, ours: str, lines: list[str], said: list[str]
) -> None:
    """Vanilla finds a, b, c, d; LexSemBridge finds `ours`, then the rest."""

    def search(retriever: Retriever, *_: object) -> list[Hit]:
        order = "abcd" if retriever.strength == 0 else ours + "".join(sorted(set("abcd") - set(ours)))
        return [Hit(id, 1.0, id) for id in order]

    monkeypatch.setattr(Retriever, "search", search)
    html, status = pages.page(collections, {"q": "E-4012", "collection": "manual", "k": "3"})
    assert status == 200
    shown = BeautifulSoup(html, "html.parser")
    drawn = [f"{line['class'][0]} {line['y1']} {line['y2']}" for line in shown.select("line")]
    assert drawn == lines
    assert [one.get_text() for one in shown.select("#lsb-title ~ ol .change")] == said
    falls = {"a": "↓ becomes 2", "b": "↓ becomes 3"} if ours in ("dab", "eab") else {}
    becomes = {one["id"]: one.select_one(".change").get_text() for one in shown.select("#vanilla-title ~ ol > li")}  # type: ignore[union-attr]
    assert falls.items() <= {id: becomes[f"vanilla-{rank}"] for rank, id in enumerate("abc", start=1)}.items()
