"""A store on a real Chroma server: by its address, with a token, from several processes, while it stops and starts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import StoreError
from lsb_rag.store import calls

from ..chroma_server import Proxy, url_of
from ..statistics.test_in_memory import assert_same
from .counting import from_scratch

QUERY = "what does E-4012 mean"


def test_statistics_are_rebuilt_where_there_are_none(
    server: ClientAPI, tiny: LexSemBridgeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PassageStore(server, "elsewhere", tiny)
    store.add([f"part P-{number}" for number in range(30)])
    expected = from_scratch(store)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert_same(PassageStore(server, "elsewhere", tiny).bridge.statistics, expected)


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
