"""What is exported, and why the rest is left to PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    Transformer,
    WeightedLayerPooling,
)

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones import export as exporting
from lsb_rag.backbones.graph import GraphBackbone
from lsb_rag.backbones.graph_cache import GraphCache
from lsb_rag.backbones.sentence_transformer import SentenceTransformerBackbone
from lsb_rag.cli.info import about

from ..tiny import QUERIES, WIDTH

Save = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_RAG_GRAPHS", str(tmp_path / "graphs"))


@pytest.fixture
def save(tiny_backbone: Path, tmp_path: Path) -> Save:
    """Saves a model of other modules around the tiny Transformer."""

    def made(*modules: Any, prompts: dict[str, str] | None = None, **attributes: Any) -> Path:
        transformer: Any = Transformer(str(tiny_backbone))
        for name, value in attributes.items():
            setattr(transformer, name, value)
        model = SentenceTransformer(modules=[transformer, *modules], prompts=prompts, device="cpu")
        model.save_pretrained(str(tmp_path / "model"))
        return tmp_path / "model"

    return made


def reason() -> str:
    return next(refused for _, refused in GraphCache().known())


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens", "weightedmean"])
def test_every_pooling(save: Save, pooling: str) -> None:
    encoder = LexSemBridgeEncoder(save(Pooling(WIDTH, pooling)), device="cpu")
    assert isinstance(encoder.backbone, GraphBackbone)
    assert encoder.fingerprint.pooling == pooling


def test_a_dense_layer_a_normalisation_and_prompts(save: Save) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    folder = save(Pooling(WIDTH, "mean"), Dense(WIDTH, 16), Normalize(), prompts=prompts)
    ours = LexSemBridgeEncoder(folder, device="cpu")
    assert isinstance(ours.backbone, GraphBackbone)
    assert (ours.dimension, ours.fingerprint.prompt) == (16, "passage: ")
    theirs = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(ours.embed_query(QUERIES), theirs.encode_query(QUERIES), atol=1e-5)
    np.testing.assert_allclose(ours.encode_document(QUERIES), theirs.encode_document(QUERIES), atol=1e-5)


def test_the_longest_input_is_the_models_own(save: Save) -> None:
    folder = save(Pooling(WIDTH, "mean"), max_seq_length=8)
    encoder = LexSemBridgeEncoder(folder, device="cpu")
    assert isinstance(encoder.backbone, GraphBackbone)
    assert encoder.max_length == 8
    words = ["pump", "valve", "spring", "lunch", "sensor", "filter", "drain", "inlet", "outlet"]
    cut, longer = " ".join(words), " ".join([*words, "frozen"])
    np.testing.assert_array_equal(encoder.encode_document(cut), encoder.encode_document(longer))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda save: save(WeightedLayerPooling(WIDTH, num_hidden_layers=2, layer_start=1), Pooling(WIDTH)),
            "it has a module WeightedLayerPooling",
        ),
        (
            lambda save: save(Pooling(WIDTH, "mean", include_prompt=False), prompts={"query": "query: "}),
            "it leaves its prompts out of the pooling",
        ),
        (lambda save: save(Pooling(WIDTH), query_length=4), "its graph gives other vectors"),
    ],
    ids=["module", "prompt", "query length"],
)
def test_what_pytorch_keeps(
    save: Save, make: Callable[[Save], Path], expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = make(save)
    encoder = LexSemBridgeEncoder(folder, device="cpu")
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)
    theirs = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(
        encoder.embed_query(QUERIES), theirs.encode_query(QUERIES, normalize_embeddings=True), atol=1e-5
    )
    assert reason().startswith(expected)
    assert f"{folder}: PyTorch computes it: {expected}" in "\n".join(about(tmp_path / "db").lines())
    assert not list(GraphCache().folder.glob("*/model.onnx"))

    tried: list[str] = []
    real = exporting.export
    monkeypatch.setattr(exporting, "export", lambda *given: tried.append("again") or real(*given))
    LexSemBridgeEncoder(folder, device="cpu")
    assert tried == []  # it is known
    monkeypatch.setattr(exporting, "versions", lambda: {"torch": "another"})
    LexSemBridgeEncoder(folder, device="cpu")
    assert tried == ["again"]


def test_a_long_input_would_take_too_much_memory(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LONGEST", 63)
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    assert (encoder.max_length, type(encoder.backbone)) == (64, SentenceTransformerBackbone)
    assert reason() == "it takes more than 63 tokens, which would take too much memory"


@pytest.mark.parametrize("fault", ["fails", "gives other vectors"])
def test_an_exporter_that_fails(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, fault: str, tmp_path: Path
) -> None:
    real: Any = torch.onnx.export

    def broken(module: Any, *args: Any, **kwargs: Any) -> None:
        if fault == "fails":
            raise RuntimeError("Exporting the operator 'aten::unheard_of' is not supported.\nMore.")
        weights = list(module.parameters())
        weights[0].mul_(1.01)
        real(module, *args, **kwargs)
        weights[0].div_(1.01)

    monkeypatch.setattr(torch.onnx, "export", broken)
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)
    expected = {
        "fails": "the export failed: Exporting the operator 'aten::unheard_of' is not supported.",
        "gives other vectors": "its graph gives other vectors (cosine 0.9",
    }
    assert reason().startswith(expected[fault])


def test_weights_in_half_precision_stay_as_they_are(save: Save) -> None:
    folder = save(Pooling(WIDTH))
    model = SentenceTransformer(str(folder), device="cpu").half()
    model.save_pretrained(str(folder))
    encoder = LexSemBridgeEncoder(folder, device="cpu")
    if isinstance(encoder.backbone, SentenceTransformerBackbone):
        assert reason() == "its weights are float16"
    else:  # sentence-transformers has loaded them in float32
        assert encoder.fingerprint.precision == "float32"
