"""What ``benchmarks/soak.py`` does for minutes, for seconds: at the end everything agrees with a model in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import soak
from lsb_rag import LexSemBridgeEncoder

WORDS = [
    "pump",
    "valve",
    "inlet",
    "E-4012",
    "E-4013",
    "spring",
    "part",
    "ZX81",
    "sensor",
    "TMP_117",
    "belt",
    "flag",
    "drain",
]
TEXTS = [
    f"{one} {other} {WORDS[(row * column) % 13]}" for row, one in enumerate(WORDS) for column, other in enumerate(WORDS)
]


def test_a_server_that_is_killed_while_it_is_written_to_and_searched(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    calls = soak(tmp_path / "db", encoder, TEXTS, seconds=8, restarts=2)
    assert calls["search"] > 0
    assert calls["add"] > 0
