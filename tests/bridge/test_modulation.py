from __future__ import annotations

import numpy as np
import pytest
import torch

from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder
from lsb_rag.bridge.base import Fusion
from lsb_rag.bridge.fusion import fuse
from lsb_rag.bridge.modulation import CorpusModulation, modulated
from lsb_rag.errors import InvalidInputError
from lsb_rag.lexical.unread import UnreadShare

from ..conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]
QUERIES = ["what does E-4012 mean", "ZX81", "closed on holidays", "zzzz", "✂ ✂ 泵"]


def fitted(encoder: LexSemBridgeEncoder) -> CorpusBridge:
    statistics = CorpusStatistics(encoder.dimension)
    statistics.add([encoder.analyze(text) for text in TEXTS], encoder.encode_document(TEXTS))
    return CorpusBridge(statistics, units="words", background=encoder.background)


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_as_in_torch(fusion: Fusion) -> None:
    rng = np.random.default_rng(0)
    e = rng.normal(size=(5, 48))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    c = rng.normal(size=(5, 48)) / 20
    c[3] = 0
    ours = modulated(e, c, fusion, 0.8)
    np.testing.assert_allclose(ours, fuse(torch.from_numpy(e), torch.from_numpy(c), fusion, 0.8), atol=1e-12)
    assert (ours[3] == e[3]).all()


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_the_same_vectors_as_the_pipeline(encoder: LexSemBridgeEncoder, fusion: Fusion) -> None:
    bridge = fitted(encoder)
    pipeline = LexSemBridgeEncoder(encoder.model, fusion=fusion)
    tokenizer = encoder.tokenizer
    alone = CorpusModulation(fusion, None, tokenizer, UnreadShare(tokenizer, "[UNK]"))
    vectors = alone(encoder.embed_query(QUERIES), QUERIES, bridge, None)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, pipeline.encode_query(QUERIES, bridge=bridge), atol=2e-7)


def test_what_does_not_go_together(encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match="strength must be"):
        CorpusModulation("residual", -1.0, None, UnreadShare())
    alone = CorpusModulation("residual", None, None, UnreadShare())
    with pytest.raises(InvalidInputError, match="fitted on wordpieces"):
        alone.set_bridge(CorpusBridge(CorpusStatistics(4), units="wordpieces"))
    with pytest.raises(InvalidInputError, match="384 dimensions, the backbone has 8"):
        alone(np.ones((1, 8), np.float32), ["E-4012"], fitted(encoder), None)
    same = np.ones((1, 384), np.float32)
    assert alone(same, ["E-4012"], None, None) is same
    assert alone(same, ["E-4012"], fitted(encoder), 0.0) is same
