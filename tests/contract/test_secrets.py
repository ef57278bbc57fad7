"""Keys and tokens stay out of what is said, whatever a server sends back."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator

import chromadb
import pytest

from lsb_rag import PassageStore
from lsb_rag.backbones import endpoint
from lsb_rag.backbones.endpoint import OpenAIEndpoint
from lsb_rag.errors import EndpointError, LsbRagError
from lsb_rag.generation.openai_endpoint import OpenAIGenerator
from lsb_rag.passage import Hit
from lsb_rag.store import calls
from lsb_rag.store.client import collection_names

from ..cli.terminal import call
from ..echo_server import EchoServer, echo_server

TOKEN = "eyJhbGciOi.JIUzI1NiJ9-0123456789abcdefghijklmnopqrstuvwxyz.ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # noqa: S105 - of nobody
ANSWERS = [(401, "plain"), (403, "json"), (500, "chroma"), (200, "plain"), (200, "json"), (200, "collection")]
each_answer = pytest.mark.parametrize(("status", "form"), ANSWERS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EchoServer]:
    monkeypatch.setattr(endpoint, "PASSING", ())
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.1)
    with echo_server() as running:
        yield running


def said_by(work: Callable[[], object]) -> str:
    """What an error says, with its traceback as a program without a handler prints it."""
    with pytest.raises(LsbRagError) as caught:
        work()
    return "".join(traceback.format_exception(caught.value)) + str(caught.value)


def has_part_of(secret: str, text: str) -> bool:
    return any(secret[start : start + 6] in text for start in range(len(secret) - 5))


@each_answer
def test_a_chroma_server(server: EchoServer, status: int, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_RAG_DB_TOKEN", TOKEN)
    server.status, server.form = status, form
    for server.greets in (False, True):
        assert not has_part_of(TOKEN, said_by(lambda: collection_names(server.url)))
        assert not has_part_of(TOKEN, said_by(lambda: PassageStore(server.url, "manual", create=False)))


@each_answer
def test_the_headers_of_a_client_that_was_handed_in(server: EchoServer, status: int, form: str) -> None:
    server.status, server.form, server.greets = status, form, True
    headers = {"X-Of-The-Proxy": TOKEN, "Authorization": f"Custom {TOKEN[::-1]}"}
    client = chromadb.HttpClient("127.0.0.1", server.server_address[1], headers=headers)
    said = said_by(lambda: PassageStore(client, "manual", create=False))
    assert not has_part_of(TOKEN, said)
    assert not has_part_of(TOKEN[::-1], said)


@each_answer
def test_an_endpoint_of_embeddings(
    server: EchoServer, status: int, form: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    server.status, server.form = status, form
    said = said_by(lambda: OpenAIEndpoint("small", f"{server.url}/v1").embed_documents(["a text"]))
    assert not has_part_of(TOKEN, said + caplog.text)


@each_answer
def test_a_language_model(server: EchoServer, status: int, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    server.status, server.form = status, form
    generator = OpenAIGenerator("small", f"{server.url}/v1", retries=0)
    monkeypatch.delenv("OPENAI_API_KEY")  # the client keeps its key
    assert not has_part_of(TOKEN, said_by(lambda: generator.answer("why", [Hit("a", 1.0, "a text")])))


def test_an_answer_has_no_key_in_it_either(server: EchoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    server.status, server.form = 200, "completion"
    answer = OpenAIGenerator("small", f"{server.url}/v1", retries=0).answer("what", [Hit("a", 1.0, "a text")])
    assert answer.text
    assert not has_part_of(TOKEN, answer.text)


def test_the_command_line(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LSB_RAG_DB_TOKEN", TOKEN)
    code, out, err = call(capsys, "info", "--db", server.url)
    assert (code, out) == (1, "")
    assert "Authorization: …" in err
    assert not has_part_of(TOKEN, err)


def test_a_cause_without_a_secret_is_kept() -> None:
    with pytest.raises(EndpointError) as caught:
        OpenAIGenerator("small", "http://127.0.0.1:9/v1", retries=0).answer("why", [Hit("a", 1.0, "a text")])
    assert caught.value.__cause__ is not None
