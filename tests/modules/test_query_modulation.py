from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense

from lsb_rag import CorpusBridge, CorpusStatistics, LearnedBridge, LexSemBridgeEncoder, PassageStore
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import InvalidInputError

from ..tiny import QUERIES, WIDTH, with_bridge


def test_a_word_has_the_highest_weight_of_its_pieces(backbones: dict[str, Path]) -> None:
    words = LexSemBridgeEncoder(backbones["wordpiece"], paradigm="llr", device="cpu")
    torch.manual_seed(4)
    torch.nn.init.normal_(words.modulation.weighting.linear.weight)  # type: ignore[union-attr]
    text = "valve E-4012, unaffable"
    features = words.model.preprocess([text], task="query")
    hidden = words.model(dict(features), task="query", strength=0)["token_embeddings"]
    scores = words.modulation.weighting.piece_scores(hidden)[0]  # type: ignore[union-attr]
    offsets = features["offset_mapping"][0].tolist()
    weights = words.unit_weights(text)
    for word, start in {"valve": 0, "e-4012": 6, "e": 6, "4012": 8, "unaffable": 14}.items():
        inside = [i for i, (a, b) in enumerate(offsets) if a < start + len(word) and b > start and b > a]
        assert weights[word] == pytest.approx(float(scores[inside].max().detach()))


def test_a_prompt_is_encoded_but_its_words_do_not_count(backbones: dict[str, Path]) -> None:
    for options in ({"paradigm": "slr"}, {"paradigm": "llr"}, {"paradigm": "llr", "units": "wordpieces"}):
        encoder = LexSemBridgeEncoder(backbones["wordpiece"], device="cpu", **options)  # type: ignore[arg-type]
        without = set(encoder.unit_weights("valve"))
        encoder.model.prompts["query"] = "error pump: "
        assert set(encoder.unit_weights("valve")) == without
        plain = load_backbone(backbones["wordpiece"], device="cpu")
        prompted = plain.encode("error pump: valve", normalize_embeddings=True)
        np.testing.assert_allclose(encoder.encode_query("valve"), prompted, atol=1e-6)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("paradigm", ["slr", "llr", "clr"])
def test_a_backbone_in_half_precision(backbones: dict[str, Path], paradigm: Any, half: torch.dtype) -> None:
    for name in ("wordpiece", "wordpiece+mlm"):
        exact, rough = (
            with_bridge(LexSemBridgeEncoder(model, paradigm=paradigm, units="wordpieces", fusion="product"), "learned")
            for model in (
                load_backbone(backbones[name], device="cpu"),
                load_backbone(backbones[name], device="cpu").to(half),
            )
        )
        cosines = (exact.encode_query(QUERIES) * rough.encode_query(QUERIES)).sum(axis=1)
        assert cosines.min() > 0.98
        corpus = with_bridge(LexSemBridgeEncoder(rough.model, paradigm=paradigm), "corpus")
        assert np.isfinite(corpus.encode_query(QUERIES)).all()


def test_a_bridge_can_be_trained_from_zero(backbones: dict[str, Path]) -> None:
    options: dict[str, Any] = {"units": "wordpieces", "fusion": "product", "device": "cpu"}
    encoder = LexSemBridgeEncoder(backbones["wordpiece"], **options)
    encoder.bridge = bridge = LearnedBridge(encoder.modulation.vocabulary_size, WIDTH)
    features = encoder.model.preprocess(QUERIES, task="query")
    vectors = encoder.model(features)["sentence_embedding"]  # as a loss calls it, without a task
    (vectors @ torch.randn(WIDTH)).sum().backward()
    assert bridge.weight.grad is not None
    assert bridge.weight.grad.abs().sum() > 0
    assert torch.equal(encoder.model(features)["sentence_embedding"], vectors)  # the features are left as they were
    with torch.inference_mode():
        np.testing.assert_allclose(encoder.encode_query(QUERIES), encoder.embed_query(QUERIES), atol=1e-6)
    short = encoder.model.preprocess(QUERIES, task="query", processing_kwargs={"text": {"max_length": 4}})
    assert short["input_ids"].shape[1] == 4


def test_a_bridge_of_other_units_is_refused(store: PassageStore) -> None:
    assert store.bridge.units == "words"
    with pytest.raises(InvalidInputError, match="fitted on words"):
        LexSemBridgeEncoder(store.encoder.model, units="wordpieces", bridge=store.bridge)
    assert LexSemBridgeEncoder(store.encoder.model, bridge=store.bridge).units == "words"


def test_the_unknown_token_is_no_unit(backbones: dict[str, Path]) -> None:
    encoder = LexSemBridgeEncoder(backbones["wordpiece"], units="wordpieces", device="cpu")
    assert encoder.analyze("pump \u4e00") == ["pump"]
    untrained = LexSemBridgeEncoder(backbones["wordpiece"], paradigm="llr", device="cpu")
    assert untrained.unit_weights("pump \u4e00") == {"pump": 1.0, "\u4e00": 1.0}  # as SLR, for unknown words too


def test_special_tokens_in_a_query_do_not_count(backbones: dict[str, Path]) -> None:
    encoder = LexSemBridgeEncoder(backbones["wordpiece"], units="wordpieces", device="cpu")
    assert set(encoder.unit_weights("[CLS] pump [SEP] [MASK] \u4e00")) == {"pump"}


def test_a_bridge_of_another_width_or_tokenizer_is_refused(backbones: dict[str, Path]) -> None:
    options: dict[str, Any] = {"units": "wordpieces", "device": "cpu"}
    with pytest.raises(InvalidInputError, match=r"5 dimensions.*32"):
        LexSemBridgeEncoder(backbones["bpe"], bridge=CorpusBridge(CorpusStatistics(5)), **options)
    with pytest.raises(InvalidInputError, match="rows for 99 wordpieces"):
        LexSemBridgeEncoder(backbones["bpe"], bridge=LearnedBridge(99, WIDTH), **options)
    with pytest.raises(InvalidInputError, match="needs units='wordpieces'"):
        LexSemBridgeEncoder(backbones["bpe"], bridge=LearnedBridge(99, WIDTH), units="words")
    encoder = LexSemBridgeEncoder(backbones["bpe"], fusion="product", **options)
    with pytest.raises(InvalidInputError, match="signed_product"):
        encoder.encode_query("pump", bridge=CorpusBridge(CorpusStatistics(WIDTH)))


@pytest.mark.parametrize("paradigm", ["slr", "llr", "clr"])
def test_a_backbone_whose_vectors_are_narrower_than_its_hidden_states(
    backbones: dict[str, Path], tmp_path: Path, paradigm: Any
) -> None:
    plain = load_backbone(backbones["wordpiece"], device="cpu")
    narrow = SentenceTransformer(modules=[*plain, Dense(WIDTH, 12)], device="cpu")
    encoder = LexSemBridgeEncoder(narrow, paradigm=paradigm, units="wordpieces", fusion="product")
    bridge = LearnedBridge(encoder.modulation.vocabulary_size, 12)
    torch.nn.init.normal_(bridge.weight)
    encoder.bridge = bridge
    queries = encoder.encode_query(QUERIES)
    assert queries.shape == (len(QUERIES), 12)
    encoder.save(tmp_path)
    assert LexSemBridgeEncoder.load(tmp_path, device="cpu").encode_query(QUERIES).tobytes() == queries.tobytes()
