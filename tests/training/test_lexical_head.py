from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.bridge.adaptation import Adaptation
from lsb_rag.bridge.corpus import CorpusBridge
from lsb_rag.errors import InvalidInputError, TrainingError
from lsb_rag.training.lexical_head import PreparedQueries, learn_head, prepare

QUERIES = ["why did the pump stop E-4012", "TMP_117 too hot", "lunch at noon", "the frozen valve of E-5101"]
ANSWERS = [0, 4, 6, 3]


@pytest.fixture
def vectors(store: PassageStore) -> np.ndarray:  # type: ignore[type-arg]
    return store.vectors(sorted(store.ids()))


def prepared(store: PassageStore, vectors: np.ndarray, queries: Sequence[str] = QUERIES) -> PreparedQueries:  # type: ignore[type-arg]
    return prepare(store.encoder, store.bridge, queries, ANSWERS[: len(queries)], vectors)


def test_prepared_queries_give_the_vectors_that_are_searched_with(store: PassageStore, vectors: np.ndarray) -> None:  # type: ignore[type-arg]
    ready = prepared(store, vectors)
    assert np.allclose(ready.vectors(None, 0.8), store.encoder.encode_query(QUERIES, bridge=store.bridge), atol=1e-5)
    assert np.allclose(ready.vectors(None, 0.0), store.encoder.embed_query(QUERIES), atol=1e-5)
    rows = torch.tensor([2, 0])
    assert torch.allclose(ready.vectors(None, 0.8, rows), ready.vectors(None, 0.8)[rows], atol=1e-6)
    head = learn_head([ready], strength=0.8, steps=1)
    torch.nn.init.normal_(head.linear.weight, std=3.0, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(ready.vectors(head, 0.8), ready.vectors(None, 0.8), atol=1e-3)
    adapted = Adaptation.of(head, 0.8, store.encoder.fingerprint.weights, {})
    bridge = CorpusBridge(store.bridge.statistics, units="words", adaptation=adapted)
    served = store.encoder.encode_query(QUERIES, bridge=bridge)
    assert np.allclose(ready.vectors(head, 0.8), served, atol=2e-3)  # hidden states are kept in half precision
    assert torch.allclose(ready.vectors(head, 0.8, rows), ready.vectors(head, 0.8)[rows], atol=1e-6)
    assert store.encoder.transformer.with_offsets is False


def test_a_head_learns_which_words_tell(store: PassageStore, vectors: np.ndarray) -> None:  # type: ignore[type-arg]
    """Of every two words one leads astray; what the head learned lowers the loss."""
    ready = prepared(store, vectors)

    def loss(head: object) -> float:
        logits = ready.vectors(head, 0.8) @ ready.passages.T / 0.02  # type: ignore[arg-type]
        return float(torch.nn.functional.cross_entropy(logits, ready.answers))

    seen: list[tuple[int, int]] = []
    head = learn_head([ready], strength=0.8, steps=100, progress=lambda done, total: seen.append((done, total)))
    assert loss(head) < loss(None)
    assert seen[-1] == (100, 100)
    again = learn_head([ready], strength=0.8, steps=100)
    assert torch.equal(head.linear.weight, again.linear.weight)
    assert not head.linear.weight.requires_grad


def test_ranks_begin_at_one_and_ties_count_against(store: PassageStore, vectors: np.ndarray) -> None:  # type: ignore[type-arg]
    ready = prepared(store, np.concatenate([vectors, vectors[:1]]))
    assert ready.ranks(None, 0.8)[0] >= 2  # its passage is there twice
    assert set(prepared(store, vectors).ranks(None, 0.8)) <= set(range(1, 8))


def test_what_cannot_be_learned_from(store: PassageStore, vectors: np.ndarray, encoder: LexSemBridgeEncoder) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidInputError, match="no queries"):
        prepared(store, vectors, [])
    with pytest.raises(InvalidInputError, match="No passage contains"):
        prepare(encoder, store.bridge, ["zzz qqq"], [0], vectors)
    pieces = LexSemBridgeEncoder(units="wordpieces", device="cpu")
    with pytest.raises(InvalidInputError, match="units='words'"):
        prepare(pieces, store.bridge, QUERIES, ANSWERS, vectors)
    ready = prepared(store, vectors)
    ready.queries[:] = float("nan")
    with pytest.raises(TrainingError, match="no longer a finite"):
        learn_head([ready], strength=0.8, steps=3)
