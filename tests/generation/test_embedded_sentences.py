from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsb_rag import Hit
from lsb_rag.generation import embedded_sentences
from lsb_rag.generation.embedded_sentences import EmbeddedSentences
from lsb_rag.sentences.table import SentenceFile, SentenceTable

HIT = Hit("h", 0.9, "The pump stopped. The inlet is blocked.")


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
    vectors = EmbeddedSentences(encoder)
    np.testing.assert_allclose(vectors.cosines("q", [(HIT, text) for text in ("a", "bb", "a")]), 0.6, atol=1e-3)
    np.testing.assert_allclose(vectors.cosines("q", [(HIT, text) for text in ("bb", "ccc")]), 0.6, atol=1e-3)
    assert encoder.embedded == ["a", "bb", "ccc"]
    assert vectors.cosines("q", []).shape == (0,)


def test_what_a_collection_keeps_is_not_embedded() -> None:
    encoder = Encoder()
    table = SentenceTable(SentenceFile(None, 2, {}), encoder.encode_document)
    table.add([HIT])
    encoder.embedded.clear()
    vectors = EmbeddedSentences(encoder, table)
    found = vectors.cosines("q", [(HIT, "The inlet is blocked."), (HIT, "not a sentence of it")])
    np.testing.assert_allclose(found, 0.6, atol=1e-2)
    assert encoder.embedded == ["not a sentence of it"]


def test_those_unused_for_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_sentences, "KEPT_BYTES", 8)  # two vectors of two float16
    encoder = Encoder()
    vectors = EmbeddedSentences(encoder)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        vectors.cosines("q", [(HIT, text)])
    assert encoder.embedded == ["a", "bb", "ccc", "bb"]
