"""Indexing on Ray: two workers on loopback and a real Chroma server come to what one process comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.distributed import _room, check_database, index_with_ray
from lsb_rag.errors import ClusterError, FingerprintMismatchError, InvalidInputError, MissingExtraError, StoreError

from .chroma_server import chroma_server, free_port, url_of
from .test_corpus_statistics import assert_same
from .test_fitting import from_scratch
from .tiny import save_tiny

ray = pytest.importorskip("ray")

WORDS = "valve pump inlet outlet spring filter canteen lunch sensor flag E-4012 ZX81 calib.offset exist_ok".split()
PASSAGES = [
    Passage(
        " ".join(WORDS[(n * 7 + i * i) % len(WORDS)] for i in range(3 + n % 9)),
        id=f"p{n}",
        title=f"Part {n}" if n % 3 else "",
        metadata={"n": n, "half": n / 2, "even": n % 2 == 0, "tags": ["ä", "b"]} if n % 5 else {},
    )
    for n in range(1100)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientAPI]:
    with chroma_server(tmp_path_factory.mktemp("server")) as (client, _):
        yield client


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two CPUs on loopback, whatever the machine has."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
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


@pytest.mark.usefixtures("cluster")
def test_a_worker_is_killed_in_the_middle(server: ClientAPI, tiny: LexSemBridgeEncoder) -> None:
    distributed, single = (PassageStore(url_of(server), name, tiny) for name in ("on-ray", "alone"))
    single.add(PASSAGES)
    # As an earlier run that was interrupted left it, with other content and metadata for some.
    distributed.add([Passage("old", id="p1"), Passage(PASSAGES[2].text, "p2", "Part 2", {"gone": 1}), *PASSAGES[3:50]])
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 1:
            os.kill(actors()[0], signal.SIGKILL)

    assert index_with_ray(distributed, PASSAGES, workers=2, progress=progress) == 1100 - 1 - 47
    assert seen[-1] == (1100 - 47, 1100 - 47)
    assert_equal(distributed, single)
    assert ray.is_initialized()  # it was there before
    assert index_with_ray(distributed, PASSAGES) == 0
