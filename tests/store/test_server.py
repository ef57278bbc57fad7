"""A store on a real Chroma server: by its address, with a token, from several processes, while it stops and starts."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import shutil
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import chromadb
import chromadb.errors
import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import CollectionNotFoundError, InvalidInputError, InvalidTypeError, StoreError
from lsb_rag.store import calls, collection
from lsb_rag.store import client as chroma
from lsb_rag.store.client import collection_names, open_server

from ..chroma_server import Proxy, chroma_server, free_port, url_of
from ..conftest import MANUAL
from ..statistics.test_in_memory import assert_same
from ..store.test_fitted import from_scratch

QUERY = "what does E-4012 mean"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tiny_backbone: Path) -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_backbone, device="cpu")


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


def test_statistics_are_rebuilt_where_there_are_none(
    server: ClientAPI, tiny: LexSemBridgeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PassageStore(server, "elsewhere", tiny)
    store.add([f"part P-{number}" for number in range(30)])
    expected = from_scratch(store)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert_same(PassageStore(server, "elsewhere", tiny).bridge.statistics, expected)


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


def test_an_asynchronous_client_is_refused(server: ClientAPI) -> None:
    async def make() -> object:
        settings = server.get_settings()
        return await chromadb.AsyncHttpClient(settings.chroma_server_host, settings.chroma_server_http_port or 0)

    with pytest.raises(InvalidTypeError, match="asynchronous"):
        PassageStore(asyncio.run(make()), "manual")  # type: ignore[arg-type]


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


def test_a_batch_whose_fate_is_unknown_is_looked_up(
    server: ClientAPI, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.2)
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        store = PassageStore(proxy.url, "unknown", tiny)
        store.add([Passage("valve", id="v"), Passage("pump", id="p")])
        store.fit()
        real = store.collection.upsert

        def lose_it(**records: object) -> None:
            proxy.lose_answers = 10**6
            real(**records)

        with monkeypatch.context() as broken:
            broken.setattr(store.collection, "upsert", lose_it)
            with pytest.raises(StoreError, match="does not answer"):
                store.add([Passage("valve Z-9", id="v")])  # in place: no number tells
        proxy.lose_answers = 0
        assert store.bridge.statistics.df("z-9") == 1  # it was stored
        assert_same(store.bridge.statistics, from_scratch(store))


def test_two_processes_index_into_one_collection(server: ClientAPI, tiny_backbone: Path) -> None:
    code = (
        "import sys; from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore;"
        "from lsb_rag.store import collection; collection.BATCH = 16;"
        "s = PassageStore(sys.argv[1], 'both', LexSemBridgeEncoder(sys.argv[2], device='cpu'));"
        "numbers = range(int(sys.argv[4]), 200);"
        "numbers = range(int(sys.argv[4]), 200);"
        "s.add([Passage(f'part P-{n} by {sys.argv[3] if n < 40 else 0}', id=str(n)) for n in numbers])"
    )
    url = url_of(server)
    command = [sys.executable, "-c", code, url, str(tiny_backbone)]
    processes = [subprocess.Popen([*command, *options]) for options in (("1", "0"), ("2", "20"))]  # noqa: S603
    assert [process.wait(120) for process in processes] == [0, 0]
    store = PassageStore(url, "both", create=False)
    assert sorted(store.ids(), key=int) == [str(number) for number in range(200)]
    assert_same(store.bridge.statistics, from_scratch(store))
    assert store.bridge.statistics.n_passages == 200


READ = """
import json, os, sys
from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
url, backbone, *caches = sys.argv[1:]
encoder = LexSemBridgeEncoder(backbone, device="cpu")
retrievers = []
for cache in caches:
    os.environ["XDG_CACHE_HOME"] = cache
    retrievers.append(Retriever(PassageStore(url, "followed", encoder, create=False)))
    retrievers[-1].store.fit()
for query in sys.stdin:
    hits = [retriever.search(query.strip(), 5) for retriever in retrievers]
    print(json.dumps([[[hit.id, hit.score] for hit in found] for found in hits]), flush=True)
"""


def test_readers_in_another_process_follow_a_writer(
    server: ClientAPI, tiny_backbone: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, tiny = url_of(server), LexSemBridgeEncoder(tiny_backbone, device="cpu")
    store = PassageStore(url, "followed", tiny)
    store.add([Passage(f"part P-{number} of the pump", id=str(number)) for number in range(60)])
    # Two long-running readers: one with the writer's statistics, one with a cache of its own, as on another machine.
    caches = [str(cache), str(tmp_path / "another machine")]
    command = [sys.executable, "-c", READ, url, str(tiny_backbone), *caches]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603

        def followed(query: str, by: int = 2) -> bool:
            """Whether the first `by` of them come to give the ids and scores of a reader that is opened now."""
            assert process.stdin and process.stdout  # noqa: PT018
            with monkeypatch.context() as fresh:
                fresh.setenv("XDG_CACHE_HOME", str(tmp_path / f"fresh {query}"))
                hits = Retriever(PassageStore(url, "followed", tiny, create=False)).search(query, 5)
            deadline, same = time.monotonic() + 20, False
            while not same and time.monotonic() < deadline:  # a second; more where the server is slow
                time.sleep(0.1)
                process.stdin.write(f"{query}\n")
                process.stdin.flush()
                found = json.loads(process.stdout.readline())
                same = found[:by] == [[[hit.id, hit.score] for hit in hits]] * by
            return same

        assert followed("part P-7")
        store.add([Passage(f"valve V-{number} stays open", id=f"v{number}") for number in range(20)])
        assert followed("valve V-3")
        store.delete(["v3", "4"])
        assert followed("valve V-4 or part P-4")
        store.add([Passage("belt B-1 slipped", id="belt")])
        store.delete(["v5"])  # as many as were added
        assert followed("belt B-1")
        store.add([Passage("sensor TMP_117", id="7"), Passage("sensor TMP_118", id="8")])
        assert followed("sensor TMP_117", by=1)  # an update in place leaves no sign on the server
        process.communicate()


def test_the_event_loop_is_never_blocked(server: ClientAPI, tiny: LexSemBridgeEncoder) -> None:
    with Proxy(int(server.get_settings().chroma_server_http_port or 0)) as proxy:
        store = PassageStore(proxy.url, "async", tiny)
        store.add(["valve", "pump"])
        retriever = Retriever(store)
        retriever.search("valve")
        proxy.delay = 0.2

        async def work() -> tuple[list[float], list[int]]:
            longest, done = [0.0], asyncio.Event()

            async def tick() -> None:
                while not done.is_set():
                    before = time.monotonic()
                    await asyncio.sleep(0.005)
                    longest.append(time.monotonic() - before)

            ticking = asyncio.create_task(tick())
            found = await asyncio.gather(
                *(retriever.asearch("valve", 2) for _ in range(4)),
                retriever.asearch_batch(["valve", "pump"]),
                store.aadd(["a sensor"]),
                store.adelete(["unknown"]),
            )
            done.set()
            await ticking
            return longest, [len(one) for one in found[:5]]

        longest, found = asyncio.run(work())
        assert found == [2, 2, 2, 2, 2]
        assert len(longest) > 20
        assert max(longest) < 0.2, f"the loop stood still for {max(longest):.2f} s"
        proxy.delay = 0.0
        assert len(store) == 3
