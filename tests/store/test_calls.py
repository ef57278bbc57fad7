from __future__ import annotations

import logging
import subprocess
import threading
import time
from pathlib import Path

import chromadb
import chromadb.errors
import numpy as np
import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import (
    CollectionNotFoundError,
    StoreError,
)
from lsb_rag.store import calls, collection
from lsb_rag.store import client as chroma

from ..chroma_server import Proxy, chroma_server, free_port, url_of
from ..statistics.test_in_memory import assert_same
from .counting import from_scratch


def test_a_deleted_collection_says_so(store: PassageStore, tmp_path: Path) -> None:
    retriever = Retriever(store)
    retriever.search("E-4012")
    chromadb.PersistentClient(store.path).delete_collection("manual")  # type: ignore[arg-type]
    with pytest.raises(CollectionNotFoundError, match=r"not there any more.*open it again"):
        store.query(np.ones(384))  # type: ignore[arg-type]


def test_a_server_that_is_gone(tmp_path: Path, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.5)
    with chroma_server(tmp_path / "db") as (client, process):
        store = PassageStore(client, "gone", tiny)
        store.add(["valve", "pump"])
        process.kill()
        process.wait()
        for work in (
            lambda: Retriever(store).search("valve"),
            lambda: store.add(["one more"]),
            lambda: store.delete(["x"]),
            lambda: store.get(),
            lambda: len(store),
        ):
            started = time.monotonic()
            with pytest.raises(StoreError, match=r"server does not answer.*Check that it runs"):
                work()
            assert time.monotonic() - started < 5
        with pytest.raises(StoreError, match="does not answer"):
            PassageStore(url_of(client), "gone")
        assert "gone" in repr(store)  # asks nothing


def test_a_restart_is_survived(
    tmp_path: Path, tiny: LexSemBridgeEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "BATCH", 8)
    monkeypatch.setattr(calls, "RETRY_SECONDS", 30.0)
    port, folder, restarted = free_port(), tmp_path / "db", threading.Event()
    texts = [f"part P-{number} of the pump" for number in range(120)]

    def restart(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        time.sleep(0.5)
        with chroma_server(folder, port=port):
            restarted.wait(60)

    with chroma_server(folder, port=port) as (client, process):
        store = PassageStore(client, "parts", tiny)
        keeper = threading.Thread(target=restart, args=(process,))

        def progress(done: int, total: int) -> None:
            if done == 48:
                keeper.start()

        with caplog.at_level(logging.WARNING):
            assert store.add(texts, progress=progress) == 120
        assert "does not answer; trying" in caplog.text
        assert sorted(passage.text for passage in store.get()) == sorted(texts)
        assert len(Retriever(store).search("P-7", 200)) == 120
        assert_same(store.bridge.statistics, from_scratch(store))
        restarted.set()
        keeper.join()


def test_a_search_beside_the_first_write_is_made_again(
    server: ClientAPI, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = PassageStore(server, "first", tiny)
    store.add(["valve", "pump"])
    real, errors = (
        store.collection.query,
        [chromadb.errors.InternalError("Error executing plan: Nothing found on disk")],
    )

    def query(**asked: object) -> object:
        if errors:
            raise errors.pop()
        return real(**asked)

    monkeypatch.setattr(store.collection, "query", query)
    assert len(Retriever(store).search("valve")) == 2
    assert errors == []
    assert "does not answer" not in caplog.text


def test_an_overloaded_server_is_asked_again(server: ClientAPI, tiny: LexSemBridgeEncoder) -> None:
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        store = PassageStore(proxy.url, "busy", tiny)
        proxy.overloaded = 2
        assert store.add(["valve", "pump"]) == 2
        proxy.overloaded = 1
        assert len(store) == 2


def test_a_server_that_never_answers(
    server: ClientAPI, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chroma, "ANSWER_SECONDS", 2.0)
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        store = PassageStore(proxy.url, "silent", tiny)
        monkeypatch.setattr(calls, "RETRY_SECONDS", 0.5)  # only now: a busy machine may make it in a second try
        proxy.delay = 60.0
        started = time.monotonic()
        with pytest.raises(StoreError, match="does not answer"):
            len(store)
        assert time.monotonic() - started < 30


def test_an_answer_that_is_lost_is_asked_for_again(server: ClientAPI, tiny: LexSemBridgeEncoder) -> None:
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        store = PassageStore(proxy.url, "lost", tiny)
        store.add(["valve", "pump"])
        proxy.lose_answers = 2
        store.add(["sensor", Passage("pump again", id=Passage("pump").id)])
        proxy.lose_answers = 1
        assert store.delete([Passage("valve").id]) == 1
        assert sorted(passage.text for passage in store.get()) == ["pump again", "sensor"]
        assert_same(store.bridge.statistics, from_scratch(store))
