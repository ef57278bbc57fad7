"""An exported graph computed by OpenVINO in bfloat16, for passages."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from .base import Matrix
from .onnx_graph import MODEL, OUTPUT, Tokens, threads

KEPT_SHAPES = 32
"""Number of computations prepared for a shape that are kept; each takes memory."""


class OpenVinoGraph:
    """A graph compiled for this processor. Threads may share it.

    A text's vector does not depend on the texts of its length that are computed with it.

    :param folder: Where the files of the graph are.
    :raises Exception: Any error of OpenVINO about what it cannot compile.
    """

    def __init__(self, folder: Path) -> None:
        openvino = load_openvino()
        self.streams = threads()
        options = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": str(self.streams),
            "NUM_STREAMS": str(self.streams),
            "CPU_RUNTIME_CACHE_CAPACITY": str(KEPT_SHAPES),
        }
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(str(folder / MODEL)), "CPU", options)

    def __call__(self, batches: Iterable[Tokens]) -> Iterator[Matrix]:
        """Return the vectors of batches of texts of one length, of length 1, each of shape ``[n, d]``."""
        with ThreadPoolExecutor(self.streams) as pool:
            yield from pool.map(self._vectors, batches)

    def _vectors(self, tokens: Tokens) -> Matrix:
        # One request per call, so that threads may share the graph.
        found = self._compiled.create_infer_request().infer(dict(tokens))[OUTPUT]
        return cast(Matrix, found / np.linalg.norm(found, axis=1, keepdims=True))


def has_openvino() -> bool:
    """Whether OpenVINO is installed, with ``pip install 'lsb-rag[openvino]'``; it is not imported here."""
    return importlib.util.find_spec("openvino") is not None


@cache
def multiplies_bfloat16() -> bool:
    """Whether OpenVINO is installed and this processor multiplies bfloat16 (AVX512-BF16, AMX)."""
    return has_openvino() and "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def load_openvino() -> Any:
    """Return the package, imported without its telemetry, which otherwise reports every import to its makers."""
    if "openvino" not in sys.modules:
        telemetry = sys.modules.get("openvino_telemetry")
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # openvino then uses its stub
        try:
            import openvino
        finally:
            del sys.modules["openvino_telemetry"]
            if telemetry is not None:
                sys.modules["openvino_telemetry"] = telemetry
    import openvino

    return openvino
