from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones.base import Backbone, Fingerprint, packed, unpacked
from lsb_rag.backbones.sentence_transformer import SentenceTransformerBackbone
from lsb_rag.backbones.spread import UNRELATED, spread_of
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
    for backbone in (SentenceTransformerBackbone(encoder.model, "a model", "auto"), encoder.backbone):
        assert isinstance(backbone, Backbone)
    assert not isinstance(encoder.model, Backbone)


def test_the_vectors_of_a_fingerprint_come_back() -> None:
    probes = np.random.default_rng(0).normal(size=(2, 3072)).astype(np.float32)
    unit = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    for length in (1e-8, 1.0, 1e8):
        np.testing.assert_allclose(unpacked(packed(np.float32(length) * probes), 3072), unit, rtol=1e-3, atol=1e-6)
    for damaged in ("", "ä", packed(probes)[:-8]):
        with pytest.raises(CorruptFileError, match="damaged"):
            unpacked(damaged, 3072)
    assert "probes" not in replace(MINE, probes=packed(probes)).as_dict()


def test_spread_of_vectors_over_the_space_and_in_a_cone(encoder: LexSemBridgeEncoder) -> None:
    apart = np.random.default_rng(0).normal(size=(9, 1000)).astype(np.float32)
    assert spread_of(apart) == 1.0
    cone = apart / np.linalg.norm(apart, axis=1, keepdims=True) + 2 * np.eye(1000)[0]  # a cosine of .8 to each other
    assert spread_of(cone.astype(np.float32)) == pytest.approx((0.2 / 0.9) ** 0.5, abs=0.02)
    assert spread_of(np.ones((3, 4), np.float32)) == 0.0
    assert spread_of(encoder.encode_document(list(UNRELATED))) == 1.0 == encoder.spread
