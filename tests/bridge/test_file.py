from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lsb_rag import PassageStore
from lsb_rag.backbones.base import Fingerprint
from lsb_rag.bridge.file import load_bridge, save_bridge
from lsb_rag.errors import CorruptFileError, LsbRagError, ReadError, StoreError


def test_a_bridge_comes_back_as_it_was(store: PassageStore, tmp_path: Path) -> None:
    path = tmp_path / "manual.safetensors"
    save_bridge(store.bridge, store.encoder.fingerprint.to_json(), path)
    bridge, fingerprint = load_bridge(path)
    assert Fingerprint.from_json(fingerprint) == store.encoder.fingerprint
    assert (bridge.units, bridge.ridge) == ("words", store.bridge.ridge)
    store.encoder.modulation.check(bridge)  # as whoever uses it does; it brings what is known of common words
    weights = {"e-4012": 1.0, "pump": 0.5}
    np.testing.assert_array_equal(bridge.direction(weights), store.bridge.direction(weights))


def test_missing_damaged_and_other_files(store: PassageStore, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"no saved bridge at .*none") as missing:
        load_bridge(tmp_path / "none")
    assert isinstance(missing.value, LsbRagError)
    path = tmp_path / "manual.safetensors"
    save_bridge(store.bridge, store.encoder.fingerprint.to_json(), path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CorruptFileError, match="damaged"):
        load_bridge(path)
    path.write_text("nothing of ours")
    with pytest.raises(CorruptFileError, match="damaged"):
        load_bridge(path)
    store.bridge.statistics.save(path)
    with pytest.raises(CorruptFileError, match="not those of a saved bridge"):
        load_bridge(path)


def test_a_folder_that_cannot_be_written(store: PassageStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file in the way")
    with pytest.raises(StoreError, match="Cannot write"):
        save_bridge(store.bridge, store.encoder.fingerprint.to_json(), tmp_path / "file" / "bridge")
