from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from lsb_rag import CorpusBridge, CorpusStatistics, LexSemBridgeEncoder, PassageStore
from lsb_rag.backbones.base import UNNAMED
from lsb_rag.backbones.embedded import embedded_backbone
from lsb_rag.backbones.sentence_transformer import load_backbone
from lsb_rag.bridge.fusion import fuse
from lsb_rag.bridge.weighting import slr
from lsb_rag.errors import FingerprintMismatchError, InvalidInputError, InvalidTypeError, LsbRagError
from lsb_rag.lexical.units import words

from .conftest import MANUAL

TEXTS = ["The pump stopped.", "E-4012", "a much longer text " * 90, "ünïcödé 日本語", "x"] * 9


def test_documents_equal_the_plain_backbone_bit_for_bit(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    plain = SentenceTransformer(str(embedded_backbone()), device="cpu", local_files_only=True)
    expected = plain.encode_document(TEXTS)
    bridged = LexSemBridgeEncoder(encoder.model, bridge=store.bridge)
    for ours in (encoder.encode_document(TEXTS), bridged.encode_document(TEXTS)):
        assert ours.dtype == np.float32
        assert ours.tobytes() == expected.tobytes()


def test_strength_zero_is_exactly_the_plain_query(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    expected = encoder.model.encode_query(TEXTS)
    for fusion in ("residual", "signed_product"):
        off = LexSemBridgeEncoder(encoder.model, bridge=store.bridge, strength=0, fusion=fusion)
        assert off.encode_query(TEXTS).tobytes() == expected.tobytes()
    assert encoder.encode_query(TEXTS).tobytes() == expected.tobytes()  # no bridge


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_queries_are_modulated_as_the_formula_says(
    encoder: LexSemBridgeEncoder, store: PassageStore, fusion: str
) -> None:
    bridged = LexSemBridgeEncoder(encoder.model, bridge=store.bridge, fusion=fusion, strength=0.7)  # type: ignore[arg-type]
    query = "why E-4012"
    plain = encoder.embed_query(query)
    direction = store.bridge.direction(slr(words(query)))
    expected = fuse(torch.tensor(plain).double()[None], torch.tensor(direction)[None], fusion, 0.7)[0]  # type: ignore[arg-type]
    modulated = bridged.encode_query(query)
    np.testing.assert_allclose(modulated, expected, atol=1e-7)
    assert np.linalg.norm(modulated) == pytest.approx(1, abs=1e-6)
    assert not np.allclose(modulated, plain, atol=1e-3)


def test_a_query_without_known_words_stays_vanilla(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    bridged = LexSemBridgeEncoder(encoder.model, bridge=store.bridge)
    query = "zzyzx qwfpgj"
    assert bridged.encode_query(query).tobytes() == encoder.embed_query(query).tobytes()


def test_one_string_gives_one_vector_and_a_list_rows(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    bridged = LexSemBridgeEncoder(encoder.model, bridge=store.bridge)
    rows = bridged.encode_query(["E-4012", "lunch"])
    assert rows.shape == (2, 384)
    assert bridged.encode_query("lunch").shape == (384,)
    np.testing.assert_allclose(bridged.encode_query("lunch"), rows[1], atol=1e-6)
    assert bridged.encode_query([]).shape == (0, 384)
    assert bridged.encode_document([]).shape == (0, 384)


def test_bridge_and_strength_for_one_call(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    bridged = LexSemBridgeEncoder(encoder.model, bridge=store.bridge, strength=0.3)
    for query in ("E-4012", ["E-4012", "lunch"]):
        ours = encoder.encode_query(query, bridge=store.bridge, strength=0.3)
        assert ours.tobytes() == bridged.encode_query(query).tobytes()
    assert bridged.encode_query("lunch", strength=0).tobytes() == encoder.embed_query("lunch").tobytes()
    assert encoder.bridge is None


def test_wordpieces_are_units_too(encoder: LexSemBridgeEncoder) -> None:
    pieces = LexSemBridgeEncoder(encoder.model, units="wordpieces")
    assert encoder.units == "words"  # the encoder it was made from stays as it was
    assert pieces.analyze("unaffable") != ["unaffable"]
    statistics = CorpusStatistics(384)
    texts = ["the pump E-4012", "the valve", "lunch at noon"]
    statistics.add([pieces.analyze(text) for text in texts], encoder.encode_document(texts))
    pieces.bridge = CorpusBridge(statistics)
    assert not np.allclose(pieces.encode_query("E-4012"), encoder.embed_query("E-4012"), atol=1e-3)


@pytest.mark.parametrize("query", ["", "  \n\t", "\u3000"])
def test_a_blank_query_is_refused(encoder: LexSemBridgeEncoder, query: str) -> None:
    with pytest.raises(InvalidInputError, match="empty or blank"):
        encoder.encode_query(query)
    with pytest.raises(InvalidInputError, match="empty or blank"):
        encoder.encode_query(["fine", query])


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["fine", None]])
def test_anything_but_text_is_refused(encoder: LexSemBridgeEncoder, value: object) -> None:
    for encode in (encoder.encode_query, encoder.encode_document):
        with pytest.raises((InvalidTypeError, TypeError)) as raised:
            encode(value)  # type: ignore[arg-type]
        assert isinstance(raised.value, LsbRagError)


def test_lone_surrogates_and_nul_are_encoded(encoder: LexSemBridgeEncoder) -> None:
    assert np.isfinite(encoder.encode_query(["a\ud800b", "nul\x00byte"])).all()


def test_a_bridge_of_another_width_is_refused(encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match=r"5 dimensions.*384"):
        LexSemBridgeEncoder(encoder.model, bridge=CorpusBridge(CorpusStatistics(5)))


def test_unknown_options_are_refused(encoder: LexSemBridgeEncoder) -> None:
    for options in ({"fusion": "sum"}, {"strength": -1}, {"units": "letters"}):
        with pytest.raises(InvalidInputError):
            LexSemBridgeEncoder(encoder.model, **options)


def test_a_backbone_that_does_not_normalise_gives_unit_vectors(tiny_backbone: Path) -> None:
    vectors = LexSemBridgeEncoder(tiny_backbone, device="cpu").encode_document(["valve", "pump 12"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_pickled_encoder_is_a_reference(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, units="wordpieces", strength=0.3, device="cpu")
    data = pickle.dumps(encoder)
    assert len(data) < 1000
    again = pickle.loads(data)  # noqa: S301 - our own
    assert (again.fingerprint, again.units, again.strength) == (encoder.fingerprint, "wordpieces", 0.3)
    encoder.bridge = CorpusBridge(CorpusStatistics(encoder.dimension), units="wordpieces")
    with pytest.raises(TypeError, match=r"save\(\) it"):
        pickle.dumps(encoder)
    encoder.save(tmp_path / "saved")
    saved = LexSemBridgeEncoder.load(tmp_path / "saved", device="cpu")
    again = pickle.loads(pickle.dumps(saved))  # noqa: S301 - our own
    assert again.bridge is not None
    assert again.fingerprint.differences(encoder.fingerprint) == []
    saved.bridge = None
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(saved)
    by_hand = LexSemBridgeEncoder(load_backbone(tiny_backbone, device="cpu"))
    by_hand.backbone.name = UNNAMED
    with pytest.raises(TypeError, match="loaded by hand"):
        pickle.dumps(by_hand)


def test_a_bridge_of_another_backbone_is_refused(store: PassageStore, tiny_backbone: Path) -> None:
    def rotated(texts: list[str]) -> Any:
        return np.roll(store.encoder.encode_document(texts), 1, axis=1)

    bridge, other = store.bridge, LexSemBridgeEncoder(rotated, name="rotated")
    assert store.encoder.encode_query("E-4012", bridge=bridge).shape == (384,)
    assert other.differences(store.encoder.fingerprint) is None  # weights cannot be compared with vectors
    theirs = PassageStore.in_memory(other)
    theirs.add([passage.content for passage in MANUAL])
    for use in (
        lambda: store.encoder.encode_query("E-4012", bridge=theirs.bridge),
        lambda: LexSemBridgeEncoder(store.encoder.model, bridge=theirs.bridge),
        lambda: LexSemBridgeEncoder(tiny_backbone, bridge=bridge),
        lambda: LexSemBridgeEncoder(lambda texts: -rotated(texts), bridge=theirs.bridge).encode_query("E-4012"),
    ):
        with pytest.raises((FingerprintMismatchError, InvalidInputError), match=r"not the backbone|dimensions"):
            use()


def test_embedded_queries_are_a_row_for_each() -> None:
    over = LexSemBridgeEncoder(lambda texts: [[1.0, 2.0] for _ in texts], name="constant")
    for wrong in (np.ones(2, np.float32), np.ones((3, 2), np.float32)):
        with pytest.raises(InvalidInputError, match="not a row for each"):
            over.encode_query(["one", "two"], embedded=wrong)
