"""Passages to vectors by PyTorch: the same ones in any order, batch and precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense
from tokenizers import NormalizedString, PreTokenizedString
from tokenizers.pre_tokenizers import PreTokenizer

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones import precision
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import InvalidInputError

TEXTS = [f"E-{n}: " + " ".join(f"word{n * k % 91} valve" for k in range(1 + 37 * n % 50)) for n in range(60)]


@pytest.fixture
def made(tiny_backbone: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LexSemBridgeEncoder]:
    """An encoder around a loaded model of one's own, on a processor that multiplies bfloat16."""
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: True)
    return lambda asked, **given: LexSemBridgeEncoder(
        given.pop("backbone", None) or load_backbone(tiny_backbone, device="cpu"), precision=asked
    )


def cosines(left: Any, right: Any) -> Any:
    return (left * right).sum(axis=1)


def test_float32_is_the_backbone_bit_for_bit(made: Callable[..., LexSemBridgeEncoder]) -> None:
    encoder = made("float32")
    assert encoder.computation.plain
    np.testing.assert_array_equal(encoder.encode_document(TEXTS), encoder.model.encode_document(TEXTS))


@pytest.mark.parametrize("asked", ["auto", "bfloat16"])
def test_the_same_vectors_in_the_same_order(made: Callable[..., LexSemBridgeEncoder], asked: str) -> None:
    encoder, plain = made(asked), made("float32").encode_document(TEXTS)
    vectors = encoder.encode_document(TEXTS, batch_size=7)
    assert encoder.computation == precision.Computation("bfloat16")
    assert vectors.dtype == np.float32
    assert cosines(vectors, plain).min() > 0.9995
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(encoder.encode_document(TEXTS[3]), vectors[3], atol=1e-2)
    assert encoder.encode_document([]).shape == (0, 32)


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


class Letters:
    """Cuts at blanks, in Python, which no file can hold."""

    def blanks(self, _: int, text: NormalizedString) -> list[NormalizedString]:
        return list(text.split(" ", "removed"))

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(self.blanks)


def test_a_tokenizer_with_parts_in_python_and_a_backbone_without_a_length(
    made: Callable[..., LexSemBridgeEncoder],
) -> None:
    encoder, plain = made("auto"), made("float32")
    for one in (encoder, plain):
        one.model.tokenizer.backend_tokenizer.pre_tokenizer = PreTokenizer.custom(Letters())
    assert cosines(encoder.encode_document(TEXTS), plain.encode_document(TEXTS)).min() > 0.999
    endless = made("auto")
    endless.model.max_seq_length = int(1e30)
    assert endless.backbone.passages._lengths(["a " * 5]) == [7]


def test_a_vector_of_zeros_stays_one(made: Callable[..., LexSemBridgeEncoder], tiny_backbone: Any) -> None:
    dense = Dense(32, 16, activation_function=torch.nn.ReLU())
    with torch.no_grad():
        dense.linear.weight.zero_()
        dense.linear.bias.fill_(-1)
    backbone = SentenceTransformer(modules=[*SentenceTransformer(str(tiny_backbone), device="cpu"), dense])
    assert not made("auto", backbone=backbone).encode_document(TEXTS).any()


def test_what_is_beyond_float16_is_computed_in_float32(made: Callable[..., LexSemBridgeEncoder]) -> None:
    encoder, plain = made("float16"), made("float32")
    with torch.no_grad():
        for one in (encoder, plain):
            one.transformer.auto_model.encoder.layer[0].output.dense.weight.mul_(3e6)
    assert cosines(encoder.encode_document(TEXTS), plain.encode_document(TEXTS)).min() > 0.999


def test_a_batch_has_a_text(made: Callable[..., LexSemBridgeEncoder]) -> None:
    for asked in ("auto", "float32"):
        with pytest.raises(InvalidInputError, match="batch_size is at least 1"):
            made(asked).encode_document(TEXTS, batch_size=0)
