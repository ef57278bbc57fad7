from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

from lsb_rag import LexSemBridgeEmbeddingFunction, LexSemBridgeEncoder, PassageStore, embedding_function
from lsb_rag.embedding_function import _of_collection
from lsb_rag.errors import InvalidInputError, InvalidTypeError, LsbRagError
from lsb_rag.store import watch

from .chroma_server import chroma_server
from .conftest import MANUAL
from .embedding_server import embedding_server, vector
from .store.test_providers import Registered

TEXTS = [passage.content for passage in MANUAL]
IDS = [passage.id for passage in MANUAL]
QUERY = "what does E-4012 mean"


@pytest.fixture(autouse=True)
def no_other_database_is_open() -> None:
    SharedSystemClient.clear_system_cache()
    _of_collection.cache_clear()


def filled(client: chromadb.ClientAPI, name: str = "manual") -> chromadb.Collection:
    collection = client.create_collection(name, embedding_function=LexSemBridgeEmbeddingFunction(name))
    collection.add(ids=IDS, documents=TEXTS)
    return collection


def test_documents_are_plain_and_queries_modulated(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = filled(chromadb.PersistentClient(tmp_path))
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
    stored = collection.get(IDS, include=["embeddings"])
    expected = dict(zip(IDS, encoder.encode_document(TEXTS), strict=True))
    for id, row in zip(stored["ids"], np.asarray(stored["embeddings"]), strict=True):
        np.testing.assert_allclose(row, expected[id], atol=1e-6)
    store = PassageStore.from_collection(collection, encoder)
    query = encoder.encode_query(QUERY, bridge=store.bridge)
    found = collection.query(query_texts=[QUERY], n_results=7)
    assert found["ids"][0][0] == "pump"
    cosines = [float(query @ expected[id]) for id in found["ids"][0]]
    assert found["distances"] is not None
    assert found["distances"][0] == pytest.approx([1 - cosine for cosine in cosines], abs=1e-5)
    assert not np.allclose(query, encoder.embed_query(QUERY), atol=1e-2)


def test_what_is_added_is_known_to_the_next_query(tmp_path: Path) -> None:
    collection = filled(chromadb.PersistentClient(tmp_path))
    collection.query(query_texts=[QUERY])
    key = collection.configuration_json["embedding_function"]["config"]["key"]
    embedder = _of_collection("manual", key, "all-MiniLM-L6-v2", None)
    collection.add(ids=["new"], documents=["E-7777: the belt slipped."])
    assert embedder.store is not None
    embedder.store.fitted.recheck()  # else within a second
    assert embedder.store.bridge.statistics.df("e-7777") == 1
    assert collection.query(query_texts=["E-7777"], n_results=1)["ids"] == [["new"]]


REOPEN = """
import json, sys, chromadb, lsb_rag.embedding_function
collection = chromadb.PersistentClient(sys.argv[1]).get_collection("manual")
found = collection.query(query_texts=["what does E-4012 mean"], n_results=3)
print(json.dumps([found["ids"], found["distances"]]))
"""


def test_it_reopens_by_itself_even_where_the_folder_was_moved(tmp_path: Path) -> None:
    collection = filled(chromadb.PersistentClient(tmp_path / "db"))
    found = collection.query(query_texts=[QUERY], n_results=3)
    (tmp_path / "db").rename(tmp_path / "moved")
    command = [sys.executable, "-c", REOPEN, str(tmp_path / "moved")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    ids, distances = json.loads(done.stdout.splitlines()[-1])
    assert ids == found["ids"]
    assert found["distances"] is not None
    assert distances[0] == pytest.approx(found["distances"][0], abs=1e-5)


def test_get_or_create_with_a_new_function_every_time(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    expected = filled(client).query(query_texts=[QUERY], n_results=3)
    again = client.get_or_create_collection("manual", embedding_function=LexSemBridgeEmbeddingFunction("manual"))
    found = again.query(query_texts=[QUERY], n_results=3)
    assert (found["ids"], found["distances"]) == (expected["ids"], expected["distances"])
    again.modify(name="renamed")
    found = client.get_collection("renamed").query(query_texts=[QUERY], n_results=3)
    assert (found["ids"], found["distances"]) == (expected["ids"], expected["distances"])


def test_one_function_for_two_collections_and_a_copied_folder(
    tmp_path: Path, encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    client, plain = chromadb.PersistentClient(tmp_path / "db"), encoder.embed_query(QUERY)
    function = LexSemBridgeEmbeddingFunction("one")
    for name in ("one", "two"):
        collection = client.create_collection(name, embedding_function=function)
        collection.add(ids=IDS, documents=TEXTS if name == "one" else [text[::-1] for text in TEXTS])
    assert not np.allclose(function.embed_query([QUERY])[0], plain, atol=1e-2)  # by its name
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    chromadb.PersistentClient(tmp_path / "copy").get_collection("one")
    _of_collection.cache_clear()
    np.testing.assert_allclose(function.embed_query([QUERY])[0], plain, atol=1e-6)
    assert "There are 2 collections 'one'" in caplog.text


def test_collections_of_one_process_do_not_mix(tmp_path: Path) -> None:
    client = chromadb.PersistentClient(tmp_path)
    manual = filled(client)
    other = client.create_collection("other", embedding_function=LexSemBridgeEmbeddingFunction("other", strength=0))
    other.add(ids=["a", "b"], documents=["E-4012 is a cake", "coffee"])
    memory = chromadb.EphemeralClient()
    third = filled(memory, "in-memory-ef")
    assert [c.query(query_texts=[QUERY], n_results=1)["ids"][0][0] for c in (manual, other, third)] == [
        "pump",
        "a",
        "pump",
    ]
    memory.delete_collection("in-memory-ef")


def test_on_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with chroma_server(tmp_path / "db") as (client, _):
        assert filled(client).query(query_texts=[QUERY], n_results=1)["ids"] == [["pump"]]
        assert client.get_collection("manual").query(query_texts=[QUERY], n_results=1)["ids"] == [["pump"]]


def test_deleted_and_made_again(tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.0)
    client = chromadb.PersistentClient(tmp_path)
    function = LexSemBridgeEmbeddingFunction("again")
    for texts in (["E-1 one", "E-2 two"], ["E-4012 three", "E-4013 four"]):
        collection = client.create_collection("again", embedding_function=function)
        collection.add(ids=["a", "b"], documents=texts)
        word = "E-2" if "E-2 two" in texts else "E-4012"
        until = time.monotonic() + 20  # looking takes a tenth of the time at most: after a slow look there is a pause
        while np.allclose(function.embed_query([word])[0], encoder.embed_query(word), atol=1e-3):
            assert time.monotonic() < until
            time.sleep(0.05)
        client.delete_collection("again")


def test_without_its_collection_a_query_is_plain(
    encoder: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    function = LexSemBridgeEmbeddingFunction("nowhere")
    np.testing.assert_allclose(function.embed_query([QUERY])[0], encoder.embed_query(QUERY), atol=1e-6)
    assert "backbone's plain vector" in caplog.text


def test_its_configuration() -> None:
    function = LexSemBridgeEmbeddingFunction("manual", "some/model", units="wordpieces", strength=0.5)  # loads nothing
    again = LexSemBridgeEmbeddingFunction.build_from_config(json.loads(json.dumps(function.get_config())))
    assert again.get_config() == function.get_config()
    assert not function.is_legacy()
    assert LexSemBridgeEmbeddingFunction("a").key != LexSemBridgeEmbeddingFunction("a").key
    with pytest.raises(InvalidInputError, match="no configuration"):
        LexSemBridgeEmbeddingFunction.build_from_config({"nonsense": 1})
    for options in ({"strength": -1}, {"strength": "x"}, {"units": "letters"}, {"backbone": None}, {"collection": ""}):
        with pytest.raises(LsbRagError):
            LexSemBridgeEmbeddingFunction(**{"collection": "manual", **options})


def test_bad_queries(tmp_path: Path) -> None:
    collection = filled(chromadb.PersistentClient(tmp_path))
    with pytest.raises(InvalidInputError, match="empty or blank"):
        collection.query(query_texts=["  "])
    with pytest.raises((InvalidTypeError, ValueError)):
        collection.query(query_texts=[3])  # type: ignore[list-item]


class TestOverAnotherFunction:
    """LexSemBridge over one of Chroma's embedding functions."""

    def test_documents_and_queries_are_that_functions(self, tmp_path: Path) -> None:
        client = chromadb.PersistentClient(tmp_path)
        function = LexSemBridgeEmbeddingFunction("parts", embedding_function=Registered())
        collection = client.create_collection("parts", embedding_function=function)
        collection.add(ids=IDS, documents=TEXTS)
        stored = collection.get(IDS, include=["embeddings"])
        for id, row in zip(stored["ids"], np.asarray(stored["embeddings"]), strict=True):
            np.testing.assert_allclose(row, vector(TEXTS[IDS.index(id)], 64, "document"), atol=1e-6)
        plain = LexSemBridgeEmbeddingFunction("parts", embedding_function=Registered(), strength=0)
        np.testing.assert_allclose(plain.embed_query([QUERY])[0], vector(QUERY, 64, "query"), atol=1e-6)
        found = collection.query(query_texts=["TMP_117 reads hot"], n_results=3)
        assert found["ids"][0][0] == "sensor"
        store = PassageStore(tmp_path, "parts")  # through our own store, by what the collection says
        assert store.encoder.name == "test-registered"
        hits = store.query(store.encoder.encode_query("TMP_117 reads hot", bridge=store.bridge), 3)
        assert [hit.id for hit in hits] == found["ids"][0]

    def test_it_is_made_again_from_what_is_stored(self, tmp_path: Path) -> None:
        client = chromadb.PersistentClient(tmp_path)
        function = LexSemBridgeEmbeddingFunction("parts", embedding_function=Registered(32))
        client.create_collection("parts", embedding_function=function).add(ids=IDS, documents=TEXTS)
        config = client.get_collection("parts").configuration_json["embedding_function"]["config"]
        assert config["embedding_function"] == {"name": "test-registered", "config": {"width": 32}}
        embedding_function._made.clear()  # as in another process
        embedding_function._encoder.cache_clear()
        again = client.get_collection("parts")
        assert again.query(query_texts=["ZX81"], n_results=1)["ids"] == [["valve"]]
        built = LexSemBridgeEmbeddingFunction.build_from_config(config)
        assert built.get_config() == config

    def test_what_cannot_be_made_again_is_refused(self) -> None:
        with pytest.raises(InvalidTypeError, match="could not make function again"):
            LexSemBridgeEmbeddingFunction("parts", embedding_function=lambda texts: texts)  # type: ignore[arg-type]

        class Unregistered(Registered):
            @staticmethod
            def name() -> str:
                return "test-unregistered"

        with pytest.raises(InvalidTypeError, match=r"Unregistered again.*register_embedding_function"):
            LexSemBridgeEmbeddingFunction("parts", embedding_function=Unregistered())
        with pytest.raises(InvalidInputError, match="not both"):
            LexSemBridgeEmbeddingFunction("parts", "some/model", embedding_function=Registered())
        with pytest.raises(InvalidTypeError, match="backbone must be a string"):
            LexSemBridgeEmbeddingFunction("parts", Registered())  # type: ignore[arg-type]
        config = {"collection": "parts", "embedding_function": {"name": "nowhere", "config": {}}}
        with pytest.raises(InvalidInputError, match="'nowhere' is not registered in this process"):
            LexSemBridgeEmbeddingFunction.build_from_config(config)(["text"])

    def test_openais_over_http_and_no_key_is_stored(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-top-secret")
        with embedding_server() as server:
            inner = OpenAIEmbeddingFunction(api_base=server.url, model_name="small")
            function = LexSemBridgeEmbeddingFunction("parts", embedding_function=inner)
            client = chromadb.PersistentClient(tmp_path)
            client.create_collection("parts", embedding_function=function).add(ids=IDS, documents=TEXTS)
            server.requests.clear()
            for _ in range(2):
                found = client.get_collection("parts").query(query_texts=["TMP_117"], n_results=1)
                assert found["ids"] == [["sensor"]]
            assert server.texts.count("TMP_117") == 1
        assert b"sk-top-secret" not in (tmp_path / "chroma.sqlite3").read_bytes()
        with_password = OpenAIEmbeddingFunction(api_base="http://me:hush@localhost:1/v1")
        with pytest.raises(InvalidInputError, match="holds a secret under 'api_base'"):
            LexSemBridgeEmbeddingFunction("parts", embedding_function=with_password)
        with pytest.raises(InvalidInputError, match="address holds a secret"):
            LexSemBridgeEmbeddingFunction("parts", "openai:small@http://me:hush@localhost:1/v1")
        with_header = OpenAIEmbeddingFunction(api_base=server.url, default_headers={"Authorization": "Bearer x"})
        with pytest.raises(InvalidInputError, match="holds a secret under 'default_headers'"):
            LexSemBridgeEmbeddingFunction("parts", embedding_function=with_header)
