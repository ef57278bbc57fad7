"""An embedded database beside a second process, and one whose folder is deleted and made again."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import CollectionNotFoundError, StoreError
from lsb_rag.store import collection as store_collection
from lsb_rag.store import watch
from lsb_rag.store.client import open_client
from lsb_rag.store.embedded import EmbeddedDatabase, state_of_files

from ..statistics.test_in_memory import assert_same
from .counting import from_scratch, reopened
from .second_process import SecondProcess

NEW = "error E-8800, the hose has burst"
CHROMA = """
import chromadb
theirs = chromadb.PersistentClient(folder).get_collection("parts", embedding_function=None)
"""
LANGCHAIN = """
from langchain_chroma import Chroma
from langchain_core.embeddings import Embeddings
class Given(Embeddings):
    def embed_documents(self, texts): return vectors
    def embed_query(self, text): return vectors[0]
Chroma("parts", Given(), persist_directory=folder).add_texts(texts, ids=ids)
"""
OURS = """
from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
ours = PassageStore(folder, "parts", LexSemBridgeEncoder(backbone, device="cpu"))
"""
ADD = "theirs.add(ids=ids, documents=texts, embeddings=vectors)"


@pytest.fixture(scope="module")
def other() -> Iterator[SecondProcess]:
    with SecondProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every use looks what others wrote, not one a second."""
    monkeypatch.setattr(watch, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(store_collection, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(watch.ChangeWatch, "rests", lambda self: False)


@pytest.fixture
def parts(tmp_path: Path, tiny: LexSemBridgeEncoder) -> PassageStore:
    """40 passages, open and searched in this process."""
    store = PassageStore(tmp_path / "db", "parts", tiny)
    store.add([Passage(f"part P-{n} of the pump", id=f"p{n}") for n in range(40)])
    assert found(store, "part P-7 of the pump")[0] == "p7"
    return store


def found(store: PassageStore, query: str, k: int = 5, **options: Any) -> list[str]:
    return [hit.id for hit in Retriever(store, **options).search(query, k)]


def rows(store: PassageStore, *texts: str, ids: list[str] | None = None) -> dict[str, Any]:
    """Texts as a second process is given them, with the vectors that this process's encoder makes of them."""
    vectors = store.encoder.encode_document(list(texts)).tolist()
    return {"folder": str(store.path), "texts": list(texts), "vectors": vectors, "ids": ids or ["new"]}


USES: dict[str, Callable[[PassageStore], object]] = {
    "search": lambda store: found(store, NEW),
    "vanilla": lambda store: found(store, NEW, vanilla=True),
    "explain": lambda store: Retriever(store).explain(NEW, "new"),
    "filter": lambda store: Retriever(store).search(NEW, where_document={"$contains": "E-8800"}),
    "more than there are": lambda store: found(store, NEW, 500, vanilla=True),
    "vectors": lambda store: store.vectors(["new"]),
    "get": lambda store: store.get(["new"]),
    "refresh": lambda store: store.refresh(),
    "add": lambda store: store.add(["one more"]),
    "delete": lambda store: store.delete(["p0"]),
    "another store": lambda store: found(reopened(store), NEW),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_another_program_adds_is_seen_by_every_use(
    parts: PassageStore, other: SecondProcess, use: Callable[[PassageStore], object], caplog: pytest.LogCaptureFixture
) -> None:
    other.do(CHROMA + ADD, **rows(parts, NEW))
    use(parts)
    assert found(parts, NEW)[0] == "new"
    assert found(parts, NEW, vanilla=True)[0] == "new"
    assert Retriever(parts).explain(NEW, "new").score > 0.9
    assert found(reopened(parts), NEW)[0] == "new"
    assert_same(parts.bridge.statistics, from_scratch(parts))
    for _ in range(2):
        other.do("theirs.upsert(ids=ids, documents=texts, embeddings=vectors)", **rows(parts, "again", ids=["next"]))
        assert found(parts, "again")[0] == "next"
    said = [record for record in caplog.records if "Another process has written" in record.message]
    assert len(said) <= 2  # one for each store


@pytest.mark.parametrize("way", [CHROMA + ADD, LANGCHAIN], ids=["chromadb", "langchain_chroma"])
def test_a_thousand_records_of_another_program(parts: PassageStore, other: SecondProcess, way: str) -> None:
    texts = [f"error E-{n}, the hose has burst" for n in range(8000, 9000)]
    other.do(way, **rows(parts, *texts, ids=[f"new{n}" for n in range(1000)]))
    assert found(parts, "error E-8800, the hose has burst")[0] == "new800"
    assert len(Retriever(parts).search("hose", 2000)) == 1040
    assert_same(parts.bridge.statistics, from_scratch(parts))


def test_what_is_added_here_leaves_what_another_program_stored(
    parts: PassageStore, other: SecondProcess, tiny: LexSemBridgeEncoder
) -> None:
    """Chroma writes its index to disk after 1,000 records; one that lacks another process's loses them."""
    texts = [f"error E-{n}" for n in range(1000)]
    other.do(CHROMA + ADD, **rows(parts, *texts, ids=[f"new{n}" for n in range(1000)]))
    parts.add([Passage(f"flag F-{n}", id=f"f{n}") for n in range(1100)])
    code = 'result = len(theirs.get(include=["embeddings"])["ids"])'
    with SecondProcess() as third:
        assert third.do(CHROMA + code, folder=str(parts.path)) == 2140
    assert len(Retriever(parts).search("flag", 3000)) == 2140
    assert_same(parts.bridge.statistics, from_scratch(parts))


def test_the_first_records_of_an_empty_collection(
    tmp_path: Path, tiny: LexSemBridgeEncoder, other: SecondProcess
) -> None:
    store = PassageStore(tmp_path / "db", "parts", tiny)
    assert found(store, NEW) == []
    other.do(CHROMA + ADD, **rows(store, NEW))
    assert found(store, NEW) == ["new"]


def test_what_another_program_deletes_is_not_found(parts: PassageStore, other: SecondProcess) -> None:
    other.do(CHROMA + 'theirs.delete(["p7"])', folder=str(parts.path))
    for options in ({"vanilla": True}, {}):
        assert "p7" not in found(parts, "part P-7 of the pump", **options)
        assert len(found(parts, "part P-7 of the pump", 100, **options)) == 39
    assert_same(parts.bridge.statistics, from_scratch(parts))


def test_what_another_program_changes_in_place_is_found_by_refresh(parts: PassageStore, other: SecondProcess) -> None:
    given = rows(parts, NEW, ids=["p7"])
    other.do(CHROMA + "theirs.update(ids=ids, documents=texts, embeddings=vectors)", **given)
    found(parts, NEW)  # whatever it gives
    parts.refresh()
    hit = Retriever(parts).search(NEW, 1)[0]
    assert (hit.id, hit.text) == ("p7", NEW)
    assert Retriever(parts, vanilla=True).search(NEW, 1)[0].cosine > 0.99
    assert_same(parts.bridge.statistics, from_scratch(parts))


def test_two_processes_of_this_library(
    parts: PassageStore, other: SecondProcess, tiny_backbone: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both have it open, both write and search in turn; what one changes in place the other sees too."""
    given = {"folder": str(parts.path), "backbone": str(tiny_backbone), "new": NEW}
    other.do(OURS + 'ours.add([Passage(new, id="new"), Passage("another text", id="p7")])', **given)
    assert found(parts, NEW)[0] == "new"
    changed = Retriever(parts, vanilla=True).search("another text", 1)[0]
    assert (changed.id, changed.text) == ("p7", "another text")
    assert changed.cosine > 0.99
    parts.add([Passage("error E-9900, the belt slipped", id="ours")])
    parts.delete(["p3"])
    code = """
from lsb_rag.store import watch, collection
watch.RECHECK_SECONDS = collection.LOOK_SECONDS = 0.0
ours.fitted.recheck()
result = [[hit.id for hit in Retriever(ours).search(query, 100)] for query in queries]
"""
    queries = ["error E-9900, the belt slipped", "part P-3 of the pump"]
    belt, part = other.do(code, queries=queries)
    assert belt[0] == "ours"
    assert len(part) == 41
    assert "p3" not in part
    other.do('ours.delete(["new", "p5"])')
    assert len(found(parts, NEW, 100)) == 39
    assert_same(parts.bridge.statistics, from_scratch(parts))
    assert "fitted again" not in caplog.text


def test_another_program_goes_on_beside_what_is_written_here(parts: PassageStore, other: SecondProcess) -> None:
    query = "result = theirs.query(query_embeddings=vectors, n_results=3)['ids'][0]"
    assert len(other.do(CHROMA + query, **rows(parts, NEW))) == 3
    parts.add([Passage(NEW, id="ours")])
    assert len(other.do(query)) == 3
    other.do(ADD, **rows(parts, "its own", ids=["its own"]))  # which makes it catch up
    assert other.do(query, **rows(parts, NEW))[0] == "ours"
    assert found(parts, "its own")[0] == "its own"


def test_threads_search_while_another_program_writes(parts: PassageStore, other: SecondProcess) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                Retriever(parts).search(NEW, 3)
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    other.do(CHROMA, folder=str(parts.path))
    for n in range(20):
        other.do(ADD, **rows(parts, f"{NEW} {n}", ids=[f"new{n}"]))
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(found(parts, NEW, 100)) == 60


def test_what_is_missing_is_said_once(
    parts: PassageStore, other: SecondProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for n in range(3):
            other.do(CHROMA + ADD, **rows(parts, f"{NEW} {n}", ids=[f"new{n}"]))
            assert found(parts, f"{NEW} {n}")[0] == f"new{n}"
    said = [record.message for record in caplog.records if "Another process has written" in record.message]
    assert len(said) == 1
    assert "refresh()" in said[0]
    assert "server" in said[0]


def test_a_folder_that_is_deleted_and_filled_again(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    """A cell of a notebook that is run again."""
    made: list[PassageStore] = []
    for run in range(3):
        shutil.rmtree(tmp_path / "db", ignore_errors=True)
        store = PassageStore(tmp_path / "db", "parts", tiny)
        store.add([f"part P-{run} of the pump", NEW])
        assert len(store) == 2
        assert found(store, NEW, 1) == [store.ids()[1]]
        assert_same(store.bridge.statistics, from_scratch(store))
        made.append(store)
    with pytest.raises(CollectionNotFoundError, match=r"not there any more.*open it again"):
        found(made[0], NEW)


def test_a_folder_that_another_process_made_again(
    parts: PassageStore, other: SecondProcess, tmp_path: Path, tiny: LexSemBridgeEncoder
) -> None:
    given = rows(parts, NEW)
    shutil.rmtree(tmp_path / "db")
    made = CHROMA.replace("get_collection", "get_or_create_collection")
    with SecondProcess() as third:  # the other one may have it open
        third.do(made + ADD, **given)
    store = PassageStore(tmp_path / "db", "parts", tiny)
    assert found(store, NEW) == ["new"]
    with pytest.raises(CollectionNotFoundError):
        found(parts, NEW)


def test_a_client_of_the_programs_own_whose_folder_was_deleted(tmp_path: Path, tiny: LexSemBridgeEncoder) -> None:
    client = chromadb.PersistentClient(tmp_path / "db")
    store = PassageStore(client, "parts", tiny)
    store.add([NEW])
    shutil.rmtree(tmp_path / "db")
    for work in (lambda: PassageStore(client, "others", tiny), lambda: store.add(["one more"])):
        with pytest.raises(StoreError, match=r"deleted.*open it again by its path"):
            work()
    assert len(PassageStore(tmp_path / "db", "parts", tiny)) == 0
    store = PassageStore(client, "parts", tiny)  # the same client, mended
    store.add([NEW])
    assert found(store, NEW) == store.ids()


def test_a_database_that_is_gone_is_not_made_anew_by_a_search(parts: PassageStore) -> None:
    assert parts.path is not None
    shutil.rmtree(parts.path)
    with pytest.raises(StoreError, match="was deleted while it was open"):
        parts.chroma.reopen()
    assert not (parts.path / "chroma.sqlite3").exists()


def test_a_relative_path_after_the_program_changed_its_folder(
    tmp_path: Path, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = PassageStore("db", "parts", tiny)
    store.add([NEW])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="relative path"):
        store.chroma.reopen()
    assert not (tmp_path / "elsewhere" / "db").exists()


def test_only_an_embedded_database_on_disk_is_opened_anew(parts: PassageStore, tiny: LexSemBridgeEncoder) -> None:
    memory = PassageStore(None, "parts-in-memory", tiny)
    memory.add([NEW])
    assert EmbeddedDatabase.of(memory.collection._client) is None
    memory.refresh()
    assert len(memory) == 1
    of_store = EmbeddedDatabase.of(parts.collection._client)
    assert of_store is not None
    assert of_store is EmbeddedDatabase.of(open_client(parts.path)._server)  # type: ignore[attr-defined]


def test_the_state_of_a_databases_files(tmp_path: Path) -> None:
    assert state_of_files(None) is None
    assert state_of_files(tmp_path / "nowhere") is None
    file, log = tmp_path / "chroma.sqlite3", tmp_path / "chroma.sqlite3-wal"
    file.write_bytes(b"one")
    os.utime(file, (1e9, 1e9))
    states = [state_of_files(tmp_path)]
    assert states[0] is not None
    assert state_of_files(tmp_path) == states[0]
    log.write_bytes(b"one")
    states.append(state_of_files(tmp_path))
    file.write_bytes(b"two")
    os.utime(file, (1e9 + 1, 1e9 + 1))
    states.append(state_of_files(tmp_path))
    assert len({*states}) == 3
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "chroma.sqlite3").symlink_to(file)
    assert state_of_files(tmp_path / "linked") == states[-1]  # SQLite's log is beside the file itself
