from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones import endpoint
from lsb_rag.backbones.endpoint import OpenAIEndpoint, endpoint_backbone
from lsb_rag.errors import BackboneError, InvalidInputError

from ..embedding_server import EmbeddingServer, embedding_server, vector

KEY = "sk-top-secret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(endpoint, "_pause", lambda state: 0.01)
    with embedding_server() as running:
        yield running


def test_texts_in_order_and_options_in_the_name(server: EmbeddingServer) -> None:
    name = f"openai:e5:small@{server.url}?dimensions=32&query=query%3A%20&document=passage%3A%20"
    encoder = LexSemBridgeEncoder(name)
    assert encoder.name == name
    texts = [f"pump number {number}" for number in range(5)]
    for text, row in zip(texts, encoder.encode_document(texts), strict=True):
        expected = np.array(vector(f"passage: {text}"))[:32]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-6)
    encoder.embed_query(["one", "two"])
    assert server.requests[-1][1]["input"] == ["query: one", "query: two"]
    assert [body["model"] for _, body in server.requests] == ["e5:small"] * 2
    again = LexSemBridgeEncoder.open(encoder.fingerprint.backbone)
    assert again.fingerprint.differences(encoder.fingerprint) == []


def test_input_types(server: EmbeddingServer) -> None:
    encoder = LexSemBridgeEncoder(f"openai:e5@{server.url}?input_type=query,passage")
    assert encoder.name.endswith("?input_type=query%2Cpassage")
    np.testing.assert_allclose(encoder.embed_query("pump"), vector("pump", input_type="query"), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_document("pump"), vector("pump", input_type="passage"), atol=1e-6)


def test_requests_hold_what_fits(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.texts_at_once = 3
    texts = [f"pump {number}" for number in range(20)]
    backbone = endpoint_backbone(f"openai:m@{server.url}")
    vectors = backbone.embed_passages(texts)
    np.testing.assert_allclose(vectors, [vector(text) for text in texts], atol=1e-6)
    sizes = [len(body["input"]) for _, body in server.requests]
    assert sizes[:4] == [20, 10, 5, 2]
    assert set(sizes[3:]) == {2}  # it is remembered
    monkeypatch.setattr(endpoint, "BYTES_AT_ONCE", 30)
    server.requests.clear()
    OpenAIEndpoint("m", server.url).embed_documents(["a" * 14, "b" * 14, "c" * 14, "d" * 90])
    assert [len(body["input"]) for _, body in server.requests] == [2, 1, 1]


def test_overload_is_waited_for_and_anything_else_is_said(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = endpoint_backbone(f"openai:m@{server.url}")
    server.fail_next(429, times=2, headers={"Retry-After": "0"})
    server.fail_next(503)
    np.testing.assert_allclose(backbone.embed_passages(["pump"]), [vector("pump")], atol=1e-6)
    assert len(server.requests) == 4
    monkeypatch.setattr(endpoint, "OVERLOADED_SECONDS", 0.05)
    server.fail_next(401)
    with pytest.raises(BackboneError, match=r"refused with status 401: .*told to fail.*The text was 'pump'.*goes on"):
        backbone.embed_passages(["pump"])
    server.fail_next(500, times=1000)
    with pytest.raises(BackboneError, match="refused with status 500"):
        backbone.embed_passages(["pump"])


def test_a_dead_endpoint_and_one_that_answers_nonsense(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "AWAY_SECONDS", 0.05)
    with pytest.raises(BackboneError, match=r"http://127.0.0.1:9/v1 does not answer \(ConnectError"):
        endpoint_backbone("openai:m@http://127.0.0.1:9/v1").embed_passages(["pump"])
    with pytest.raises(BackboneError, match="refused with status 404"):
        endpoint_backbone(f"openai:m@{server.url}/elsewhere").embed_passages(["pump"])
    asked = OpenAIEndpoint("m", server.url)
    monkeypatch.setattr(asked, "_post", lambda batch, side: (200, {"data": [{"index": 0}]}))
    with pytest.raises(BackboneError, match="something else than embeddings"):
        asked.embed_documents(["pump"])
    monkeypatch.setattr(asked, "_post", lambda batch, side: (200, {"data": [{"index": 0, "embedding": [1.0]}]}))
    with pytest.raises(BackboneError, match="1 vectors for 2 texts"):
        asked.embed_documents(["pump", "valve"])


def test_the_key_is_sent_and_never_shown(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = OpenAIEndpoint("m", server.url)
    encoder = LexSemBridgeEncoder(f"openai:m@{server.url}")
    shown = [repr(asked), repr(encoder), encoder.name, encoder.fingerprint.to_json(), str(pickle.dumps(encoder))]
    monkeypatch.setattr(asked, "_post", lambda batch, side: (400, f"no such key: {KEY}"))
    with pytest.raises(BackboneError) as caught:
        asked.embed_documents(["pump"])
    assert not any(KEY in text for text in [*shown, str(caught.value)])
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(encoder)).embed_query("pump"),  # noqa: S301
        encoder.embed_query("pump"),
    )
    with_password = OpenAIEndpoint("m", "http://me:hush@localhost:1/v1")
    assert "hush" not in repr(with_password)
    with pytest.raises(InvalidInputError, match="password"):
        pickle.dumps(with_password)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:m@localhost:1/v1", "address cannot be read"),
        ("openai:m@http://localhost:1/v1?dimension=3", "Unknown option 'dimension'"),
        ("openai:m@http://localhost:1/v1?dimensions=0", "at least 1"),
        ("openai:m@http://localhost:1/v1?dimensions=many", "dimensions=NUMBER"),
        ("openai:m@http://localhost:1/v1?input_type=query", "input_type=FOR_QUERIES,FOR_PASSAGES"),
        ("openai:@http://localhost:1/v1", "Name the model"),
    ],
)
def test_names_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LexSemBridgeEncoder(name)


def test_openai_itself_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(BackboneError, match="Set OPENAI_API_KEY"):
        LexSemBridgeEncoder("openai:text-embedding-3-small")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert LexSemBridgeEncoder("openai:text-embedding-3-small").name == "openai:text-embedding-3-small"


def test_secrets_stay_out_of_errors_and_logs(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with_password = OpenAIEndpoint("m", server.url.replace("http://", "http://me:hush@"))
    assert len(with_password.embed_documents(["pump"])) == 1
    asked = OpenAIEndpoint("m", server.url)
    assert len(asked.embed_documents(["pump"])) == 1
    monkeypatch.setattr(asked, "_post", lambda batch, side: (401, "x" * 570 + f" Bearer {KEY}"))
    with pytest.raises(BackboneError) as caught:
        asked.embed_documents(["pump"])
    shown = f"{caught.value} {caplog.text}"
    assert KEY[:12] not in shown
    assert "hush" not in shown
    monkeypatch.setenv("OPENAI_API_KEY", "schlüssel")
    with pytest.raises(InvalidInputError, match="characters that no header can bear"):
        OpenAIEndpoint("m", server.url).embed_documents(["pump"])


def test_an_endpoint_that_is_slow_gets_fewer_texts(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "TIMEOUT_SECONDS", 0.3)
    asked = OpenAIEndpoint("m", server.url)
    served = asked._post
    monkeypatch.setattr(asked, "_post", lambda batch, side: (598, "") if len(batch) > 2 else served(batch, side))
    assert len(asked.embed_documents(["pump"] * 9)) == 9
    server.pause = 1.0
    with pytest.raises(BackboneError, match=r"gave no answer in time.*too slow"):
        OpenAIEndpoint("m", server.url).embed_documents(["pump"])


def test_names_with_an_at_sign() -> None:
    assert OpenAIEndpoint("@cf/baai/bge", "http://localhost:1/v1").name == "openai:@cf/baai/bge@http://localhost:1/v1"
    assert endpoint_backbone("openai:@cf/baai/bge@http://localhost:1/v1").name.startswith("openai:@cf/baai/bge@")
