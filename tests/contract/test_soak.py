"""``benchmarks.server.soak`` for seconds instead of minutes: at the end everything agrees with a model in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.server.soak import soak
from lsb_rag import LexSemBridgeEncoder

TEXTS = [f"part P-{number} of the pump, error E-{number % 13}" for number in range(200)]


def test_a_server_that_is_killed_while_it_is_written_to_and_searched(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    calls = soak(tmp_path / "db", encoder, TEXTS, seconds=10, restarts=2)
    assert calls["search"] > 0
    assert calls["add"] > 0
