"""An exported backbone: PyTorch's vectors, each a function of its text alone, and no PyTorch."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones import choice, precision
from lsb_rag.backbones import openvino as openvino_engine
from lsb_rag.backbones.export import TRIED
from lsb_rag.backbones.graph import GraphBackbone
from lsb_rag.backbones.openvino import multiplies_bfloat16
from lsb_rag.backbones.precision import Computation
from lsb_rag.backbones.sentence_transformer import SentenceTransformerBackbone, load_backbone
from lsb_rag.bridge.adaptation import Adaptation
from lsb_rag.errors import InvalidInputError

from ..conftest import MANUAL
from ..tiny import QUERIES

KINDS = ["wordpiece", "bpe", "unigram"]


@pytest.fixture
def graph(tiny_backbone: Path) -> Callable[..., LexSemBridgeEncoder]:
    """Makes encoders over the graph of the tiny backbone."""

    def make(**options: Any) -> LexSemBridgeEncoder:
        encoder = LexSemBridgeEncoder(tiny_backbone, **{"device": "cpu", **options})
        assert isinstance(encoder.backbone, GraphBackbone)
        return encoder

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_pytorchs_vectors_and_identity(backbones: dict[str, Path], kind: str) -> None:
    ours = LexSemBridgeEncoder(backbones[kind], device="cpu")
    theirs = LexSemBridgeEncoder(load_backbone(backbones[kind], device="cpu"))
    assert isinstance(ours.backbone, GraphBackbone)
    texts = [*TRIED, *QUERIES]
    for embed in ("embed_query", "encode_document"):
        mine, expected = getattr(ours, embed)(texts), getattr(theirs, embed)(texts)
        assert (mine.astype(float) * expected).sum(axis=1).min() > 0.999999
        np.testing.assert_allclose(np.linalg.norm(mine, axis=1), 1, atol=1e-6)
    assert ours.fingerprint.differences(theirs.fingerprint) == []
    assert (ours.max_length, ours.dimension, ours.spread) == (theirs.max_length, theirs.dimension, theirs.spread)
    np.testing.assert_array_equal(ours.unread(texts), theirs.unread(texts))


@pytest.mark.parametrize("fusion", ["residual", "signed_product"])
def test_the_same_hits_as_pytorchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fusion: Any) -> None:
    ours = LexSemBridgeEncoder(device="cpu", fusion=fusion)
    PassageStore(tmp_path / "db", "manual", ours).add(MANUAL)
    monkeypatch.setenv("LSB_RAG_BACKEND", "torch")
    theirs = LexSemBridgeEncoder(device="cpu", fusion=fusion)
    assert isinstance(theirs.backbone, SentenceTransformerBackbone)
    mine, expected = (Retriever(PassageStore(tmp_path / "db", "manual", one)) for one in (ours, theirs))
    for query in ("what does E-4012 mean", "ошибка ZX81", "lunch", "which part is worn?"):
        found, wanted = mine.search(query), expected.search(query)
        assert [hit.id for hit in found] == [hit.id for hit in wanted]
        np.testing.assert_allclose([hit.score for hit in found], [hit.score for hit in wanted], atol=1e-6)
    assert isinstance(ours.backbone, GraphBackbone)


def test_a_vector_depends_on_its_text_alone(graph: Callable[..., LexSemBridgeEncoder]) -> None:
    texts = [*TRIED, *TRIED[:3], *QUERIES] * 3
    alone = np.stack([graph().encode_document(text) for text in texts])
    for size in (None, 1, 7):
        np.testing.assert_array_equal(graph().encode_document(texts, batch_size=size), alone)
    np.testing.assert_array_equal(graph().encode_document(texts[::-1])[::-1], alone)
    assert graph().encode_document([]).shape == graph().embed_query([]).shape == (0, 32)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="the processor does not multiply bfloat16, or has no OpenVINO")
def test_so_does_one_in_bfloat16() -> None:
    texts = [" ".join(text.split()[:n]) or "E" for text in TRIED[:-2] for n in (1, 3, 5, 8, 40)]
    encoder = LexSemBridgeEncoder(device="cpu", precision="auto")
    assert str(encoder.computation) == "bfloat16 by OpenVINO"
    vectors = encoder.encode_document(texts)
    np.testing.assert_array_equal(vectors, np.stack([encoder.encode_document(text) for text in texts]))
    exact = LexSemBridgeEncoder(device="cpu", precision="float32").encode_document(texts)
    assert 0.999 < (vectors * exact).sum(axis=1).min() < 0.9999999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="the processor does not multiply bfloat16, or has no OpenVINO")
@pytest.mark.parametrize("kind", KINDS)
def test_padding_moves_nothing(backbones: dict[str, Path], kind: str) -> None:
    reduced, exact = (LexSemBridgeEncoder(backbones[kind], device="cpu", precision=one) for one in ("auto", "float32"))
    assert reduced.computation.engine == "openvino"
    texts = [*TRIED, *QUERIES, *(" ".join(["pump"] * n) for n in range(1, 70))]
    assert (reduced.encode_document(texts) * exact.encode_document(texts)).sum(axis=1).min() > 0.999


AT_ONCE = """
import threading
from lsb_rag import LexSemBridgeEncoder
encoder = LexSemBridgeEncoder(device="cpu", precision="auto")
texts = [f"E-{n} " * (n % 40 + 1) for n in range(60)]
threads = [threading.Thread(target=encoder.encode_document, args=(texts,)) for _ in range(4)]
threads += [threading.Thread(target=encoder.embed_query, args=(texts,)) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_that_are_the_first_to_embed() -> None:
    subprocess.run([sys.executable, "-c", AT_ONCE], check=True, timeout=300)  # noqa: S603


@pytest.mark.skipif(not multiplies_bfloat16(), reason="the processor does not multiply bfloat16, or has no OpenVINO")
@pytest.mark.parametrize("fault", ["cannot be compiled", "gives something else"])
def test_onnx_runtime_takes_over_where_openvino_fails(
    graph: Callable[..., LexSemBridgeEncoder],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    if fault == "cannot be compiled":
        monkeypatch.setattr(openvino_engine, "load_openvino", lambda: 1 / 0)
    else:
        real = openvino_engine.OpenVinoGraph._vectors
        monkeypatch.setattr(openvino_engine.OpenVinoGraph, "_vectors", lambda self, tokens: -real(self, tokens))
    encoder = graph(precision="auto")
    vectors = encoder.encode_document(QUERIES)
    encoder.encode_document(QUERIES)
    np.testing.assert_array_equal(vectors, graph(precision="float32").encode_document(QUERIES))
    messages = [record.message.split(":")[0] for record in caplog.records]
    assert messages == ["OpenVINO cannot run this backbone, so ONNX Runtime does"]


def test_recent_queries_are_kept(graph: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = graph()
    seen: list[str] = []
    real = encoder.backbone.graph.tokens
    monkeypatch.setattr(
        encoder.backbone.graph, "tokens", lambda texts, prompt: seen.extend(texts) or real(texts, prompt)
    )
    first = encoder.embed_query(QUERIES)
    np.testing.assert_array_equal(encoder.embed_query([*QUERIES[::-1], "another"])[:-1], first[::-1])
    np.testing.assert_array_equal(encoder.embed_query(QUERIES[2]), first[2])
    assert seen == [*QUERIES, "another"]
    encoder.forget()
    encoder.embed_query(QUERIES[0])
    assert seen[-1] == QUERIES[0]
    many = [f"{QUERIES[0]} {n}" for n in range(600)]
    encoder.embed_query(many)
    seen.clear()
    encoder.embed_query(many)
    encoder.embed_query(many[0])
    assert not seen
    monkeypatch.setattr("lsb_rag.backbones.graph.KEPT_BYTES", 2 * first[0].nbytes)
    encoder.embed_query(many[:3])
    encoder.embed_query(many[1:3])
    assert not seen
    encoder.embed_query(many[0])
    assert seen == [many[0]]


@pytest.mark.parametrize(
    "options",
    [
        {"paradigm": "llr"},
        {"paradigm": "clr"},
        {"units": "wordpieces"},
        {"fusion": "product"},
    ],
    ids=str,
)
def test_what_needs_more_than_vectors_is_pytorchs(tiny_backbone: Path, options: dict[str, Any]) -> None:
    encoder = LexSemBridgeEncoder(tiny_backbone, device="cpu", **options)
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)


@pytest.mark.parametrize("why", ["a GPU", "another precision"])
def test_pytorch_embeds_passages_where_a_graph_cannot(
    graph: Callable[..., LexSemBridgeEncoder], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "a GPU":
        for module in (choice, precision):
            monkeypatch.setattr(module, "has_gpu", lambda: True)
        encoder = graph(device=None, precision="float32")
        assert encoder.computation == Computation("float32", plain=True)  # PyTorch finds none after all
    else:
        encoder = graph(precision="float16")
        assert encoder.computation == Computation("float16")
    vectors = encoder.encode_document(TRIED)
    assert (vectors * graph().encode_document(TRIED)).sum(axis=1).min() > 0.999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(encoder.embed_query(TRIED), graph().embed_query(TRIED))
    assert isinstance(encoder.backbone, GraphBackbone)


def test_it_gives_way_to_the_model_when_that_is_asked_for(graph: Callable[..., LexSemBridgeEncoder]) -> None:
    encoder = graph(strength=0.6, fusion="signed_product")
    store = PassageStore.in_memory(encoder)
    store.add(MANUAL)
    encoder.bridge = store.bridge
    before = encoder.encode_query(QUERIES)
    with torch.no_grad():
        for weight in encoder.model.parameters():
            weight.mul_(1.0)
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)
    assert (encoder.bridge, encoder.strength, encoder.fusion) == (store.bridge, 0.6, "signed_product")
    np.testing.assert_allclose(encoder.encode_query(QUERIES), before, atol=1e-5)
    with torch.no_grad():  # what is trained is what embeds
        next(encoder.model.parameters()).mul_(-1)
    assert not np.allclose(encoder.encode_query("pump valve"), graph().encode_query("pump valve"), atol=1e-3)


def test_a_learned_bridge_and_learned_weights_of_words_need_the_model(
    graph: Callable[..., LexSemBridgeEncoder],
) -> None:
    encoder = graph()
    with pytest.raises(InvalidInputError, match="it needs units='wordpieces'"):
        encoder.bridge = LearnedBridge(121, 32)
    encoder = graph()
    store = PassageStore.in_memory(encoder)
    store.add(MANUAL)
    bridge = copy.copy(store.bridge)
    bridge.adaptation = Adaptation((0.0,) * 31 + (1e-9,), 1.0, 0.5, encoder.fingerprint.weights or "")
    expected = encoder.unit_weights("pump valve", bridge=store.bridge)
    assert isinstance(encoder.backbone, GraphBackbone)
    assert encoder.unit_weights("pump valve", bridge=bridge) == pytest.approx(expected)
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)


def test_copies(graph: Callable[..., LexSemBridgeEncoder]) -> None:
    encoder = graph(strength=0.3)
    for copied in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):  # noqa: S301 - our own
        assert isinstance(copied.backbone, GraphBackbone)
        assert copied.strength == 0.3
        assert copied.backbone.graph is encoder.backbone.graph
        np.testing.assert_array_equal(copied.embed_query("pump"), encoder.embed_query("pump"))


def test_bad_input(graph: Callable[..., LexSemBridgeEncoder], encoder: LexSemBridgeEncoder) -> None:
    with pytest.raises(InvalidInputError, match="batch_size is at least 1"):
        graph().encode_document(QUERIES, batch_size=0)
    store = PassageStore.in_memory(encoder)
    store.add(MANUAL)
    with pytest.raises(InvalidInputError, match="384 dimensions, the backbone has 32"):
        graph().bridge = store.bridge


SEARCH = """
import json, sys
from lsb_rag import PassageStore, Retriever
retriever = Retriever(PassageStore(sys.argv[1], "manual"))
hits = retriever.search("what does E-4012 mean", 2)
effects = retriever.explain("what does E-4012 mean", hits[0].id).effects
loaded = [name for name in ("torch", "transformers", "sentence_transformers", "openvino") if name in sys.modules]
print(json.dumps([[hit.id for hit in hits], effects[0].unit, loaded]))
"""


def test_a_search_imports_no_pytorch(store: PassageStore, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SEARCH, str(tmp_path / "db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    ids, unit, loaded = json.loads(done.stdout)
    assert ids[0] == "pump"
    assert unit in ("e-4012", "4012")
    assert loaded == []
