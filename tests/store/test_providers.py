"""Collections over models that give vectors alone: opened, verified, filled, interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction, register_embedding_function

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.errors import BackboneError, FingerprintMismatchError, InvalidInputError, InvalidTypeError
from lsb_rag.utils.endpoints import is_trusted

from ..embedding_server import EmbeddingServer, embedding_server, vector

WIDTH = 64
TEXTS = [f"E-4{number:03d}: the inlet number {number} of the pump is blocked." for number in range(40)]
IDS = [str(number) for number in range(40)]
QUERY = "what does E-4012 mean"


class Model:
    """Gives vectors of some length, and counts its requests."""

    def __init__(self, length: float = 1.0, sides: tuple[str | None, str | None] = ("document", "query")) -> None:
        self.length = length
        self.sides = sides
        self.requests: list[int] = []
        self.fails_after = 10**9

    def embed(self, texts: list[str]) -> Any:
        if sum(self.requests) >= self.fails_after:
            raise TimeoutError("the provider is away")
        self.requests.append(len(texts))
        return self.length * np.array([vector(text, WIDTH, self.sides[0]) for text in texts])

    def embed_query(self, text: str) -> Any:
        self.requests.append(1)
        return self.length * np.array(vector(text, WIDTH, self.sides[1]))

    def encoder(self) -> LexSemBridgeEncoder:
        return LexSemBridgeEncoder(self.embed, embed_query=self.embed_query, name="my-model-v3")


def foreign(folder: Path, model: Model, space: str = "cosine") -> chromadb.Collection:
    """A collection that another program filled by the same model."""
    client = chromadb.PersistentClient(folder)
    made = client.create_collection("foreign", configuration={"hnsw": {"space": space}}, embedding_function=None)  # type: ignore[typeddict-item]
    made.add(ids=IDS, documents=TEXTS, embeddings=model.embed(TEXTS))
    model.requests.clear()
    return made


def test_what_opening_costs_in_requests(tmp_path: Path) -> None:
    model = Model()
    encoder = model.encoder()
    store = PassageStore(tmp_path / "new", "manual", encoder)
    assert model.requests == [10, 1]  # the fingerprint, once for each encoder
    store.add(TEXTS)
    Retriever(store).search(QUERY)
    assert model.requests == [10, 1, 40, 1]
    assert PassageStore(tmp_path / "new", "manual", encoder).verify().by == "fingerprint"
    assert model.requests == [10, 1, 40, 1]


def test_what_attaching_costs_in_requests(tmp_path: Path) -> None:
    model = Model()
    before = foreign(tmp_path, model).get(include=["embeddings", "documents", "metadatas"])
    store = PassageStore.attach(tmp_path, "foreign", model.encoder())
    assert store.verification.by == "sample"
    assert sorted(model.requests) == [1, 8, 10]
    assert store.attached_with is not None
    assert store.attached_with.backbone == "my-model-v3"
    model.requests.clear()
    again = PassageStore(tmp_path, "foreign", model.encoder())
    assert again.verify().by == "fingerprint"  # it is remembered
    assert model.requests == [10, 1]
    assert Retriever(again).search(QUERY, 1)[0].id == "12"
    after = again.collection.get(include=["embeddings", "documents", "metadatas"])
    assert (after["ids"], after["documents"], after["metadatas"]) == (
        before["ids"],
        before["documents"],
        before["metadatas"],
    )
    np.testing.assert_array_equal(np.asarray(after["embeddings"]), np.asarray(before["embeddings"]))


def test_another_model_is_refused_at_once_and_later(tmp_path: Path) -> None:
    model, other = Model(), Model(sides=(None, None))
    foreign(tmp_path, model)
    with pytest.raises(FingerprintMismatchError, match=r"cosine .* to its stored vector.*needs the same"):
        PassageStore.attach(tmp_path, "foreign", other.encoder())
    PassageStore.attach(tmp_path, "foreign", model.encoder())
    with pytest.raises(FingerprintMismatchError, match="the vector of a fixed text has cosine"):
        PassageStore(tmp_path, "foreign", other.encoder()).verify()


def test_another_instruction_before_queries_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign(tmp_path, Model())
    PassageStore.attach(tmp_path, "foreign", Model().encoder())
    assert not caplog.records
    PassageStore(tmp_path, "foreign", Model(sides=("document", "document")).encoder()).verify()
    assert "embeds queries otherwise than when the collection 'foreign' was made" in caplog.text


def test_nothing_is_lost_when_the_provider_fails(tmp_path: Path) -> None:
    model, many = Model(), [f"E-{number}: entry" for number in range(700)]
    model.fails_after = 500
    store = PassageStore(tmp_path, "manual", model.encoder())
    with pytest.raises(TimeoutError):
        store.add(many)
    assert len(store) == 512
    model.fails_after = 10**9
    assert store.add(many) == 188
    assert Retriever(store).search("E-699", 1)[0].text == "E-699: entry"


@pytest.mark.parametrize("space", ["cosine", "l2", "ip"])
def test_vectors_of_any_length(tmp_path: Path, space: str) -> None:
    model = Model(length=9.0)
    foreign(tmp_path, model, space)
    store = PassageStore.attach(tmp_path, "foreign", model.encoder())
    expected = Retriever(PassageStore.attach(tmp_path, "foreign", model.encoder())).search(QUERY, 5)
    assert expected[0].id == "12"
    assert all(-1.001 <= hit.cosine <= 1.001 for hit in expected)
    store.add(["E-9999: the newest of them all."])
    assert Retriever(store).search("E-9999", 1)[0].text.startswith("E-9999")
    stored = store.vectors(store.ids(where_document={"$contains": "E-9999"}))
    np.testing.assert_allclose(np.linalg.norm(stored), 9.0, rtol=1e-5)
    if space != "cosine":
        with pytest.raises(InvalidInputError, match="vectors of length 1 would not compare"):
            PassageStore(tmp_path, "foreign", Model().encoder()).add(["E-1"])


def test_what_cannot_be_found_by_name_is_asked_for(tmp_path: Path) -> None:
    PassageStore(tmp_path, "manual", Model().encoder()).add(TEXTS)
    with pytest.raises(BackboneError, match=r"made with my-model-v3 \(functions\), which cannot be found by name"):
        PassageStore(tmp_path, "manual").verify()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with embedding_server() as running:
        yield running


def test_an_endpoint_is_found_by_name(tmp_path: Path, server: EmbeddingServer) -> None:
    name = f"openai:small@{server.url}"
    client = chromadb.PersistentClient(tmp_path)
    made = client.create_collection("foreign", embedding_function=None)
    made.add(ids=IDS, documents=TEXTS, embeddings=[vector(text) for text in TEXTS])
    PassageStore.attach(tmp_path, "foreign", name)
    again = PassageStore(tmp_path, "foreign")
    assert again.encoder.name == name
    own = PassageStore(tmp_path, "own", name)
    own.add(TEXTS)
    for store in (again, own, PassageStore(tmp_path, "own")):
        assert "E-4012" in Retriever(store).search(QUERY, 1)[0].text
    queries = [body["input"] for _, body in server.requests if body["input"] == [QUERY]]
    assert len(queries) == 3  # once for each encoder


@register_embedding_function
class Registered(chromadb.EmbeddingFunction[chromadb.Documents]):
    """An embedding function of Chroma's with another side for queries."""

    def __init__(self, width: int = WIDTH) -> None:
        self.width = width

    def __call__(self, input: chromadb.Documents) -> chromadb.Embeddings:
        return [np.array(vector(text, self.width, "document"), np.float32) for text in input]

    def embed_query(self, input: chromadb.Documents) -> chromadb.Embeddings:
        return [np.array(vector(text, self.width, "query"), np.float32) for text in input]

    @staticmethod
    def name() -> str:
        return "test-registered"

    def get_config(self) -> dict[str, Any]:
        return {"width": self.width}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> Registered:
        return Registered(**config)


def test_a_collection_says_itself_what_embeds_it(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    made = client.create_collection("chroma", embedding_function=Registered())
    made.add(ids=IDS, documents=TEXTS)
    for store in (PassageStore.from_collection(made), PassageStore(tmp_path, "chroma")):
        assert store.encoder.name == "test-registered"
        np.testing.assert_allclose(store.encoder.embed_query(QUERY), vector(QUERY, WIDTH, "query"), atol=1e-6)
        assert Retriever(store).search(QUERY, 1)[0].id == "12"
    described = json.dumps(client.get_collection("chroma").configuration_json)
    assert "test-registered" in described


def test_attached_through_a_provider_and_opened_by_the_same_model_here(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    behind = LexSemBridgeEncoder(encoder.encode_document, embed_query=encoder.embed_query, name="behind a class")
    client = chromadb.PersistentClient(tmp_path)
    made = client.create_collection("foreign", embedding_function=None)
    made.add(ids=IDS, documents=TEXTS, embeddings=encoder.encode_document(TEXTS))
    PassageStore.attach(tmp_path, "foreign", behind)
    here = PassageStore.attach(tmp_path, "foreign")
    found = Retriever(here, sentences=False).search(QUERY, 3)  # over a provider there are none
    through = Retriever(PassageStore.attach(tmp_path, "foreign", behind)).search(QUERY, 3)
    assert [hit.id for hit in found] == [hit.id for hit in through]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in through], abs=1e-6)
    assert found[0].id == "12"


def test_indexed_here_and_opened_through_a_provider(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    PassageStore(tmp_path, "ours", encoder).add(TEXTS)
    behind = LexSemBridgeEncoder(encoder.encode_document, embed_query=encoder.embed_query, name="behind a class")
    store = PassageStore(tmp_path, "ours", behind)
    assert store.verify().by == "sample"  # weights cannot be compared with vectors
    assert Retriever(store).search(QUERY, 1)[0].text == TEXTS[12]


def test_an_address_that_only_a_collection_names_gets_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = "http://198.51.100.7:8000/v1"
    with embedding_server() as server:
        encoder = LexSemBridgeEncoder(f"openai:small@{server.url}")
        encoder.backbone.name = f"openai:small@{away}"
        PassageStore(tmp_path, "shared", encoder).add(TEXTS)
    with pytest.raises(BackboneError, match=r"names the endpoint openai:small@http://198.51.100.7.*give it as"):
        PassageStore(tmp_path, "shared").verify()
    monkeypatch.setenv("OPENAI_BASE_URL", away)
    assert is_trusted(away)
    assert not is_trusted("http://198.51.100.8/v1")
    assert all(map(is_trusted, ("http://localhost:1/v1", "http://127.0.0.1/v1", "http://[::1]:1/v1")))


def test_chromas_function_over_a_model_here_stays_a_model_here(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    function = SentenceTransformerEmbeddingFunction(model_name=str(embedded_backbone()))
    client.create_collection("chroma", embedding_function=function).add(ids=IDS[:3], documents=TEXTS[:3])  # type: ignore[arg-type]
    store = PassageStore(tmp_path, "chroma")
    assert store.encoder.model is not None
    assert store.verify().by == "sample"


def test_a_moved_endpoint_is_remembered_and_a_damaged_fingerprint_forgotten(tmp_path: Path) -> None:
    foreign(tmp_path, Model())
    store = PassageStore.attach(tmp_path, "foreign", Model().encoder())
    moved = LexSemBridgeEncoder(Model().embed, embed_query=Model().embed_query, name="my-model-v4")
    again = PassageStore.attach(tmp_path, "foreign", moved)
    assert again.attached_with is not None
    assert again.attached_with.backbone == "my-model-v4"
    for damaged in ("junk", "[]", '{"backbone": 5, "weights": null, "dimension": 64}'):
        store.fitted.file.verified_with = damaged
        assert PassageStore.attach(tmp_path, "foreign", Model().encoder()).verification.by == "sample"


def test_a_function_in_place_of_an_encoder(tmp_path: Path) -> None:
    store = PassageStore(tmp_path, "manual", Model().embed)  # type: ignore[arg-type]
    store.add(TEXTS)
    assert Retriever(store).search(QUERY, 1)[0].text == TEXTS[12]
    with pytest.raises(InvalidTypeError, match="Model is a class; give an instance"):
        PassageStore(tmp_path, "manual", Model)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="an encoder already"):
        LexSemBridgeEncoder(store.encoder)  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="name must be a string, not Model"):
        PassageStore.from_source(tmp_path, Model(), default_name="x")  # type: ignore[arg-type]
