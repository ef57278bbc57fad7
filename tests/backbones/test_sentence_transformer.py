from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import BackboneError


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
