"""The encoder as a SentenceTransformer: every paradigm, bridge, fusion and tokenizer; saved and loaded."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding

from lsb_rag import CorpusBridge, CorpusStatistics, LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.bridge.weighting import Learned, MlmHead, TiedHead
from lsb_rag.errors import BackboneError, CorruptFileError, InvalidInputError

from ..conftest import MANUAL
from ..tiny import TEXTS, WIDTH, save_tiny, tiny_tokenizer

QUERIES = ["what does E-4012 mean", "valve spring ZX81", "the the pump", "lunch"]
KINDS = [("wordpiece", "cls"), ("bpe", "mean"), ("unigram", "mean")]


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("backbones")
    plain = {kind: save_tiny(folder / kind, kind, pooling) for kind, pooling in KINDS}
    masked = {
        f"{kind}+mlm": save_tiny(folder / f"{kind}-mlm", kind, pooling, with_mlm_head=True) for kind, pooling in KINDS
    }
    return {**plain, **masked}


def with_bridge(encoder: LexSemBridgeEncoder, kind: str, seed: int = 0) -> LexSemBridgeEncoder:
    torch.manual_seed(seed)
    if kind == "learned":
        bridge = LearnedBridge(encoder.modulation.vocabulary_size, WIDTH)
        torch.nn.init.normal_(bridge.weight)
        encoder.bridge = bridge
    else:
        statistics = CorpusStatistics(WIDTH)
        statistics.add([encoder.analyze(text) for text in TEXTS], encoder.encode_document(TEXTS))
        encoder.bridge = CorpusBridge(statistics)
    return encoder


def combinations() -> list[tuple[str, str, str, str]]:
    learned = product(["slr", "llr", "clr"], ["learned"], ["product", "signed_product", "residual"], ["wordpieces"])
    corpus = product(["slr", "llr", "clr"], ["corpus"], ["signed_product", "residual"], ["words", "wordpieces"])
    return [*learned, *corpus]


@pytest.mark.parametrize("tokenizer", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize(("paradigm", "bridge", "fusion", "units"), combinations())
def test_every_combination_modulates_queries_alone_and_survives_a_round_trip(
    backbones: dict[str, Path], tmp_path: Path, tokenizer: str, paradigm: Any, bridge: str, fusion: Any, units: Any
) -> None:
    plain = load_backbone(backbones[tokenizer], device="cpu")
    encoder = with_bridge(
        LexSemBridgeEncoder(plain, paradigm=paradigm, fusion=fusion, units=units, strength=0.7), bridge
    )
    if isinstance(encoder.modulation.weighting, Learned):
        torch.nn.init.normal_(encoder.modulation.weighting.linear.weight, std=0.2)
    queries, documents = encoder.encode_query(QUERIES), encoder.encode_document(QUERIES)
    expected = plain.encode_document(QUERIES, normalize_embeddings=True)
    assert documents.tobytes() == expected.tobytes()
    assert encoder.encode_query(QUERIES, strength=0).tobytes() == expected.tobytes()
    assert np.isfinite(queries).all()
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)
    assert (np.abs(queries - documents).max(axis=1) > 1e-4).any()
    if fusion != "residual":
        assert (queries * documents >= 0).all()  # signs are kept
    alone = np.concatenate([encoder.encode_query([query]) for query in QUERIES])
    np.testing.assert_allclose(queries, alone, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query(QUERIES[::-1])[::-1], queries, atol=1e-5)

    assert encoder.model.encode_query(QUERIES).tobytes() == queries.tobytes()
    assert encoder.model.encode_document(QUERIES).tobytes() == documents.tobytes()
    encoder.save(tmp_path)
    again = LexSemBridgeEncoder.load(tmp_path, device="cpu")
    assert again.encode_query(QUERIES).tobytes() == queries.tobytes()
    assert again.encode_document(QUERIES).tobytes() == documents.tobytes()
    assert (again.units, again.fusion, again.strength) == (units, fusion, 0.7)
    assert again.fingerprint.weights == encoder.fingerprint.weights


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram"])
def test_clr_uses_the_backbones_mlm_head_where_there_is_one(
    backbones: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    tied = LexSemBridgeEncoder(backbones[kind], paradigm="clr", device="cpu")
    assert isinstance(tied.modulation.weighting.head, TiedHead)
    encoder = LexSemBridgeEncoder(
        backbones[f"{kind}+mlm"], paradigm="clr", units="wordpieces", fusion="product", top_k=20, device="cpu"
    )
    assert isinstance(encoder.modulation.weighting.head, MlmHead)
    assert 0 < len(encoder.unit_weights("the pump")) <= 20
    assert not set(encoder.unit_weights("the pump")) & set(encoder.model.tokenizer.all_special_tokens)
    with_bridge(encoder, "learned")
    encoder.save(tmp_path)
    again = LexSemBridgeEncoder.load(tmp_path, device="cpu")
    assert again.encode_query(QUERIES).tobytes() == encoder.encode_query(QUERIES).tobytes()


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


def test_what_is_loaded_or_learned_is_kept_when_wrapped_again(backbones: dict[str, Path], tmp_path: Path) -> None:
    options: dict[str, Any] = {"paradigm": "clr", "units": "wordpieces", "fusion": "product"}
    with_bridge(LexSemBridgeEncoder(backbones["wordpiece+mlm"], **options, device="cpu"), "learned").save(tmp_path)
    loaded = LexSemBridgeEncoder.load(tmp_path, device="cpu")
    again = LexSemBridgeEncoder(loaded.model, **options, bridge=loaded.bridge)
    assert again.encode_query(QUERIES).tobytes() == loaded.encode_query(QUERIES).tobytes()
    with pytest.raises(InvalidInputError, match=r"use LexSemBridgeEncoder\.load"):
        LexSemBridgeEncoder(tmp_path)


def test_the_fingerprint_leaves_out_a_pooler_made_at_random(backbones: dict[str, Path]) -> None:
    fingerprints = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fingerprints.append(LexSemBridgeEncoder(backbones["wordpiece"], device="cpu").fingerprint)
    assert fingerprints[0] == fingerprints[1]


def test_a_collection_finds_its_saved_encoder(backbones: dict[str, Path], tmp_path: Path) -> None:
    encoder = LexSemBridgeEncoder(backbones["bpe"], units="wordpieces", fusion="product", device="cpu")
    with_bridge(encoder, "learned").save(tmp_path / "saved")
    PassageStore(tmp_path, "saved-encoder", LexSemBridgeEncoder.load(tmp_path / "saved")).add(MANUAL)
    again = PassageStore(tmp_path, "saved-encoder")
    assert isinstance(again.encoder.bridge, LearnedBridge)
    assert again.encoder.encode_query("pump").tobytes() == encoder.encode_query("pump").tobytes()
    assert len(Retriever(again).search("pump", 3)) == 3


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


def test_truncated_backbones_are_refused_and_a_last_projection_is_normalised(backbones: dict[str, Path]) -> None:
    plain = load_backbone(backbones["wordpiece"], device="cpu")
    projected = SentenceTransformer(modules=[*plain, Normalize(), Dense(WIDTH, WIDTH)], device="cpu")
    norms = np.linalg.norm(LexSemBridgeEncoder(projected).encode_document(QUERIES), axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    plain.truncate_dim = 8
    with pytest.raises(InvalidInputError, match="truncate_dim"):
        LexSemBridgeEncoder(plain)


def test_any_sentence_transformers_user_may_load_it_who_trusts_the_code(
    backbones: dict[str, Path], tmp_path: Path
) -> None:
    encoder = with_bridge(LexSemBridgeEncoder(backbones["wordpiece"], device="cpu"), "corpus")
    encoder.save(tmp_path)
    model = SentenceTransformer(str(tmp_path), trust_remote_code=True, device="cpu")
    assert model.encode_query(QUERIES).tobytes() == encoder.encode_query(QUERIES).tobytes()


def test_special_tokens_in_a_query_do_not_count(backbones: dict[str, Path]) -> None:
    encoder = LexSemBridgeEncoder(backbones["wordpiece"], units="wordpieces", device="cpu")
    assert set(encoder.unit_weights("[CLS] pump [SEP] [MASK] \u4e00")) == {"pump"}


def test_a_sentence_transformers_evaluator_takes_the_pipeline(store: PassageStore) -> None:
    model = LexSemBridgeEncoder(store.encoder.model, bridge=store.bridge).model
    corpus = {passage.id: passage.content for passage in MANUAL}
    queries = {passage.id: f"what is {passage.title}?" for passage in MANUAL if passage.title}
    evaluator = InformationRetrievalEvaluator(queries, corpus, {id: {id} for id in queries}, ndcg_at_k=[10])
    found = evaluator(model)
    assert found["cosine_accuracy@1"] == 1.0


def test_a_retriever_uses_the_encoders_own_bridge_first(backbones: dict[str, Path], tmp_path: Path) -> None:
    encoder = LexSemBridgeEncoder(backbones["wordpiece"], units="wordpieces", fusion="product", device="cpu")
    with_bridge(encoder, "learned")
    store = PassageStore(tmp_path, "learned", encoder)
    store.add(MANUAL)
    hits = Retriever(store, rerank=0).search("valve", 3)
    assert hits == store.query(encoder.encode_query("valve"), 3)


# -- refused ------------------------------------------------------------------------------------------------------


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


def test_a_backbone_without_tokens_is_refused() -> None:
    static = SentenceTransformer(
        modules=[StaticEmbedding(tiny_tokenizer("wordpiece").backend_tokenizer, embedding_dim=8)], device="cpu"
    )
    with pytest.raises(InvalidInputError, match="StaticEmbedding"):
        LexSemBridgeEncoder(static)


@pytest.fixture
def saved(backbones: dict[str, Path], tmp_path: Path) -> Path:
    with_bridge(LexSemBridgeEncoder(backbones["wordpiece"], device="cpu"), "corpus").save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "statistics.safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "pickle"])
def test_damaged_files_are_refused(saved: Path, name: str, damage: str) -> None:
    file = next(saved.glob("*_QueryModulation")) / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"\x80\x04\x95pickle")
    with pytest.raises(CorruptFileError):
        LexSemBridgeEncoder.load(saved)


def test_foreign_code_and_plain_folders_are_refused(saved: Path, backbones: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="plain encoder"):
        LexSemBridgeEncoder.load(backbones["bpe"])
    with pytest.raises(BackboneError, match=r"no modules\.json"):
        LexSemBridgeEncoder.load(tmp_path / "nowhere")
    listing = json.loads((saved / "modules.json").read_text())
    listing[1]["type"] = "evil.module.Class"
    (saved / "modules.json").write_text(json.dumps(listing))
    with pytest.raises(BackboneError, match="code of its own"):
        LexSemBridgeEncoder.load(saved)
    (saved / "modules.json").write_text("[{")
    with pytest.raises(CorruptFileError):
        LexSemBridgeEncoder.load(saved)


def test_nothing_but_safetensors_and_json_is_written(saved: Path) -> None:
    suffixes = {file.suffix for file in saved.rglob("*") if file.is_file()}
    assert suffixes <= {".safetensors", ".json", ".md", ".txt"}
    shutil.rmtree(saved)
