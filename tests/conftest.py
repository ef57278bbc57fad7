"""Shared fixtures: the real embedded backbone, a tiny one made on the spot, and a small corpus of error codes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported, and for what the tests start
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# So that results are the same on every processor; tests/backbones has the rest.
os.environ["LSB_RAG_PRECISION"] = "float32"
# Exported once per checkout, whatever cache a test chooses.
os.environ["LSB_RAG_GRAPHS"] = str(Path(__file__).parents[1] / ".pytest_cache" / "graphs")

from chromadb.api import ClientAPI

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore

from .chroma_server import chroma_server
from .tiny import KINDS, save_tiny

MANUAL = [
    Passage("The pump stopped because the inlet is blocked. Clean the filter.", id="pump", title="E-4012"),
    Passage("The pump stopped because the outlet is blocked. Open the drain.", id="drain", title="E-4013"),
    Passage("The valve stays open when its spring is worn. Replace part ZX81.", id="valve", title="E-5100"),
    Passage("The valve stays closed when it is frozen. Warm it with the flag --defrost.", id="frozen", title="E-5101"),
    Passage("The sensor TMP_117 reads too hot. Calibrate it with calib.offset.", id="sensor"),
    Passage("Our office is closed on public holidays.", id="office", metadata={"kind": "notice", "year": 2024}),
    Passage("Lunch is served in the canteen from noon.", id="lunch", metadata={"kind": "notice", "year": 2025}),
]


@pytest.fixture(scope="session")
def encoder() -> LexSemBridgeEncoder:
    """The embedded all-MiniLM-L6-v2."""
    return LexSemBridgeEncoder(device="cpu")


@pytest.fixture
def store(tmp_path: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    """A store that holds the manual."""
    made = PassageStore(tmp_path / "db", "manual", encoder)
    made.add(MANUAL)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientAPI]:
    """A Chroma server on loopback."""
    with chroma_server(tmp_path_factory.mktemp("server")) as (client, _):
        yield client


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 32 with a WordPiece tokenizer and CLS pooling, saved in the layout of a hub model."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "wordpiece", "cls")


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny backbone of each kind of tokenizer, with and without an MLM head."""
    folder = tmp_path_factory.mktemp("backbones")
    plain = {kind: save_tiny(folder / kind, kind, pooling) for kind, pooling in KINDS}
    masked = {
        f"{kind}+mlm": save_tiny(folder / f"{kind}-mlm", kind, pooling, with_mlm_head=True) for kind, pooling in KINDS
    }
    return {**plain, **masked}
