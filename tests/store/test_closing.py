"""Stores are closed: files and threads are given back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import chromadb
import pytest
from chromadb.api.shared_system_client import SharedSystemClient

from lsb_rag import Embedder, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.errors import LsbRagError, StoreError

linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts what Linux tells")


def open_now() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def open_after_a_while(most: int) -> tuple[int, int]:
    """The same, once there are no more than `most` descriptors: Chroma closes its own a moment later."""
    until = time.monotonic() + 10
    while open_now()[0] > most and time.monotonic() < until:
        time.sleep(0.05)
    return open_now()


def filled(folder: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    store = PassageStore(folder, "codes", encoder)
    store.add(["E-4012: the pump stopped.", "E-4013: the valve is frozen."])
    return store


@linux
def test_many_stores_opened_and_closed_leave_nothing_open(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    with Retriever(filled(tmp_path / "first", tiny)) as retriever:
        retriever.search("E-4012")
    before = open_now()
    for number in range(25):
        store = filled(tmp_path / str(number), tiny)
        Retriever(store).search("E-4012")
        store.close()
        store.close()
    descriptors, threads = open_after_a_while(before[0] + 2)
    assert descriptors <= before[0] + 2
    assert threads <= before[1] + 4  # those of Chroma end in their own time


@linux
def test_dropped_stores_close_without_the_garbage_collector(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    gc.collect()
    before = open_now()
    gc.disable()
    try:
        for number in range(12):
            retriever = Retriever(filled(tmp_path / str(number), tiny))
            retriever.search("E-4012")
            embedder = Embedder(tiny, collection=retriever.store)
            embedder.embed_query("E-4012")
            del retriever, embedder
        descriptors, _ = open_after_a_while(before[0] + 2)
    finally:
        gc.enable()
    assert descriptors <= before[0] + 2


def test_a_closed_store_says_so(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    with filled(tmp_path, tiny) as store:
        retriever = Retriever(store)
        retriever.search("E-4012")
    for use in (store.ids, lambda: store.add(["more"]), lambda: retriever.search("E-4012"), lambda: len(store)):
        with pytest.raises(StoreError, match="closed; open it again"):
            use()
    assert "codes" in repr(store)
    again = PassageStore(tmp_path, "codes", tiny, create=False)
    assert Retriever(again).search("E-4012", 1)[0].text.startswith("E-4012")


def test_others_go_on(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    first, second = filled(tmp_path, tiny), PassageStore(tmp_path, "codes", tiny)
    client = chromadb.PersistentClient(tmp_path)
    collection = client.get_collection("codes", embedding_function=None)
    given = PassageStore.from_collection(collection, tiny)
    assert Retriever(given).search("E-4012", 1) == Retriever(second).search("E-4012", 1)
    first.close()
    assert len(Retriever(second).search("E-4012")) == 2  # the statistics too
    second.close()
    given.close()
    assert collection.count() == 2
    kept = PassageStore(tmp_path, "codes", tiny).collection  # its store is dropped here
    client.close()
    assert kept.count() == 2


def test_a_store_in_memory_is_deleted_when_it_is_closed(tiny: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(tiny)
    store.add(["E-4012: the pump stopped."])
    name = store.name
    store.close()
    assert name not in [one.name for one in chromadb.EphemeralClient().list_collections()]


def test_an_embedder_opens_its_collection_again_and_leaves_a_given_store(
    tmp_path: Path, tiny: LexSemBridgeEncoder
) -> None:
    store = filled(tmp_path, tiny)
    with Embedder(tiny, collection=store) as embedder:
        expected = embedder.embed_query("E-4012").tolist()
    assert len(store) == 2
    store.close()
    embedder = Embedder(tiny, collection=PassageStore(tmp_path, "codes", tiny).collection)
    assert embedder.embed_query("E-4012").tolist() == expected
    embedder.close()
    assert embedder.embed_query("E-4012").tolist() == expected


def test_an_opening_that_fails_leaves_nothing_open(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    filled(tmp_path, tiny).close()
    for name in ("no such", "none"):
        with pytest.raises(LsbRagError):
            PassageStore(tmp_path, name, tiny, create=False)
    assert str(tmp_path) not in SharedSystemClient._identifier_to_system


@linux
def test_the_limit_of_open_files_is_named(tmp_path: Path, tiny_backbone: Path) -> None:
    program = """
        import resource, sys
        from lsb_rag import PassageStore
        from lsb_rag.errors import StoreError
        PassageStore(f"{sys.argv[1]}/first", "codes", sys.argv[2]).close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        stores = []
        try:
            for number in range(64):
                stores.append(PassageStore(f"{sys.argv[1]}/{number}", "codes", sys.argv[2]))
        except StoreError as error:
            print(error)
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(tiny_backbone)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "64 (`ulimit -n`): close() stores" in done.stdout, done.stderr
