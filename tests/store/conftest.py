"""Fixtures of the store: the user's cache in a folder of the test, a small encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(tiny_backbone: Path) -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(tiny_backbone, device="cpu")
