from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from lsb_rag.backbones.openvino import INPUTS, TransformerGraph
from lsb_rag.backbones.sentence_transformer import load_backbone


def test_openvino_is_loaded_without_its_telemetry() -> None:
    code = """
import json, socket, sys
from lsb_rag.backbones.openvino import load_openvino
sent = []
socket.socket.connect = lambda self, address: sent.append(address)
load_openvino()
reporting = sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__
print(json.dumps([sent, "openvino_telemetry" in sys.modules, reporting]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert json.loads(done.stdout) == [[], False, "openvino.tools.ovc.telemetry_stub"]


def test_a_graph_gives_the_hidden_states_of_the_transformer(tiny_backbone: Path) -> None:
    model: Any = load_backbone(tiny_backbone, device="cpu")
    transformer = model[0].auto_model.eval()
    example = model.preprocess(["A few words.", "a valve and a pump that stopped"], task="document")
    with torch.inference_mode():
        graph = TransformerGraph(transformer, example, "float32")
        features = model.preprocess(["pump", "the valve stays open", "E-4012 means that the inlet is blocked"])
        inputs = {name: features[name] for name in INPUTS if name in features}
        expected = transformer(**inputs).last_hidden_state
        found = graph(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
