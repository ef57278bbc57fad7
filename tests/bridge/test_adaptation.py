from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from lsb_rag import CorpusBridge, Embedder, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.bridge.adaptation import Adaptation, KeptAdaptation
from lsb_rag.bridge.file import load_bridge, save_bridge
from lsb_rag.errors import CorruptFileError, StoreError

QUERY = "why did the pump of E-4012 stop"


def adaptation(encoder: LexSemBridgeEncoder, *, strength: float = 0.9, scale: float = 0.05) -> Adaptation:
    u = tuple(np.random.default_rng(3).normal(0, scale, encoder.dimension).tolist())
    return Adaptation(u, 1.0, strength, encoder.fingerprint.weights, {"mrr@10 before": 0.5})


def test_every_word_alike_is_slr_to_the_last_bit(store: PassageStore) -> None:
    store.encoder.require_pipeline("hidden states")  # which the learned weights are for; else the graph embeds
    before = Retriever(store).embed(QUERY)
    store.fitted.kept_adaptation.write(adaptation(store.encoder, strength=store.encoder.strength, scale=0.0))
    assert np.array_equal(Retriever(store).embed(QUERY), before)


def test_all_ways_to_a_query_vector_take_it_and_forget_it(store: PassageStore) -> None:
    retriever, embedder = Retriever(store), Embedder(collection=store)
    before, plain = retriever.embed(QUERY), retriever.embed(QUERY) @ store.encoder.embed_query(QUERY)
    kept = adaptation(store.encoder)
    store.fitted.kept_adaptation.write(kept)
    after = retriever.embed(QUERY)
    assert not np.allclose(after, before)
    assert np.array_equal(embedder.embed_query(QUERY), after)
    elsewhere = PassageStore(store.path, store.name, store.encoder)
    assert np.array_equal(Retriever(elsewhere).embed(QUERY), after)
    # A strength that is asked for comes before the one that was learned; nought is the backbone's vector.
    assert not np.allclose(Retriever(store, strength=0.1).embed(QUERY), after)
    assert np.array_equal(Retriever(store, vanilla=True).embed(QUERY), store.encoder.embed_query(QUERY))
    explained = retriever.explain(QUERY)
    assert explained.cosine_to_vanilla == pytest.approx(float(after @ store.encoder.embed_query(QUERY)), abs=1e-5)
    assert explained.cosine_to_vanilla != pytest.approx(float(plain), abs=1e-3)
    weights = store.encoder.unit_weights(QUERY, bridge=store.bridge)
    assert len({round(weight, 5) for weight in weights.values()}) > 3
    store.fitted.kept_adaptation.write(None)
    assert np.array_equal(retriever.embed(QUERY), before)
    assert np.array_equal(Retriever(elsewhere).embed(QUERY), before)


def test_the_head_is_the_formula(store: PassageStore) -> None:
    """``w_t = max over the pieces of t of ReLU(u . h + b)``, by hand."""
    kept = adaptation(store.encoder)
    store.fitted.kept_adaptation.write(kept)
    weights = store.encoder.unit_weights("E-4012 pump", bridge=store.bridge)
    encoder = store.encoder
    features = encoder.model.preprocess(["E-4012 pump"])
    hidden = encoder.model[0](features)["token_embeddings"][0].detach().numpy()
    tokens = encoder.model.tokenizer.convert_ids_to_tokens(features["input_ids"][0].tolist())
    scores = np.maximum(hidden @ np.array(kept.u) + kept.b, 0)
    assert tokens[1:3] == ["e", "-"]
    assert weights["pump"] == pytest.approx(scores[tokens.index("pump")], rel=1e-4)
    assert weights["e"] == pytest.approx(scores[1], rel=1e-4)
    assert weights["e-4012"] == pytest.approx(scores[1 : tokens.index("pump")].max(), rel=1e-4)


def test_a_strength_alone_leaves_the_words_to_slr(store: PassageStore) -> None:
    long = " ".join(["lunch at noon"] * 120) + " E-4012 pump"  # beyond the backbone's 256 tokens
    alone = Adaptation.of(None, 0.9, store.encoder.fingerprint.weights, {})
    expected = Retriever(store, strength=0.9).embed([QUERY, long])
    store.fitted.kept_adaptation.write(alone)
    assert np.array_equal(Retriever(store).embed([QUERY, long]), expected)
    assert Adaptation.from_dict(alone.as_dict()) == alone


def test_a_search_sees_one_state_while_another_is_kept(store: PassageStore) -> None:
    """Kept between tokenising and modulating, as by another process."""
    before = Retriever(store).embed(QUERY)
    module = store.encoder.modulation
    original = module.forward

    def late(features: object, **options: object) -> object:
        store.fitted.kept_adaptation.write(adaptation(store.encoder))
        assert store.bridge.adaptation is not None
        return original(features, **options)  # type: ignore[arg-type]

    module.forward = late  # type: ignore[method-assign, assignment]
    try:
        assert np.array_equal(Retriever(store).embed(QUERY), before)
    finally:
        module.forward = original  # type: ignore[method-assign]
    assert not np.allclose(Retriever(store).embed(QUERY), before)


def test_another_backbone_or_other_options_leave_it_out(store: PassageStore, tmp_path: Path) -> None:
    store.fitted.kept_adaptation.write(dataclasses.replace(adaptation(store.encoder), fingerprint="another"))
    assert store.bridge.adaptation is None
    store.fitted.kept_adaptation.write(adaptation(store.encoder))
    llr = PassageStore(store.path, store.name, LexSemBridgeEncoder(paradigm="llr", device="cpu"))
    assert llr.bridge.adaptation is None
    signed = PassageStore(store.path, store.name, LexSemBridgeEncoder(fusion="signed_product", device="cpu"))
    assert signed.bridge.adaptation is None


def test_it_goes_along_when_a_bridge_or_an_encoder_is_saved(store: PassageStore, tmp_path: Path) -> None:
    store.fitted.kept_adaptation.write(adaptation(store.encoder))
    after = Retriever(store).embed(QUERY)
    save_bridge(store.bridge, store.encoder.fingerprint.to_json(), tmp_path / "bridge.safetensors")
    bridge, _ = load_bridge(tmp_path / "bridge.safetensors")
    assert bridge.adaptation == store.bridge.adaptation
    own = LexSemBridgeEncoder(bridge=bridge, device="cpu")
    assert np.allclose(own.encode_query(QUERY), after, atol=1e-6)
    own.save(tmp_path / "encoder")
    loaded = LexSemBridgeEncoder.load(tmp_path / "encoder", device="cpu")
    assert np.allclose(loaded.encode_query(QUERY), after, atol=1e-6)
    own.bridge = CorpusBridge(bridge.statistics, units="words")
    assert not own.transformer.with_offsets


def test_a_damaged_file_says_what_to_do(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    file = tmp_path / "kept.json"
    kept = KeptAdaptation(file)
    assert kept.read() is None
    kept.write(adaptation(encoder))
    assert KeptAdaptation(file).read() == kept.read() == adaptation(encoder)
    whole = file.read_text(encoding="utf-8")
    broken = [whole[:100], "[]", "{}", json.dumps({**json.loads(whole), "b": "x"}), whole.replace("adaptation 3", "9")]
    broken += [json.dumps({**json.loads(whole), **wrong}) for wrong in ({"strength": -1}, {"u": [float("nan")]})]
    for text in broken:
        file.write_text(text, encoding="utf-8")
        with pytest.raises(CorruptFileError, match="lsb-rag adapt"):
            KeptAdaptation(file).read()
    blocked = KeptAdaptation(tmp_path / "missing" / "kept.json")
    with pytest.raises(StoreError, match="Cannot write the adaptation"):
        blocked.write(adaptation(encoder))


def test_a_collection_in_memory_keeps_it_in_memory(encoder: LexSemBridgeEncoder) -> None:
    store = PassageStore.in_memory(encoder)
    store.add(["The inlet of the pump is blocked.", "The outlet of the pump is blocked."])
    before = Retriever(store).embed("pump inlet")
    store.fitted.kept_adaptation.write(adaptation(encoder))
    assert not np.allclose(Retriever(store).embed("pump inlet"), before)


def test_one_of_an_earlier_version_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "adapted.json"
    value = Adaptation((0.1, 0.2), 1.0, 1.0, "weights").as_dict()
    path.write_text(json.dumps({**value, "format": "lsb-rag adaptation 1"}))
    kept = KeptAdaptation(path)
    assert kept.read() is None
    assert kept.read() is None
    assert [record.message.count("learns it again") for record in caplog.records] == [1]
    kept.write(Adaptation.from_dict(value))
    assert kept.read() == Adaptation.from_dict(value)
