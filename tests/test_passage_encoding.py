"""Passages to vectors: the same ones in any order, batch, precision and engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lsb_rag import LexSemBridgeEncoder, openvino_graph, passage_encoding, precision

TEXTS = [f"E-{n}: " + " ".join(f"word{n * k % 91} valve" for k in range(1 + 37 * n % 50)) for n in range(60)]


@pytest.fixture
def made(tiny_backbone: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LexSemBridgeEncoder]:
    """An encoder of one's own, on a processor that multiplies bfloat16, with graphs from the first passage on."""
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(passage_encoding, "GRAPH_FROM", 1)
    return lambda asked, **given: LexSemBridgeEncoder(
        given.pop("backbone", tiny_backbone), device="cpu", precision=asked
    )


def cosines(left: Any, right: Any) -> Any:
    return (left * right).sum(axis=1)


def test_float32_is_the_backbone_bit_for_bit(made: Callable[..., LexSemBridgeEncoder]) -> None:
    encoder = made("float32")
    assert encoder.computation.plain
    np.testing.assert_array_equal(encoder.encode_document(TEXTS), encoder.model.encode_document(TEXTS))


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_the_same_vectors_in_the_same_order(
    made: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch, engine: str, asked: str
) -> None:
    monkeypatch.setattr(precision, "has_openvino", lambda: engine == "openvino")
    encoder, plain = made(asked), made("float32").encode_document(TEXTS)
    vectors = encoder.encode_document(TEXTS, batch_size=7)
    assert encoder.computation == precision.Computation("bfloat16", engine)
    assert (encoder._passages._graph[1] is not None) == (engine == "openvino")
    assert vectors.dtype == np.float32
    assert cosines(vectors, plain).min() > 0.9995
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_document(TEXTS[3]), vectors[3], atol=1e-2)
    assert encoder.encode_document([]).shape == (0, 32)


def test_openvino_in_float32_gives_the_backbones_vectors(
    made: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: False)
    encoder = made("auto")
    assert str(encoder.computation) == "float32 by OpenVINO"
    np.testing.assert_allclose(encoder.encode_document(TEXTS), made("float32").encode_document(TEXTS), atol=1e-5)


def test_a_graph_is_made_when_it_pays_and_again_when_weights_change(
    made: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passage_encoding, "GRAPH_FROM", 50)
    encoder = made("auto")
    encoder.encode_document(TEXTS[:40])
    assert encoder._passages._graph[1] is None
    encoder.encode_document(TEXTS[40:])
    first = encoder._passages._graph[1]
    assert first is not None
    encoder.encode_document(TEXTS)
    assert encoder._passages._graph[1] is first
    with torch.no_grad():
        for parameter in encoder.transformer.parameters():
            parameter.mul_(-0.7)
    changed = encoder.encode_document(TEXTS)
    assert encoder._passages._graph[1] is not first
    assert cosines(changed, encoder.model.encode_document(TEXTS)).min() > 0.999


@pytest.mark.parametrize("fault", ["cannot be converted", "gives something else"])
def test_pytorch_takes_over_from_a_graph_that_fails(
    made: Callable[..., LexSemBridgeEncoder],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    if fault == "cannot be converted":
        monkeypatch.setattr(openvino_graph, "load_openvino", lambda: 1 / 0)
    else:
        real = openvino_graph.TransformerGraph.__call__
        monkeypatch.setattr(openvino_graph.TransformerGraph, "__call__", lambda self, features: -real(self, features))
    encoder = made("auto")
    with caplog.at_level(logging.WARNING, "lsb_rag"):
        vectors = encoder.encode_document(TEXTS)
        encoder.encode_document(TEXTS)
    assert cosines(vectors, made("float32").encode_document(TEXTS)).min() > 0.9995
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "OpenVINO cannot run this backbone, so PyTorch does"
    ]


def test_batches_are_of_like_length(made: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, padding = made("auto"), []
    real = encoder.transformer.preprocess

    def watched(*args: Any, **kwargs: Any) -> Any:
        features = real(*args, **kwargs)
        padding.append(float((features["attention_mask"] == 0).float().mean()))
        return features

    monkeypatch.setattr(encoder.transformer, "preprocess", watched)
    encoder.encode_document(TEXTS * 4, batch_size=8)
    assert sum(padding) / len(padding) < 0.05


def test_a_batch_that_does_not_fit_into_memory_is_halved(
    made: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_openvino", lambda: False)
    encoder, sizes = made("auto"), []
    expected, real = encoder.encode_document(TEXTS), encoder.model.encode_document

    def short_of_memory(texts: list[str], **kwargs: Any) -> Any:
        sizes.append(len(texts))
        if len(texts) > 10:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(texts, **kwargs)

    monkeypatch.setattr(encoder.model, "encode_document", short_of_memory)
    np.testing.assert_allclose(encoder.encode_document(TEXTS, batch_size=40), expected, atol=1e-2)
    assert sizes == [40, 20, 10, 10, 10, 10, 10, 10]
