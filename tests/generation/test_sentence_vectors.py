from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsb_rag.generation import sentence_vectors
from lsb_rag.generation.sentence_vectors import SentenceVectors


class Encoder:
    background = None
    spread = 1.0

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def encode_document(self, texts: list[str], /) -> Any:
        self.embedded.extend(texts)
        return np.array([[len(text), 0] for text in texts], np.float32)

    def embed_query(self, texts: str, /) -> Any:
        return np.array([0.6, 0.8], np.float32)


def test_no_sentence_is_embedded_twice() -> None:
    encoder = Encoder()
    vectors = SentenceVectors(encoder)
    np.testing.assert_allclose(vectors.cosines("q", ["a", "bb", "a"]), 0.6, atol=1e-3)
    np.testing.assert_allclose(vectors.cosines("q", ["bb", "ccc"]), 0.6, atol=1e-3)
    assert encoder.embedded == ["a", "bb", "ccc"]
    assert vectors.cosines("q", []).shape == (0,)


def test_those_unused_for_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_vectors, "KEPT_BYTES", 8)  # two vectors of two float16
    encoder = Encoder()
    vectors = SentenceVectors(encoder)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        vectors.cosines("q", [text])
    assert encoder.embedded == ["a", "bb", "ccc", "bb"]
