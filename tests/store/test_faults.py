"""What a store survives: being killed, a full disk, hostile input. Nothing is lost and everything counts once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, LsbRagError, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError, StoreError

from ..statistics.test_in_memory import assert_same
from .counting import from_scratch

INDEX = """
import os, random, shutil, signal, sys, time
import sentence_transformers, chromadb  # once, before the forks
from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.store import collection
folder, backbone, copy = sys.argv[1:]
collection.BATCH = 8
text = "part P-{} of the pump, {}".format

def index(versions, ready=None):
    store = PassageStore(folder, "killed", LexSemBridgeEncoder(backbone, device="cpu"))
    if ready is not None:
        os.write(ready, b"x")
    for version in versions:  # again and again, with other content
        store.add([Passage(text(n, version), id=str(n)) for n in range(200)])
        if version != "final":
            store.delete([str(n) for n in range(version % 7, 200, 9)])

def forked(*work):
    child = os.fork()
    if not child:
        index(*work)
        os._exit(0)
    return child

for _ in range(5):
    begun, ready = os.pipe()
    child = forked(range(1000), ready)
    os.read(begun, 1)
    time.sleep(random.uniform(0.05, 1.2))
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
shutil.copytree(folder, copy)
assert os.waitpid(forked(["final"]), 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_killed_five_times_at_random_moments_and_resumed(tmp_path: Path, tiny_backbone: Path) -> None:
    folder, copy = tmp_path / "db", tmp_path / "as it was left"
    command = [sys.executable, "-c", INDEX, str(folder), str(tiny_backbone), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr[-2000:]
    store = PassageStore(copy, "killed", create=False)
    assert_same(store.bridge.statistics, from_scratch(store))  # whatever was under way
    store = PassageStore(folder, "killed", create=False)
    assert sorted(store.ids(), key=int) == [str(number) for number in range(200)]
    assert {passage.text for passage in store.get()} == {f"part P-{n} of the pump, final" for n in range(200)}
    assert_same(store.bridge.statistics, from_scratch(store))
    assert len(Retriever(store).search("P-77", 200)) == 200


FILL = """
import json, resource, signal, sys
from lsb_rag import LexSemBridgeEncoder, LsbRagError, PassageStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = PassageStore(sys.argv[1], "full", LexSemBridgeEncoder(sys.argv[2], device="cpu"))
store.add(["the pump stopped"])
store.fit()
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
try:
    store.add([f"part P-{n} " + "of the pump " * 60 for n in range(5000)])
except LsbRagError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
def test_a_full_disk(tmp_path: Path, tiny_backbone: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path), str(tiny_backbone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr[-2000:]
    kind, message = json.loads(done.stdout.splitlines()[-1])
    assert kind == "StoreError"
    assert "make room" in message
    store = PassageStore(tmp_path, "full", create=False)  # with room again
    assert len(store) >= 1
    # The backbone is random: what it makes of the words must not decide.
    assert Retriever(store, rerank=1.0).search("the pump stopped", 1)[0].text == "the pump stopped"
    assert_same(store.bridge.statistics, from_scratch(store))
    store.add(["fits again"])
    assert_same(store.bridge.statistics, from_scratch(store))


@pytest.fixture
def small(tmp_path: Path, tiny_backbone: Path) -> PassageStore:
    store = PassageStore(tmp_path / "db", "small", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    store.add([Passage("The pump stopped, error E-4012.", id="pump"), Passage("The valve stays open.", id="valve")])
    return store


def searched(query: Any, k: Any = 3) -> Callable[[PassageStore], object]:
    return lambda store: Retriever(store).search(query, k)


def added(*passages: Any) -> Callable[[PassageStore], object]:
    return lambda store: store.add(list(passages))


def with_metadata(**metadata: Any) -> Callable[[PassageStore], object]:
    return added(Passage("a passage", id="hostile", metadata=metadata))


REFUSED: list[Callable[[PassageStore], object]] = [
    searched(""),
    searched("   \n\t"),
    searched("\u200b \u00a0".replace("\u200b", "")),
    searched(None),
    searched(b"bytes"),
    searched(3.14),
    searched(["a", "list"]),
    searched("pump", 0),
    searched("pump", -5),
    searched("pump", 1.5),
    searched("pump", "3"),
    added(""),
    added("  "),
    added(None),
    added(b"bytes"),
    added("lone \ud800 surrogate"),
    added(Passage("x", id="lone \udfff")),
    added(Passage("one", id="same"), Passage("two", id="same")),
    with_metadata(none=None),
    with_metadata(nested={"a": {"b": 1}}),
    with_metadata(mixed=[1, "two"]),
    with_metadata(empty=[]),
    with_metadata(nan=float("nan")),
    with_metadata(infinite=float("inf")),
    with_metadata(huge=10**30),
    with_metadata(binary=b"x"),
    with_metadata(array=np.ones(3)),
    with_metadata(**{"": "no name"}),
    with_metadata(**{"chroma:document": "reserved"}),
    with_metadata(surrogate="\ud800"),
    with_metadata(**{"\ud800": "surrogate"}),
    lambda store: Passage(None),  # type: ignore[arg-type]
    lambda store: Passage("text", metadata=[1]),  # type: ignore[arg-type]
    lambda store: Passage("text", metadata=None),  # type: ignore[arg-type]
    lambda store: store.query("abc"),  # type: ignore[arg-type]
    lambda store: store.get(["pump"], limit=-1),
    lambda store: store.get(limit="3"),  # type: ignore[arg-type]
    lambda store: store.get(where="x"),  # type: ignore[arg-type]
    lambda store: store.delete(where_document="x"),  # type: ignore[arg-type]
    lambda store: Retriever(store).search("pump", where=0),  # type: ignore[arg-type]
    lambda store: Retriever(store, strength="x"),  # type: ignore[arg-type]
    lambda store: PassageStore("ftp://host", "name"),
    lambda store: PassageStore("", "name"),
    lambda store: PassageStore(5, "name"),  # type: ignore[arg-type]
    lambda store: store.query(np.full(32, np.nan, np.float32)),
    lambda store: store.query(np.full(32, np.inf, np.float32)),
    lambda store: store.query(np.zeros(32, np.float32)),
    lambda store: store.query(np.ones(31, np.float32)),
    lambda store: store.query(np.ones((2, 32), np.float32)),
    lambda store: store.query(np.ones(0, np.float32)),
    lambda store: Retriever(store).search("pump", vector=np.full(32, np.nan, np.float32)),
    lambda store: Retriever(store).search("pump", vector=np.ones(7, np.float32)),
    lambda store: Retriever(store).search("pump", where={"$nonsense": 1}),
    lambda store: Retriever(store).search("pump", where_document={"$contains": 3}),
    lambda store: store.delete("pump"),
    lambda store: store.delete(),
    lambda store: store.vectors(["unknown"]),
    lambda store: PassageStore(store.path, "ab", store.encoder),
    lambda store: PassageStore(store.path, "", store.encoder),
    lambda store: PassageStore(store.path, "with spaces", store.encoder),
    lambda store: PassageStore(store.path, "../escape", store.encoder),
    lambda store: PassageStore(store.path, "x" * 600, store.encoder),
    lambda store: PassageStore(store.path, "nul\0name", store.encoder),
    lambda store: PassageStore(store.path, "never made", create=False),
]


@pytest.mark.parametrize("attack", REFUSED)
def test_hostile_input_is_refused_with_advice(small: PassageStore, attack: Callable[[PassageStore], object]) -> None:
    small.fit()
    with pytest.raises(LsbRagError) as error:
        attack(small)
    assert len(str(error.value)) > 15
    assert sorted(small.ids()) == ["pump", "valve"]
    assert_same(small.bridge.statistics, from_scratch(small))
    assert Retriever(small).search("E-4012", 1)[0].id == "pump"


TAKEN: list[tuple[str, Callable[[PassageStore], object]]] = [
    ("a query of 1 MB", searched("E-4012 " * 150_000)),
    ("a query of one word of 1 MB", searched("x" * 1_000_000)),
    ("NUL bytes in a query", searched("E-4012\0\0")),
    ("surrogates in a query", searched("E-4012 \ud800\udfff")),
    ("right-to-left text", searched("\u202eשגיאה E-4012\u202c")),  # noqa: RUF001
    ("emoji and combining marks", searched("🔥🔥 E-4012 e\u0301\u0301\u0301")),
    ("nothing but punctuation", searched("?!... --- '\"; DROP TABLE units; --")),
    ("control characters", searched("\x1b[31mE-4012\x07\x00")),
    ("more than there are", searched("E-4012", 10_000)),
    ("far more than there are", searched("E-4012", 2**70)),
    ("an empty list", added()),
    ("one word", added("word")),
    ("one letter", added("x")),
    ("a passage of 1 MB", added("pump " * 200_000)),
    ("NUL bytes in a passage", added("a\0b\0c")),
    ("NUL bytes in an id", added(Passage("text", id="a\0b"), Passage("other text", id="a"))),
    ("an id of 10,000 characters", added(Passage("text", id="i" * 10_000))),
    ("ids of quotes", added(Passage("text", id="'; DROP TABLE records; --"), Passage("text", id='"'))),
    ("right-to-left passages", added("\u202eשלום עולם\u202c", "مرحبا بالعالم")),  # noqa: RUF001
    ("10,000 identical passages", lambda store: store.add([Passage("the same", id=str(n)) for n in range(10_000)])),
    ("a vector as a list", lambda store: store.query([1.0] * 32)),  # type: ignore[arg-type]
    ("metadata as far as it goes", with_metadata(**{"k" * 1000: "v" * 100_000, "ü": True, "n": -(2**63) + 1})),
]


@pytest.mark.parametrize("attack", [attack for _, attack in TAKEN], ids=[name for name, _ in TAKEN])
def test_hostile_input_is_taken(small: PassageStore, attack: Callable[[PassageStore], object]) -> None:
    small.fit()
    attack(small)
    assert {"pump", "valve"} <= set(small.ids())
    assert_same(small.bridge.statistics, from_scratch(small))
    assert [passage.id for passage in small.get(small.ids())] == small.ids()
    assert "pump" in {hit.id for hit in Retriever(small, candidates=20_000).search("E-4012", 20_000)}
    assert small.delete(small.ids()) == small.bridge.statistics.n_passages + len(small.ids()) or len(small) == 0
    assert small.bridge.statistics.n_passages == 0


def test_a_collection_without_documents(tmp_path: Path, tiny_backbone: Path) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("bare", embedding_function=None)
    rows = np.random.default_rng(0).normal(size=(50, 32))
    collection.add(ids=[str(n) for n in range(50)], embeddings=rows / np.linalg.norm(rows, axis=1, keepdims=True))
    store = PassageStore.attach(tmp_path, "bare", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    assert store.bridge.statistics.n_passages == 0
    assert len(Retriever(store).search("E-4012", 10)) == 10  # by the plain vector


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_not_stored(
    small: PassageStore, bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.fit()
    monkeypatch.setattr(small.encoder, "encode_document", lambda texts: np.full((len(texts), 32), bad, np.float32))
    with pytest.raises((InvalidInputError, StoreError)):
        small.add(["a new passage"])
    monkeypatch.undo()
    assert len(small) == 2
    assert_same(small.bridge.statistics, from_scratch(small))
