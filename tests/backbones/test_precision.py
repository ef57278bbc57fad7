"""What passages are embedded in: chosen for the device, or said."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsb_rag import LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.backbones import graph, precision
from lsb_rag.backbones import openvino as openvino_engine
from lsb_rag.backbones.precision import Computation, checked_precision, computation_for
from lsb_rag.errors import InvalidInputError

from ..conftest import MANUAL


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the processor and the installation what a test wants them to be."""

    def make(*, bfloat16: bool, openvino: bool = True) -> None:
        monkeypatch.setattr(precision, "multiplies_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(precision, "processor_multiplies_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(openvino_engine, "has_openvino", lambda: openvino)
        for module in (openvino_engine, graph):
            monkeypatch.setattr(module, "multiplies_bfloat16", lambda: bfloat16 and openvino)

    return make


@pytest.mark.parametrize(
    ("asked", "bfloat16", "expected"),
    [
        ("auto", True, Computation("bfloat16")),
        ("auto", False, Computation("float32")),
        ("float32", True, Computation("float32", plain=True)),
        ("bfloat16", False, Computation("bfloat16")),
        ("float16", True, Computation("float16")),
    ],
)
def test_pytorch_on_a_processor(machine: Any, asked: str, bfloat16: bool, expected: Computation) -> None:
    machine(bfloat16=bfloat16)
    assert computation_for(asked, "cpu") == expected


@pytest.mark.parametrize(
    ("asked", "bfloat16", "openvino", "expected"),
    [
        ("auto", True, True, Computation("bfloat16", "openvino")),
        ("auto", True, False, Computation("float32", "onnxruntime")),
        ("auto", False, True, Computation("float32", "onnxruntime")),
        ("float32", True, True, Computation("float32", "onnxruntime")),
        ("bfloat16", True, True, Computation("bfloat16", "openvino")),
        ("bfloat16", True, False, None),
        ("bfloat16", False, True, None),
        ("float16", True, True, None),
    ],
)
def test_a_graph(machine: Any, asked: str, bfloat16: bool, openvino: bool, expected: Computation | None) -> None:
    machine(bfloat16=bfloat16, openvino=openvino)
    assert (graph.graph_computation(asked) if graph.suits_graph(asked) else None) == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_on_a_gpu(monkeypatch: pytest.MonkeyPatch, native: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    assert computation_for("auto", "cuda:1") == Computation(expected)
    assert computation_for("auto", "mps") == Computation("float32")


def test_a_backbone_in_half_precision_stays_in_its_own(machine: Any) -> None:
    machine(bfloat16=True)
    assert computation_for("auto", "cpu", torch.float16) == Computation("float16")


def test_the_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSB_RAG_PRECISION", "bfloat16")
    assert checked_precision() == "bfloat16"
    assert checked_precision("float32") == "float32"
    monkeypatch.setenv("LSB_RAG_PRECISION", "nope")
    with pytest.raises(InvalidInputError, match=r"'nope' in \$LSB_RAG_PRECISION"):
        checked_precision()
    monkeypatch.setenv("LSB_RAG_PRECISION", "")
    assert checked_precision() == "auto"
    with pytest.raises(InvalidInputError, match=r"Unknown precision 'int8'; choose one of auto, float32"):
        checked_precision("int8")


def test_a_copy_keeps_what_the_environment_asked_for(monkeypatch: pytest.MonkeyPatch, tiny_backbone: Path) -> None:
    monkeypatch.setenv("LSB_RAG_PRECISION", "float16")
    packed = pickle.dumps(LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    monkeypatch.setenv("LSB_RAG_PRECISION", "auto")
    assert pickle.loads(packed).computation == Computation("float16")  # noqa: S301 - our own


def test_info_tells_it_and_how_to_be_faster(machine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lsb_rag.cli.info import about

    monkeypatch.setenv("LSB_RAG_GRAPHS", str(tmp_path / "none"))
    machine(bfloat16=True, openvino=False)
    monkeypatch.setenv("LSB_RAG_PRECISION", "auto")
    assert about(tmp_path).lines()[2] == (
        "passages are embedded in float32 by ONNX Runtime on cpu; OpenVINO would do it faster: "
        "pip install 'lsb-rag[openvino]'"
    )
    machine(bfloat16=False, openvino=False)  # where it would not
    assert about(tmp_path).lines()[2] == "passages are embedded in float32 by ONNX Runtime on cpu"
    monkeypatch.setenv("LSB_RAG_PRECISION", "float16")
    assert about(tmp_path).lines()[2] == "passages are embedded in float16 by PyTorch on cpu"
    monkeypatch.setenv("LSB_RAG_BACKEND", "torch")
    monkeypatch.setenv("LSB_RAG_PRECISION", "float32")
    assert about(tmp_path).lines()[2] == "passages are embedded in float32 by PyTorch on cpu"


def test_a_collection_of_one_precision_is_searched_and_extended_in_the_other(
    tmp_path: Path, encoder: LexSemBridgeEncoder
) -> None:
    reduced = LexSemBridgeEncoder(device="cpu", precision="bfloat16")
    store = PassageStore(tmp_path / "db", "manual", encoder)
    store.add(MANUAL[:4])
    again = PassageStore(tmp_path / "db", "manual", reduced)
    assert again.add(MANUAL) == len(MANUAL) - 4
    ids = [passage.id for passage in MANUAL]
    np.testing.assert_allclose(again.vectors(ids), encoder.encode_document([again.text(id) for id in ids]), atol=5e-3)
    ours, theirs = (Retriever(PassageStore(tmp_path / "db", "manual", one)) for one in (reduced, encoder))
    mine, expected = (one.search("what does E-5100 mean") for one in (ours, theirs))
    assert [hit.id for hit in mine] == [hit.id for hit in expected]
    np.testing.assert_allclose([hit.score for hit in mine], [hit.score for hit in expected], atol=1e-6)
