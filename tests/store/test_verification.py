from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.backbones.base import UNNAMED
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.errors import (
    BackboneError,
    FingerprintMismatchError,
)

from ..conftest import MANUAL
from .test_passage_store import reopened


def test_a_collection_is_reopened_with_its_own_backbone(tmp_path: Path, tiny_backbone: Path) -> None:
    tiny = LexSemBridgeEncoder(tiny_backbone, device="cpu")
    PassageStore(tmp_path, "tiny", tiny).add(["valve", "pump"])
    again = PassageStore(tmp_path, "tiny")
    assert again.fingerprint == tiny.fingerprint
    assert again.encoder.dimension == 32


def test_units_are_kept_and_a_folder_is_found_from_anywhere(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_backbone.parent)
    encoder = LexSemBridgeEncoder(tiny_backbone.name, units="wordpieces", device="cpu")
    PassageStore(tmp_path, "pieces", encoder).add(["valve", "pump"])
    monkeypatch.chdir(tmp_path)
    again = PassageStore(tmp_path, "pieces")
    assert again.encoder.units == "wordpieces"
    assert again.bridge.statistics.n_passages == 2


def test_a_model_loaded_by_hand_cannot_be_found_by_name(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(load_backbone(tiny_backbone, device="cpu"))
    encoder.backbone.name = UNNAMED
    PassageStore(tmp_path, "unnamed", encoder).add(["valve"])
    with pytest.raises(BackboneError, match="encoder=LexSemBridgeEncoder"):
        _ = PassageStore(tmp_path, "unnamed").encoder
    assert PassageStore(tmp_path, "unnamed", encoder).encoder is encoder


def test_another_backbone_is_refused_naming_both(
    store: PassageStore, tiny_backbone: Path, encoder: LexSemBridgeEncoder
) -> None:
    other = reopened(store, LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    with pytest.raises(FingerprintMismatchError, match=r"all-MiniLM-L6-v2.*tiny.*dimension: 384 against 32"):
        other.add(["a new passage"])
    assert len(reopened(store, encoder)) == len(MANUAL)


def test_a_collection_of_another_program_is_checked_by_its_vectors(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    client = chromadb.PersistentClient(str(tmp_path), settings=chromadb.Settings(anonymized_telemetry=False))
    cosine = {"hnsw": {"space": "cosine"}}
    texts = [passage.content for passage in MANUAL]
    same = client.create_collection("same", embedding_function=None, configuration=cosine)
    same.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=3.0 * encoder.encode_document(texts))
    other = client.create_collection("other", embedding_function=None, configuration=cosine)
    random = np.random.default_rng(0).normal(size=(len(texts), 384))
    other.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=random)

    attached = PassageStore(tmp_path, "same", encoder, create=False)
    assert attached.fingerprint is None
    assert attached.bridge.statistics.df("e-4012") == 1
    statistics = attached.bridge.statistics
    vectors = statistics.vectors(statistics.postings(["e-4012"])[0])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    with pytest.raises(FingerprintMismatchError, match="another program"):
        _ = PassageStore(tmp_path, "other", encoder).encoder


def test_a_sample_is_looked_for_where_the_texts_are(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    collection = chromadb.PersistentClient(tmp_path).create_collection("mixed", embedding_function=None)
    random = np.random.default_rng(0).normal(size=(20, 384))
    collection.add(ids=[f"bare{n}" for n in range(20)], embeddings=random)
    assert PassageStore.from_collection(collection, encoder).encoder is encoder  # no text: nothing to compare
    texts = [f"text {n}" for n in range(5)]
    collection.add(ids=texts, documents=texts, embeddings=random[:5])
    with pytest.raises(FingerprintMismatchError, match="embedded again"):
        _ = PassageStore.from_collection(collection, encoder).encoder
    narrow = chromadb.PersistentClient(tmp_path).create_collection("narrow", embedding_function=None)
    narrow.add(ids=["a"], embeddings=np.ones((1, 16)))
    with pytest.raises(FingerprintMismatchError, match="dimension: 16 against 384"):
        _ = PassageStore.from_collection(narrow, encoder).encoder


def test_a_prompt_that_may_be_the_reason_is_named(tmp_path: Path, tiny_backbone: Path) -> None:
    model = load_backbone(tiny_backbone, device="cpu")
    collection = chromadb.PersistentClient(tmp_path).create_collection("prompted", embedding_function=None)
    texts = ["the valve stays open", "the pump stopped"]
    collection.add(ids=texts, documents=texts, embeddings=model.encode(texts))
    model.prompts = {"query": "query: ", "document": "passage: "}
    with pytest.raises(FingerprintMismatchError, match="puts 'passage: ' before a text"):
        _ = PassageStore.from_collection(collection, LexSemBridgeEncoder(model)).encoder
