from __future__ import annotations

import json
import subprocess
import sys


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
