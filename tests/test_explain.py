from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lsb_rag import Explanation, LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError
from lsb_rag.explain import explain
from lsb_rag.retriever import RERANK_WEIGHT

QUERY = "what does the error E-4012 mean"


def test_the_words_that_moved_the_vector_come_first(store: PassageStore) -> None:
    explained = Retriever(store).explain(QUERY)
    effects = {effect.unit: effect for effect in explained.effects}
    assert explained.effects[0].unit in ("e-4012", "4012")
    assert effects["4012"].degrees > 5 * abs(effects["the"].degrees)
    assert effects["4012"].degrees == pytest.approx(effects["e-4012"].degrees)
    assert explained.passage is explained.score is None
    encoder = store.encoder
    vector, vanilla = encoder.encode_query(QUERY, bridge=store.bridge), encoder.embed_query(QUERY)
    assert explained.cosine_to_vanilla == pytest.approx(float(vector @ vanilla), abs=1e-5)
    assert explained.degrees == pytest.approx(np.degrees(np.arccos(explained.cosine_to_vanilla)), abs=1e-3)


def test_a_passages_score_is_explained(store: PassageStore) -> None:
    retriever = Retriever(store)
    hit = retriever.search(QUERY, 1)[0]
    explained = retriever.explain(QUERY, hit.id)
    assert explained.passage == hit.id
    assert explained.score == pytest.approx(hit.score, abs=1e-5)
    assert explained.vanilla_score == pytest.approx(Retriever(store, vanilla=True).search(QUERY, 1)[0].score, abs=1e-5)
    assert sum(effect.lexical for effect in explained.effects) == pytest.approx(RERANK_WEIGHT * hit.lexical, abs=1e-9)
    assert explained.sentence == hit.sentence != ""
    gained = sum(effect.cosine + effect.lexical for effect in explained.effects)
    assert explained.vanilla_score is not None
    assert explained.score == pytest.approx(explained.vanilla_score + explained.sentence_gain + gained, abs=1e-4)
    by_unit = {effect.unit: effect for effect in explained.effects}
    assert by_unit["e-4012"].cosine > 0
    assert by_unit["e-4012"].lexical > by_unit["the"].lexical
    other = retriever.explain(QUERY, "lunch")
    assert {e.unit: e.cosine for e in other.effects}["e-4012"] < 0


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_the_effects_add_up(store: PassageStore, fusion: str) -> None:
    encoder = LexSemBridgeEncoder(store.encoder.model, fusion=fusion)  # type: ignore[arg-type]
    vector = store.vectors(["valve"])[0]
    explained = explain(encoder, "valve spring E-5100", bridge=store.bridge, passage=("valve", vector))
    assert sum(effect.degrees for effect in explained.effects) == pytest.approx(explained.degrees)
    gained = sum(effect.cosine for effect in explained.effects)
    assert gained == pytest.approx(explained.score - explained.vanilla_score, abs=1e-4)  # type: ignore[operator]
    modulated = encoder.encode_query("valve spring E-5100", bridge=store.bridge)
    assert explained.score == pytest.approx(float(modulated @ vector), abs=1e-5)
    weights = {effect.unit: effect.weight for effect in explained.effects}
    assert weights["spring"] == pytest.approx(store.bridge.information(["spring"])["spring"])


def test_contributions_sum_up_to_the_direction(store: PassageStore) -> None:
    weights = {"valve": 1.0, "spring": 0.5, "zzyzx": 1.0}
    parts = store.bridge.contributions(weights)
    assert set(parts) == {"valve", "spring"}
    np.testing.assert_allclose(sum(parts.values()), store.bridge.direction(weights), atol=1e-12)
    assert store.bridge.contributions({"zzyzx": 1.0}) == {}


def test_a_learned_bridge_is_explained_too(tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, units="wordpieces", fusion="product", device="cpu")
    bridge = LearnedBridge(encoder.modulation.vocabulary_size, 32)
    torch.manual_seed(0)
    torch.nn.init.normal_(bridge.weight)
    encoder.bridge = bridge
    explained = explain(encoder, "pump valve")
    modulated = encoder.encode_query("pump valve") @ encoder.embed_query("pump valve")
    assert explained.cosine_to_vanilla == pytest.approx(float(modulated), abs=1e-5)
    assert {e.unit for e in explained.effects} == {*encoder.unit_weights("pump valve"), "(bias)"}
    assert sum(effect.degrees for effect in explained.effects) == pytest.approx(explained.degrees)


def test_nothing_known_moves_nothing(store: PassageStore) -> None:
    explained = Retriever(store).explain("zzyzx qwfpgj")
    assert explained.cosine_to_vanilla == pytest.approx(1)
    assert all(effect.degrees == pytest.approx(0, abs=1e-5) for effect in explained.effects)
    assert isinstance(explained, Explanation)


def test_a_query_that_nothing_turns_has_effects_of_zero(store: PassageStore, tiny_backbone: Path) -> None:
    explained = explain(store.encoder, "valve", bridge=store.bridge, strength=0)
    assert explained.degrees == 0
    assert [effect.degrees for effect in explained.effects] == [0.0]
    encoder = LexSemBridgeEncoder(tiny_backbone, units="wordpieces", fusion="product", device="cpu")
    encoder.bridge = LearnedBridge(encoder.modulation.vocabulary_size, 32)
    assert {effect.degrees for effect in explain(encoder, "pump inlet").effects} == {0.0}
    with pytest.raises(InvalidInputError, match="strength"):
        explain(store.encoder, "valve", bridge=store.bridge, strength=-3)


def test_what_cannot_be_explained_is_said(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match="nothing to explain"):
        Retriever(store, vanilla=True).explain("x")
    with pytest.raises(InvalidInputError, match="no bridge"):
        explain(encoder, "x")
    with pytest.raises(InvalidInputError, match="no passage 'nope'"):
        Retriever(store).explain("x", "nope")
    with pytest.raises(InvalidInputError, match="blank"):
        Retriever(store).explain("  ")


def test_units_with_signs_and_words_as_typed_are_named(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(encoder)
    store.add(["C has no classes.", "C++ has templates.", "C# runs on a runtime.", "Set MAX_RETRIES to 5."])
    hit = Retriever(store).search("what is C++", 1)[0]
    assert hit.text == "C++ has templates."
    effects = {effect.unit: effect for effect in Retriever(store).explain("what is C++", hit.id).effects}
    assert effects["c++"].degrees > 0
    assert effects["C++"].lexical > effects["c"].lexical  # as it was typed
    named = {effect.unit for effect in Retriever(store).explain("MAX_RETRIES").effects}
    assert {"MAX_RETRIES", "max_retries", "max", "retries"} <= named
