"""Answers that are waited for: the page goes on, and what nobody waits for is not made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from lsb_rag.ui import Catalog, address_of, listen, make_app, turns

from ..chat_server import ChatServer, chat_server
from .client import LOCAL, OURS, QUERY, client_of

SECONDS = 30


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """Until it is set, the model does not answer."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def model(go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    def reply(_: object) -> str:
        go_on.wait(SECONDS)
        return "Blocked [1]."

    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody")
    with chat_server(reply) as server:
        yield server
        go_on.set()


@pytest.fixture
async def client(database: Path, model: ChatServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the page over a real server; a connection of it that is closed is seen there."""
    with served(make_app(Catalog(database, f"openai:some-model@{model.url}"))) as address:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=SECONDS) as client:
            yield client


@contextmanager
def served(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield address_of(listening)
        server.should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()


def asked(client: httpx.AsyncClient, times: int) -> list[asyncio.Task[httpx.Response]]:
    return [asyncio.create_task(client.get("/answer/lsb", params=QUERY, headers=OURS)) for _ in range(times)]


async def begun(model: ChatServer) -> None:
    while not model.requests:
        await asyncio.sleep(0.01)


async def test_the_page_and_searches_do_not_wait_for_answers(
    client: httpx.AsyncClient, model: ChatServer, go_on: threading.Event
) -> None:
    answers = asked(client, 60)
    await begun(model)
    for path in ("/", "/style.css", "/page.js"):
        assert (await client.get(path)).status_code == 200
    for query in ("E-4012", "E-4013", "spring"):
        assert 'id="lsb-1"' in (await client.get("/", params={**QUERY, "q": query})).text
    assert not any(answer.done() for answer in answers)
    assert len(model.requests) == 1  # one at a time
    for answer in answers[1:-1]:
        answer.cancel()
    await asyncio.wait(answers[1:-1])
    go_on.set()
    assert "Blocked" in (await answers[0]).text
    assert "Blocked" in (await answers[-1]).text
    assert len(model.requests) < 10  # most clients had gone away


async def test_closing_does_not_wait_for_answers(database: Path, model: ChatServer, go_on: threading.Event) -> None:
    with served(make_app(Catalog(database, f"openai:some-model@{model.url}"))) as address:
        client = httpx.AsyncClient(base_url=address, timeout=SECONDS)
        answers = asked(client, 5)
        await begun(model)
    assert not go_on.is_set()
    await client.aclose()
    await asyncio.gather(*answers, return_exceptions=True)


async def test_a_queue_that_is_full_says_so(
    client: httpx.AsyncClient, model: ChatServer, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MOST", 1)
    (first,) = asked(client, 1)
    await begun(model)
    refused = await client.get("/answer/vanilla", params=QUERY, headers=OURS)
    assert refused.status_code == 503
    assert 'role="alert"' in refused.text
    assert "1 answers are being waited for; ask again" in refused.text
    origin = {"origin": str(client.base_url).rstrip("/")}
    page = await client.post("/", params=QUERY, headers=origin)
    assert page.status_code == 503
    assert page.text.count("ask again") == 2
    assert 'id="lsb-1"' in page.text  # the passages are there
    go_on.set()
    assert (await first).status_code == 200
    assert (await client.post("/", params=QUERY, headers=origin)).text.count("Blocked") == 2


async def test_an_error_of_an_answer_is_its_own(catalog: Catalog) -> None:
    async with client_of(catalog) as page:
        failed = await page.get("/answer/lsb", params={**QUERY, "k": "0"}, headers=OURS)
        assert failed.status_code == 400
        posted = await page.post("/", params={**QUERY, "collection": "nothing"}, headers={"origin": LOCAL})
        assert posted.status_code == 404
