from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag.errors import StoreError
from lsb_rag.evaluation.json_cache import JsonCache, digest


def test_the_cache_keeps_whole_results_alone(tmp_path: Path) -> None:
    cache = JsonCache(tmp_path / "cache")
    name = digest({"b": 1, "a": "ä\ud800"})
    assert name == digest({"a": "ä\ud800", "b": 1})
    assert cache.get(name) is None
    cache.put(name, {"text": "ä\ud800"})
    assert cache.get(name) == {"text": "ä\ud800"}
    (path,) = (tmp_path / "cache").rglob("*.json")
    path.write_text(path.read_text()[:-3])
    assert cache.get(name) is None
    path.write_text("[]")
    assert cache.get(name) is None
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="nothing that was kept is asked again"):
        JsonCache(tmp_path / "file").put(name, 1)
