"""Indexing on Ray: two workers on loopback and a real Chroma server come to what one process comes to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.distributed.indexing import _records, _row, check_database, index_with_ray
from lsb_rag.errors import ClusterError, FingerprintMismatchError, InvalidInputError, MissingExtraError
from lsb_rag.reading import read_passages

from ..chroma_server import free_port, url_of
from ..cli.terminal import call
from ..statistics.test_in_memory import assert_same
from ..store.counting import from_scratch
from ..tiny import save_tiny

# Before Ray is loaded: no usage statistics, and a token of the test's own, not one in the user's home.
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
ray = pytest.importorskip("ray")

WORDS = ["valve", "pump", "inlet", "spring", "filter", "canteen", "E-4012", "ZX81", "calib.offset", "exist_ok"]
PASSAGES = [
    Passage(
        " ".join(WORDS[(n * 7 + i * i) % len(WORDS)] for i in range(3 + n % 9)),
        id=f"p{n}",
        title=f"Part {n}" if n % 3 else "",
        metadata={"n": n, "half": n / 2, "even": n % 2 == 0, "tags": ["ä", "b"]} if n % 5 else {},
    )
    for n in range(1100)
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two CPUs, whatever the machine has."""
    options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init("local", num_cpus=2, **options)
    yield
    ray.shutdown()


@pytest.fixture
def tiny(tiny_backbone: Path) -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_backbone, device="cpu")


def contents(store: PassageStore) -> dict[str, tuple[str, Any, list[float]]]:
    found: Any = store.collection.get(include=["documents", "metadatas", "embeddings"])
    rows = zip(found["documents"], found["metadatas"], found["embeddings"], strict=True)
    return dict(zip(found["ids"], rows, strict=True))


def assert_equal(one: PassageStore, other: PassageStore) -> None:
    """Records, and statistics: those kept of `one`, those of a new fit, and those of `other`."""
    ours, theirs = contents(one), contents(other)
    assert ours.keys() == theirs.keys()
    for id, (text, metadata, vector) in theirs.items():
        assert ours[id][:2] == (text, metadata)
        np.testing.assert_allclose(ours[id][2], vector, atol=1e-5)
    kept, expected = one.bridge.statistics.snapshot(), other.bridge.statistics.snapshot()
    assert_same(kept, from_scratch(one))
    assert {unit: kept.df(unit) for unit in kept.units} == {unit: expected.df(unit) for unit in expected.units}
    assert (kept.n_passages, kept.n_units) == (expected.n_passages, expected.n_units)
    np.testing.assert_allclose(kept.vector_sum, expected.vector_sum, atol=1e-3 * kept.n_passages)
    np.testing.assert_allclose(kept.outer_sum, expected.outer_sum, atol=1e-3 * kept.n_passages)


def actors() -> list[int]:
    """Processes of the workers of this process's cluster."""
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if "MapWorker" in "".join(child.cmdline())]


def test_a_worker_is_killed_in_the_middle(server: ClientAPI, tiny: LexSemBridgeEncoder) -> None:
    distributed, single = (PassageStore(url_of(server), name, tiny) for name in ("on-ray", "alone"))
    single.add(PASSAGES)
    # As an earlier run that was interrupted left it, with other content and metadata for some.
    distributed.add([Passage("old", id="p1"), Passage(PASSAGES[2].text, "p2", "Part 2", {"gone": 1}), *PASSAGES[3:50]])
    seen: list[tuple[int, int]] = []
    connected = ray.is_initialized()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 1:
            os.kill(actors()[0], signal.SIGKILL)

    assert index_with_ray(distributed, PASSAGES, workers=2, progress=progress) == 1100 - 1 - 47
    assert seen[-1] == (1100 - 47, 1100 - 47)
    assert_equal(distributed, single)
    assert ray.is_initialized() == connected  # a cluster of its own is gone
    assert index_with_ray(distributed, PASSAGES) == 0


@pytest.mark.usefixtures("cluster")
def test_what_a_worker_meets_is_raised_as_it_is(
    server: ClientAPI, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = save_tiny(tmp_path / "model", "wordpiece", "cls")
    store = PassageStore(url_of(server), "another-backbone", LexSemBridgeEncoder(backbone, device="cpu"))
    assert store.fingerprint == store.encoder.fingerprint
    shutil.rmtree(backbone)
    save_tiny(backbone, "wordpiece", "mean")  # as on a machine that has another model there
    with pytest.raises(FingerprintMismatchError, match=r"another backbone under the name .*pooling"):
        index_with_ray(store, ["valve"], workers=1)
    assert len(store) == 0
    assert not [record for record in caplog.records if record.name.startswith("ray") and record.levelno > 20]
    with pytest.raises(InvalidInputError, match="room for 1 to 2 workers, not 3"):
        index_with_ray(store, ["valve"], workers=3)


# A process that is killed once Ray has written a batch, before anything is counted.
KILLED = """
import os, signal, sys
from lsb_rag import cli
from lsb_rag.distributed import indexing

indexing._records = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
sys.argv[0] = "lsb-rag"
cli.main()
"""


@pytest.mark.usefixtures("cluster")
def test_the_command_goes_on_where_it_was_killed(
    server: ClientAPI, tiny: LexSemBridgeEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "parts.jsonl"
    rows = [{"_id": one.id, "title": one.title, "text": one.text, "metadata": dict(one.metadata)} for one in PASSAGES]
    corpus.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    one, other = (PassageStore(url_of(server), name, tiny) for name in ("command", "command-alone"))
    one.add([Passage("old", id="p1"), Passage("older", id="p2")])
    command = ["index", str(corpus), "-c", "command", "--db", url_of(server), "--engine", "ray", "--json"]
    killed = [sys.executable, "-c", KILLED, *command, "--address", ray.get_runtime_context().gcs_address]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(killed, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")
    code, out, err = call(capsys, *command)
    assert code == 0, err
    said = json.loads(out)
    assert 0 < said.pop("embedded") < len(PASSAGES)
    assert said == {"collection": "command", "passages": len(PASSAGES), "removed": 0}
    other.add(read_passages(corpus))
    assert_equal(PassageStore(url_of(server), "command", tiny), other)


def test_what_a_worker_hands_back_arrives_whole() -> None:
    row = _row(ids=["a"], digests=[bytes(16)], units=[["b"]], vectors=bytes(4)).to_pylist()[0]
    (record,) = _records(row, 2)
    assert (record.id, record.digest, record.units, record.vector.tolist()) == ("a", bytes(16), ["b"], [0, 0])


def test_a_cluster_that_is_not_there(
    server: ClientAPI, tiny: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    store = PassageStore(url_of(server), "no-cluster", tiny)
    nowhere = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=f"'{nowhere}' cannot be reached"):
        index_with_ray(store, ["valve"], address=nowhere)
    monkeypatch.setenv("RAY_ADDRESS", nowhere)
    with pytest.raises(ClusterError, match=f"'{nowhere}' cannot be reached"):
        index_with_ray(store, ["valve"])
    assert len(store) == 0


def test_a_folder_is_refused_before_anything_is_made(
    tmp_path: Path, tiny: LexSemBridgeEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("valve")
    db = tmp_path / "db"
    code, _, err = call(capsys, "index", str(tmp_path / "a.txt"), "-c", "parts", "--db", str(db), "--engine", "ray")
    assert (code, db.exists()) == (1, False)
    assert "need a Chroma server" in err
    with pytest.raises(InvalidInputError, match="need a Chroma server"):
        index_with_ray(PassageStore.in_memory(tiny), ["valve"])
    code, _, err = call(capsys, "index", str(tmp_path / "a.txt"), "-c", "parts", "--db", str(db), "--workers", "2")
    assert code == 2
    assert "go with --engine ray" in err


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"lsb-rag\[ray\]"):
        check_database("http://localhost:8000")
