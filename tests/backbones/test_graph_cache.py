"""Graphs are written once, whole or not at all, and read only as they were written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.backbones import choice
from lsb_rag.backbones.graph import GraphBackbone
from lsb_rag.backbones.graph_cache import GraphCache
from lsb_rag.backbones.sentence_transformer import SentenceTransformerBackbone
from lsb_rag.backbones.source import Source
from lsb_rag.errors import BackboneError, InvalidInputError

QUERY = "what does E-4012 mean"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GraphCache:
    monkeypatch.setenv("LSB_RAG_GRAPHS", str(tmp_path / "graphs"))
    return GraphCache()


@pytest.fixture
def folder(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A model of one's own."""
    return Path(shutil.copytree(tiny_backbone, tmp_path / "model"))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that PyTorch has loaded."""
    seen: list[str] = []
    real = choice.load_backbone
    monkeypatch.setattr(choice, "load_backbone", lambda name, **given: seen.append(name) or real(name, **given))
    return seen


def embedded(folder: Path | str) -> np.ndarray:
    encoder = LexSemBridgeEncoder(folder, device="cpu")
    assert isinstance(encoder.backbone, GraphBackbone)
    return encoder.embed_query(QUERY)


def graph_files(cache: GraphCache) -> list[Path]:
    return sorted(file for file in cache.folder.rglob("*") if file.is_file() and file.parent.name != "sources")


def test_a_backbone_is_exported_once(cache: GraphCache, folder: Path, loads: list[str]) -> None:
    first = embedded(folder)
    np.testing.assert_array_equal(embedded(folder), first)
    assert loads == [str(folder)]
    assert cache.known() == [(str(folder), "")]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.onnx", "missing"),
        ("model.onnx", "cut"),
        ("model.onnx", "another byte"),
        ("tokenizer.json", "empty"),
        ("graph.json", "another byte"),
        ("graph.json", "missing"),
    ],
)
def test_what_is_damaged_is_made_again(
    cache: GraphCache, folder: Path, loads: list[str], caplog: pytest.LogCaptureFixture, file: str, damage: str
) -> None:
    first = embedded(folder)
    found = next(cache.folder.glob(f"*/{file}"))
    content = bytearray(found.read_bytes())
    if damage == "missing":
        found.unlink()
    else:
        content[len(content) // 2] ^= 0xFF
        found.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(damage, bytes(content)))
    np.testing.assert_array_equal(embedded(folder), first)
    assert loads == [str(folder)] * 2
    assert [record.message.split(":")[0] for record in caplog.records] == ["A backbone has to be exported again"]
    embedded(folder)
    assert len(loads) == 2


def test_a_record_that_is_damaged_is_written_again(cache: GraphCache, folder: Path, loads: list[str]) -> None:
    embedded(folder)
    record = next(cache.folder.glob("sources/*.json"))
    for content in ("", "[]", '{"name": 3}', "[" * 9999):
        record.write_text(content)
        embedded(folder)
    assert len(graph_files(cache)) == 4  # with the lock


def test_a_model_that_has_changed_is_exported_anew(cache: GraphCache, folder: Path, loads: list[str]) -> None:
    first = embedded(folder)
    model = SentenceTransformer(str(folder), device="cpu")
    next(model.parameters()).data.mul_(-1)
    model.save_pretrained(str(folder))
    changed = embedded(folder)
    assert not np.allclose(first, changed, atol=1e-2)
    np.testing.assert_allclose(changed, model.encode_query(QUERY, normalize_embeddings=True), atol=1e-5)
    config = folder / "sentence_bert_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_seq_length": 9}))
    embedded(folder)
    assert len(loads) == 3


def test_a_model_that_was_copied_or_touched_is_not(
    cache: GraphCache, folder: Path, loads: list[str], tmp_path: Path
) -> None:
    first = embedded(folder)
    for file in folder.rglob("*.json"):
        os.utime(file, (1, 1))
    np.testing.assert_array_equal(embedded(folder), first)
    assert len(loads) == 1
    np.testing.assert_array_equal(embedded(shutil.copytree(folder, tmp_path / "copy")), first)
    assert len(list(cache.folder.glob("*/model.onnx"))) == 1


def test_a_graph_is_enough(cache: GraphCache, folder: Path, loads: list[str]) -> None:
    first = embedded(folder)
    shutil.rmtree(folder)
    np.testing.assert_array_equal(embedded(str(folder)), first)
    (cache.folder / "sources").rename(cache.folder / "gone")
    with pytest.raises(BackboneError):
        embedded(str(folder))


def test_a_cache_that_cannot_be_written_leaves_pytorch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = folder / "taken"
    taken.write_text("a file")
    monkeypatch.setenv("LSB_RAG_GRAPHS", str(taken))
    encoder = LexSemBridgeEncoder(folder, device="cpu")
    assert isinstance(encoder.backbone, SentenceTransformerBackbone)


def test_an_unknown_backend_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_RAG_BACKEND", "pytorch")
    with pytest.raises(InvalidInputError, match=r"Unknown backend 'pytorch' in [$]LSB_RAG_BACKEND; say torch"):
        LexSemBridgeEncoder(folder, device="cpu")


def test_a_cache_that_can_only_be_read(cache: GraphCache, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = embedded(folder)
    for file in folder.rglob("*.json"):
        os.utime(file, (1, 1))

    def refuse(*_: object) -> None:
        raise PermissionError("a file system to be read")

    monkeypatch.setattr("lsb_rag.backbones.graph_cache.write_text", refuse)
    np.testing.assert_array_equal(embedded(folder), first)


LOAD = """
import sys
from lsb_rag import LexSemBridgeEncoder
encoder = LexSemBridgeEncoder(sys.argv[1], device="cpu")
print(type(encoder.backbone).__name__, encoder.embed_query("pump")[:3].tolist())
"""


def test_processes_that_export_at_once_share_a_graph(cache: GraphCache, folder: Path) -> None:
    command = [sys.executable, "-c", LOAD, str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: S603
    said = [one.communicate(timeout=300)[0] for one in both]
    assert said[0] == said[1]
    assert said[0].startswith("GraphBackbone")
    assert len(graph_files(cache)) == 4


def test_an_export_that_is_killed_leaves_no_graph(cache: GraphCache, folder: Path) -> None:
    slow = f"import os, time, torch.onnx; torch.onnx.export = lambda *a, **k: (open(a[2], 'w'), time.sleep(99)){LOAD}"
    process = subprocess.Popen([sys.executable, "-c", slow, str(folder)])  # noqa: S603
    while not list(cache.folder.glob("*/model.onnx")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert cache.get(Source(str(folder))) is None
    embedded(folder)
    assert len(list(cache.folder.glob("*/model.onnx"))) == 1, "what it left behind is still there"


def test_a_model_of_the_hub_is_found_where_it_was_downloaded(
    cache: GraphCache, folder: Path, loads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub" / "models--someone--tiny"
    snapshot = hub / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    folder.rename(snapshot)
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert Source("someone/tiny").folder == snapshot
    assert Source("someone/tiny", "a" * 40).folder == snapshot
    assert Source("someone/tiny", "b" * 40).folder is None
    assert Source("tiny").folder is None
    assert Source("no name of a model").folder is None

    def load(name: str, **_: object) -> SentenceTransformer:
        loads.append(name)
        return SentenceTransformer(str(snapshot), device="cpu")

    monkeypatch.setattr(choice, "load_backbone", load)
    first = embedded("someone/tiny")
    np.testing.assert_array_equal(embedded("someone/tiny"), first)
    assert loads == ["someone/tiny"]
    newer = Path(shutil.copytree(snapshot, snapshot.with_name("b" * 40)))
    (newer / "config_sentence_transformers.json").write_text("{}")
    (hub / "refs" / "main").write_text("b" * 40)
    embedded("someone/tiny")
    assert loads == ["someone/tiny"] * 2


def turned(folder: Path) -> None:
    """Write other weights in place."""
    model = SentenceTransformer(str(folder), device="cpu")
    next(model.parameters()).data.mul_(-1)
    model.save_pretrained(str(folder))


def test_two_models_whose_files_are_elsewhere_are_two(
    cache: GraphCache, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    turned(other)
    models = {"someone/one": folder, "someone/other": other}

    def load(name: str, **_: object) -> SentenceTransformer:
        return SentenceTransformer(str(models[name]), device="cpu")

    monkeypatch.setattr(choice, "load_backbone", load)
    for name in models:
        encoder = LexSemBridgeEncoder(name, device="cpu")
        assert isinstance(encoder.backbone, SentenceTransformerBackbone)
        expected = load(name).encode_query(QUERY, normalize_embeddings=True)
        np.testing.assert_allclose(encoder.embed_query(QUERY), expected, atol=1e-5)


def test_a_model_that_is_rewritten_while_it_is_loaded_is_not_mistaken(
    cache: GraphCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = choice.load_backbone

    def slow(name: str, **given: object) -> SentenceTransformer:
        model = real(name, **given)  # type: ignore[arg-type]
        turned(folder)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(choice, "load_backbone", slow)
        assert isinstance(LexSemBridgeEncoder(folder, device="cpu").backbone, SentenceTransformerBackbone)
    expected = real(folder, device="cpu").encode_query(QUERY, normalize_embeddings=True)
    np.testing.assert_allclose(embedded(folder), expected, atol=1e-5)


def test_a_model_that_has_changed_is_not_mixed_with_its_graph(cache: GraphCache, folder: Path) -> None:
    encoder = LexSemBridgeEncoder(folder, device="cpu", precision="float16")  # its passages are PyTorch's
    turned(folder)
    for use in (lambda: encoder.encode_document("pump"), lambda: encoder.model):
        with pytest.raises(BackboneError, match="has changed since this program opened it"):
            use()
    assert isinstance(encoder.backbone, GraphBackbone)


def test_a_graph_that_onnx_runtime_cannot_load_leaves_pytorch_and_the_graph(
    cache: GraphCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded(folder)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED")

    with monkeypatch.context() as patch:
        patch.setattr("onnxruntime.InferenceSession", refuse)
        assert isinstance(LexSemBridgeEncoder(folder, device="cpu").backbone, SentenceTransformerBackbone)
    assert len(list(cache.folder.glob("*/model.onnx"))) == 1


def test_a_description_is_read_as_it_was_written(cache: GraphCache, folder: Path, loads: list[str]) -> None:
    embedded(folder)
    file = next(cache.folder.glob("*/graph.json"))
    file.write_text(file.read_text().replace('query_prompt\\": \\"', 'query_prompt\\": \\"please: '))
    assert "please" in file.read_text()
    embedded(folder)
    assert len(loads) == 2
