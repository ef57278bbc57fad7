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

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.bridge.weighting import Learned, MlmHead, TiedHead
from lsb_rag.errors import BackboneError, CorruptFileError, InvalidInputError

from ..conftest import MANUAL
from ..tiny import QUERIES, WIDTH, tiny_tokenizer, with_bridge


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
