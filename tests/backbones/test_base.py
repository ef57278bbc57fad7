from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.base import Backbone, Fingerprint
from lsb_rag.backbones.sentence_transformer import SentenceTransformerBackbone
from lsb_rag.errors import CorruptFileError

MINE = Fingerprint("model", "0" * 64, 384, "mean", 256, "float32", prompt="passage: ")


def test_a_fingerprint_comes_back_from_json() -> None:
    assert Fingerprint.from_json(MINE.to_json()) == MINE
    older = {key: value for key, value in json.loads(MINE.to_json()).items() if key not in ("normalised", "prompt")}
    assert Fingerprint.from_json(json.dumps(older)) == replace(MINE, prompt=None)


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"backbone": "model"}', '{"colour": "red"}'])
def test_anything_else_is_no_fingerprint(text: str) -> None:
    with pytest.raises(CorruptFileError, match="no fingerprint of a backbone"):
        Fingerprint.from_json(text)


def test_differences_name_the_fields_that_both_know() -> None:
    assert MINE.differences(MINE) == []
    assert MINE.differences(replace(MINE, backbone="elsewhere")) == []  # the name is for people
    assert MINE.differences(replace(MINE, prompt=None)) == []  # which was not recorded
    assert MINE.differences(replace(MINE, prompt="")) == ["prompt: passage:  against "]
    theirs = replace(MINE, weights="1" * 64, pooling="cls")
    assert MINE.differences(theirs) == [f"weights: {'0' * 16} against {'1' * 16}", "pooling: mean against cls"]


def test_a_sentence_transformers_backbone_is_a_backbone(encoder: LexSemBridgeEncoder) -> None:
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)
    assert isinstance(encoder.backbone, Backbone)
    assert not isinstance(encoder.model, Backbone)
