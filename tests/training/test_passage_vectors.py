from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.training import passage_vectors as module
from lsb_rag.training.passage_vectors import passage_vectors

from ..conftest import MANUAL

TEXTS = [passage.content for passage in MANUAL]


def test_batches_give_the_vectors_of_the_whole(encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[int, int]] = []
    monkeypatch.setattr(module, "BATCH", 3)
    vectors = passage_vectors(encoder, TEXTS, lambda *step: steps.append(step))
    assert np.allclose(vectors, encoder.encode_document(TEXTS), atol=1e-6)
    assert steps == [(3, 7), (6, 7), (7, 7)]
    assert passage_vectors(encoder, []).shape == (0, encoder.dimension)
