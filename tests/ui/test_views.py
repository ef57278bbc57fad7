"""What the page says, and that nothing from outside gets out of its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from lsb_rag import PassageStore, Retriever
from lsb_rag.passage import Hit
from lsb_rag.ui import Catalog
from lsb_rag.ui import views as pages

from ..chat_server import chat_server
from ..conftest import MANUAL
from ..embedding_server import embedding_server
from .client import LOCAL, OURS, QUERY, client_of, soup
from .conftest import HOSTILE


async def test_the_page_shows_both_columns_and_what_moved_the_vector(catalog: Catalog) -> None:
    shown = await soup(client_of(catalog), **QUERY, k="3")
    for side in ("vanilla", "lsb"):
        assert [one["id"] for one in shown.select(".passages > li") if one["id"].startswith(side)] == [
            f"{side}-{rank}" for rank in (1, 2, 3)
        ]
    first = shown.select_one("#lsb-1")
    assert first is not None
    assert "E-4012" in first.get_text()
    assert [mark.get_text() for mark in shown.select("#lsb-1 h3 mark")] == ["E-4012"]
    assert "e-4012" in [head.get_text() for head in shown.select("#moved th[scope=row]")]


async def test_the_form_shows_what_was_asked(catalog: Catalog) -> None:
    shown = await soup(client_of(catalog), **QUERY, k="7", strength="0.35", rerank="0.1")
    values = {one["name"]: one["value"] for one in shown.select("input")}
    assert values == {"q": QUERY["q"], "k": "7", "strength": "0.35", "rerank": "0.1"}
    assert [one["value"] for one in shown.select("option[selected]")] == ["manual"]
    plain = await soup(client_of(catalog, preferred="manual"))
    assert plain.select_one("#strength")["value"] == "0.8"  # type: ignore[index]
    assert [one["value"] for one in plain.select("option[selected]")] == ["manual"]
    assert plain.select(".passages") == []


async def test_answers_come_apart_or_with_the_page(catalog: Catalog) -> None:
    client = client_of(catalog)
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


async def test_an_answer_shows_its_confidence_or_what_is_nearest(catalog: Catalog) -> None:
    client = client_of(catalog)
    assert "confidence 0." in (await client.get("/answer/lsb", params=QUERY, headers=OURS)).text
    unknown = {**QUERY, "q": "What does E-4999 mean?"}
    shown = BeautifulSoup((await client.get("/answer/lsb", params=unknown, headers=OURS)).text, "html.parser")
    said, nearest = shown.select("p")
    assert said.get_text().strip() == "Nothing here mentions E-4999."
    assert nearest.get_text().startswith("Nearest by meaning: ")
    assert nearest.select_one("a")["href"].startswith("#lsb-")  # type: ignore[index, union-attr]
    page = await soup(client, **QUERY)
    assert "confidence 0." in page.select_one("#lsb-1 .facts").get_text()  # type: ignore[union-attr]


async def test_nothing_in_a_passage_gets_out_of_its_place(catalog: Catalog) -> None:
    client = client_of(catalog)
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


@pytest.mark.parametrize(
    ("parameters", "status", "said"),
    [
        ({**QUERY, "collection": "nothing"}, 404, "no collection 'nothing'"),
        ({**QUERY, "k": "0"}, 400, "k must be a number from 1 to 20"),
        ({**QUERY, "passage": "nobody"}, 400, "no passage 'nobody'"),
    ],
)
async def test_what_is_wrong_is_said(catalog: Catalog, parameters: dict[str, str], status: int, said: str) -> None:
    client = client_of(catalog)
    alert = (await soup(client, status=status, **parameters)).select_one("[role=alert]")
    assert alert is not None
    assert said in alert.get_text()
    assert (await client.get("/answer/nobody", params=QUERY, headers=OURS)).status_code == 404


async def test_a_blank_question_is_none(catalog: Catalog) -> None:
    assert (await soup(client_of(catalog), q="  ", collection="manual")).select(".passages") == []


async def test_an_empty_database_says_how_to_fill_it(tmp_path: Path) -> None:
    assert "lsb-rag index" in (await soup(client_of(Catalog(tmp_path / "db")))).get_text()


async def test_a_generator_that_fails_leaves_the_passages(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-user")
    with chat_server((401, {}, '{"error": {"message": "bad key"}}')) as server:
        client = client_of(Catalog(database, f"openai:some-model@{server.url}"))
        assert len((await soup(client, **QUERY)).select(".passages")) == 2
        failed = await client.get("/answer/lsb", params=QUERY, headers=OURS)
        assert failed.status_code == 500
        assert 'role="alert"' in failed.text
        assert "sk-secret" not in failed.text
        at_once = BeautifulSoup((await client.post("/", params=QUERY, headers={"origin": LOCAL})).text, "html.parser")
        assert len(at_once.select(".passages")) == 2
        assert len(at_once.select(".answer [role=alert]")) == 2


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
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, ours: str, lines: list[str], said: list[str]
) -> None:
    """Vanilla finds a, b, c, d; LexSemBridge finds `ours`, then the rest."""

    def search(retriever: Retriever, *_: object) -> list[Hit]:
        order = "abcd" if retriever.strength == 0 else ours + "".join(sorted(set("abcd") - set(ours)))
        return [Hit(id, 1.0, id) for id in order]

    monkeypatch.setattr(Retriever, "search", search)
    html, status = pages.page(catalog, {"q": "E-4012", "collection": "manual", "k": "3"})
    assert status == 200
    shown = BeautifulSoup(html, "html.parser")
    drawn = [f"{line['class'][0]} {line['y1']} {line['y2']}" for line in shown.select("line")]
    assert drawn == lines
    assert [one.get_text() for one in shown.select("#lsb-title ~ ol .change")] == said
    falls = {"a": "↓ becomes 2", "b": "↓ becomes 3"} if ours in ("dab", "eab") else {}
    becomes = {one["id"]: one.select_one(".change").get_text() for one in shown.select("#vanilla-title ~ ol > li")}  # type: ignore[union-attr]
    assert falls.items() <= {id: becomes[f"vanilla-{rank}"] for rank, id in enumerate("abc", start=1)}.items()


async def test_a_question_is_one_request_over_an_endpoint(tmp_path: Path) -> None:
    with embedding_server() as server:
        PassageStore(tmp_path, "manual", f"openai:small@{server.url}").add(MANUAL)
        server.requests.clear()
        async with client_of(Catalog(tmp_path)) as client:
            for strength in ("0.8", "0.4"):
                page = await soup(client, q="why E-4012", collection="manual", strength=strength, passage="pump")
                assert "E-4012" in page.text
        assert server.texts.count("why E-4012") == 1
