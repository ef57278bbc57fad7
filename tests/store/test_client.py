from __future__ import annotations

import asyncio
import os
import pickle
import shutil
import ssl
import subprocess
from pathlib import Path

import chromadb
import chromadb.errors
import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.cli.info import about
from lsb_rag.errors import (
    CollectionNotFoundError,
    InvalidInputError,
    InvalidTypeError,
    StoreError,
)
from lsb_rag.store import calls
from lsb_rag.store.client import collection_names, open_server

from ..chroma_server import Proxy, chroma_server, url_of
from ..conftest import MANUAL
from .test_server import QUERY


def test_a_missing_collection_is_named_with_those_there(store: PassageStore, tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFoundError, match=r"no collection 'none'.*holds manual"):
        PassageStore(store.path, "none", create=False)
    with pytest.raises(CollectionNotFoundError, match="holds no collection yet"):
        PassageStore(tmp_path / "nowhere", "none", create=False)
    assert not (tmp_path / "nowhere").exists()
    assert collection_names(store.path) == ["manual"]


def test_a_name_chroma_refuses_and_a_path_that_is_a_file(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(StoreError, match="3-512 characters"):
        PassageStore(tmp_path, "x", encoder)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="is a file; give the folder"):
        PassageStore(tmp_path / "file", "name", encoder)


def test_one_folder_by_several_spellings_and_settings(
    tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chromadb.PersistentClient("./spelled", settings=chromadb.Settings(anonymized_telemetry=False))
    store = PassageStore("spelled", "manual", encoder)
    store.add(MANUAL)
    other = PassageStore(tmp_path / "spelled", "manual", encoder, create=False)
    other.fit()
    store.add(["one more about E-8800"])
    assert Retriever(other).search("E-8800", 1)[0].text == "one more about E-8800"
    chromadb.PersistentClient("./own", settings=chromadb.Settings(allow_reset=True))
    with pytest.raises(StoreError, match="settings of its own; give that client"):
        PassageStore("own", "manual", encoder)


def test_a_server(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    with chroma_server(tmp_path) as (client, process):
        store = PassageStore(client, "manual", encoder)
        store.add(MANUAL)
        assert store.path is None
        assert Retriever(store).search("what does E-4012 mean", k=1)[0].id == "pump"
        process.kill()
        process.wait()
        with pytest.raises(StoreError, match=r"server does not answer.*Check that it runs"):
            Retriever(store).search("what does E-4012 mean")
        assert "manual" in repr(store)  # asks nothing


def test_by_address(server: ClientAPI, encoder: LexSemBridgeEncoder, cache: Path) -> None:
    url = url_of(server)
    store = PassageStore(url, "manual", encoder)
    store.add(MANUAL)
    assert store.path is None
    assert url in repr(store)
    assert Retriever(store).search(QUERY, k=1)[0].id == "pump"
    assert store.statistics_bytes > 0
    assert list(cache.rglob(f"{store.collection.id}-words.sqlite3"))
    again = PassageStore(url, "manual", create=False)
    assert [hit.id for hit in Retriever(again).search(QUERY)] == [hit.id for hit in Retriever(store).search(QUERY)]
    assert Retriever(pickle.loads(pickle.dumps(store))).search(QUERY, 1)[0].id == "pump"  # noqa: S301 - our own
    assert "manual" in collection_names(url)
    with pytest.raises(CollectionNotFoundError, match=rf"no collection 'none' in {url}"):
        PassageStore(url, "none", create=False)


def test_chromas_variables_make_no_folder_of_a_server(
    server: ClientAPI, tiny: LexSemBridgeEncoder, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IS_PERSISTENT", "TRUE")
    monkeypatch.setenv("PERSIST_DIRECTORY", str(tmp_path))
    store = PassageStore(url_of(server), "variables", tiny)
    store.add(["valve", "pump"])
    assert store.path is None
    assert list(cache.rglob(f"{store.collection.id}-words.sqlite3"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://", "no address"),
        ("http://host:port", "no address"),
        ("http://host:99999", "no address"),
        ("http://me:secret@127.0.0.1:8000", "Leave the password out"),
        ("http://me:secret@127.0.0.1:99999", "Leave the password out"),
        ("http://127.0.0.1:8000/?token=secret", "more than host, port and path"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as error:
        PassageStore(url, "manual")
    assert "secret" not in str(error.value)


def test_a_token(
    server: ClientAPI, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with Proxy(int(server.get_settings().chroma_server_http_port or 0), "s3cret") as proxy:
        with pytest.raises(StoreError, match="Connecting to"):
            open_server(proxy.url)
        monkeypatch.setenv("LSB_RAG_DB_TOKEN", "s3cret")
        store = PassageStore(proxy.url, "guarded", tiny)
        store.add(["valve", "pump"])
        assert len(Retriever(store).search("valve")) == 2
        assert "s3cret" not in repr(store) + caplog.text
        assert b"s3cret" not in pickle.dumps(store)
        monkeypatch.setenv("LSB_RAG_DB_TOKEN", "s3cret\n")  # as from a mounted file
        assert len(PassageStore(proxy.url, "guarded")) == 2
        for bad in ("s3\ncret", "sécret"):
            monkeypatch.setenv("LSB_RAG_DB_TOKEN", bad)
            with pytest.raises(InvalidInputError, match="no header can bear") as error:
                open_server(proxy.url)
            assert bad not in str(error.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_https(server: ClientAPI, tiny: LexSemBridgeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    command = [*request.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # noqa: S603
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.2)
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        url = proxy.url.replace("http://", "https://")
        with pytest.raises(StoreError, match=r"(?i)certificate"):
            open_server(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        store = PassageStore(url, "encrypted", tiny)
        store.add(["valve", "pump"])
        assert len(Retriever(store).search("valve")) == 2


def test_an_asynchronous_client_is_refused(server: ClientAPI) -> None:
    async def make() -> object:
        settings = server.get_settings()
        return await chromadb.AsyncHttpClient(settings.chroma_server_host, settings.chroma_server_http_port or 0)

    with pytest.raises(InvalidTypeError, match="asynchronous"):
        PassageStore(asyncio.run(make()), "manual")  # type: ignore[arg-type]


def test_what_is_no_database_is_said_the_same_everywhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    empty = tmp_path / "db" / "chroma.sqlite3"
    empty.parent.mkdir()
    empty.touch()
    os.utime(empty, (0, 0))
    for ask in (collection_names, lambda path: PassageStore(path, "manual", create=False), lambda path: about(path)):
        with pytest.raises(StoreError, match="is a file; give the folder of a database"):
            ask(tmp_path / "file")
        with pytest.raises(StoreError, match=r"chroma\.sqlite3 is empty, .* restore it, or delete it"):
            ask(tmp_path / "db")
