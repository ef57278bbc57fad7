"""Single queries: the pipeline's own vectors, the backbone computed once."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, PassageStore
from lsb_rag.backbones import queries as query_encoding

from ..conftest import MANUAL

QUERY = "what does E-5100 mean"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tiny_backbone: Path) -> Any:
    """An encoder with its own bridge, and the texts its backbone is given."""

    def make(**options: Any) -> tuple[LexSemBridgeEncoder, list[str]]:
        encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu", **options)
        store = PassageStore.in_memory(LexSemBridgeEncoder(tiny_backbone, device="cpu", units=options.get("units")))
        store.add(MANUAL)
        encoder.bridge = options.get("bridge") or store.bridge
        seen: list[str] = []
        real = encoder.transformer.preprocess

        def watched(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            seen.extend(inputs)
            return real(inputs, *args, **kwargs)

        monkeypatch.setattr(encoder.transformer, "preprocess", watched)
        return encoder, seen

    return make


@pytest.mark.parametrize(
    "options",
    [{}, {"units": "wordpieces"}, {"paradigm": "llr"}, {"paradigm": "clr"}, {"bridge": LearnedBridge(121, 32)}],
    ids=str,
)
def test_a_query_has_the_vector_of_the_pipeline(asked: Any, options: dict[str, Any], tiny_backbone: Path) -> None:
    if "bridge" in options:
        size = LexSemBridgeEncoder(tiny_backbone, device="cpu").modulation.vocabulary_size
        options = {"bridge": LearnedBridge(size, 32)}
    encoder, _ = asked(**options)
    for strength in (None, 0, 0.4):
        given = {} if strength is None else {"strength": strength}
        theirs = encoder.model.encode_query([QUERY], **given)[0]
        for _ in range(2):
            np.testing.assert_array_equal(encoder.encode_query(QUERY, strength=strength), theirs)


def test_a_module_that_came_since_is_put_in_use(tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    transformer: Any = encoder.transformer
    expected = encoder.embed_query(QUERY)
    transformer.model = copy.deepcopy(transformer.model).train()  # with dropout
    np.testing.assert_array_equal(encoder.embed_query(QUERY + " "), expected)


def test_the_backbone_is_computed_once_and_the_bridge_every_time(asked: Any) -> None:
    encoder, seen = asked()
    first = encoder.encode_query(QUERY)
    np.testing.assert_array_equal(encoder.encode_query(QUERY), first)
    plain = encoder.embed_query(QUERY)
    encoder.bridge = None
    np.testing.assert_array_equal(encoder.encode_query(QUERY), plain)
    assert not np.array_equal(first, plain)
    assert seen == [QUERY]
    encoder.forget()
    encoder.encode_query(QUERY)
    assert seen == [QUERY] * 2


def test_changed_weights_and_long_queries_are_computed_again(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_encoding, "LARGEST_KEPT", 4096)
    encoder, seen = asked(units="wordpieces")
    before = encoder.encode_query(QUERY)
    with torch.no_grad():
        next(encoder.transformer.parameters()).mul_(-1.3)
    assert not np.array_equal(encoder.encode_query(QUERY), before)
    long = "valve " * 400
    for _ in range(2):
        encoder.encode_query(long)
    assert seen == [QUERY, QUERY, long, long]


def test_what_a_caller_does_to_a_vector_does_not_come_back(asked: Any) -> None:
    encoder, _ = asked()
    vector = encoder.embed_query(QUERY)
    kept = vector.copy()
    vector *= 0
    np.testing.assert_array_equal(encoder.embed_query(QUERY), kept)


def test_the_oldest_query_is_let_go(asked: Any) -> None:
    encoder, seen = asked()
    queries = [f"{QUERY} {n}" for n in range(query_encoding.QUERIES_KEPT + 1)]
    for query in [*queries, queries[-1], queries[0]]:
        encoder.encode_query(query)
    assert seen == [*queries, queries[0]]


def test_what_else_shapes_a_query_is_seen(asked: Any) -> None:
    encoder, _ = asked()
    linear = encoder.transformer.auto_model.encoder.layer[0].output.dense

    def anew() -> Any:
        return encoder.model.encode_query([QUERY], strength=0)[0]

    for _ in range(20):  # identities of what was replaced are given to others
        linear.weight = torch.nn.Parameter(torch.randn_like(linear.weight))
        np.testing.assert_array_equal(encoder.embed_query(QUERY), anew())
    encoder.model.prompts["query"] = "pump: "
    np.testing.assert_array_equal(encoder.embed_query(QUERY), anew())
    encoder.model.max_seq_length = 4
    np.testing.assert_array_equal(encoder.embed_query(QUERY), anew())
    with torch.autocast("cpu", torch.bfloat16):
        reduced = encoder.embed_query(QUERY)
    assert not np.array_equal(reduced, anew())
    np.testing.assert_array_equal(encoder.embed_query(QUERY), anew())
    linear.weight.data.mul_(-1)
    encoder.forget()
    np.testing.assert_array_equal(encoder.embed_query(QUERY), anew())
