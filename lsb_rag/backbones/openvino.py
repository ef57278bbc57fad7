"""An exported graph computed by OpenVINO in bfloat16, for passages."""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, cast

import numpy as np

from ..utils.batches import batched
from .base import Matrix
from .onnx_graph import MODEL, OUTPUT, OnnxGraph, Tokens, threads

KEPT_SHAPES = 128
"""Number of computations prepared for a shape that are kept; each takes memory."""
WIDTHS = 16
"""Texts are padded to a multiple of this many tokens, so that there are few shapes to prepare."""
TOKENS_AT_ONCE = 1024
"""Tokens of one batch; more take memory and gain nothing."""

logger = logging.getLogger(__name__)
_importing = threading.Lock()
_first = threading.Lock()
"""Held at the first computation: OpenVINO 2026.4 deadlocks where two threads are the first to hand it arrays."""


class OpenVinoGraph:
    """A graph compiled for this processor. Threads may share it.

    A text is padded by its own length alone, and its vector does not depend on the texts that are computed with it.

    :param graph: The graph as ONNX Runtime computes it.
    :raises Exception: Any error of OpenVINO about what it cannot compile.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        openvino = load_openvino()
        self._graph = graph
        self._streams = threads()
        options = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": str(self._streams),
            "NUM_STREAMS": str(self._streams),
            "CPU_RUNTIME_CACHE_CAPACITY": str(KEPT_SHAPES),
        }
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(str(graph.folder / MODEL)), "CPU", options)
        with _first:
            self._vectors(graph.tokens(["."], "")[0])

    def __call__(self, tokens: Sequence[Tokens]) -> Iterator[tuple[list[int], Matrix]]:
        """Yield numbers of texts and their vectors, of length 1 and shape ``[n, d]``, until each text had its own."""
        by_width: defaultdict[int, list[int]] = defaultdict(list)
        for number, one in enumerate(tokens):
            by_width[self._width(one["input_ids"].shape[1])].append(number)
        batches: list[tuple[int, list[int]]] = []
        for width, numbers in sorted(by_width.items()):
            batches += ((width, list(batch)) for batch in batched(numbers, max(1, TOKENS_AT_ONCE // width)))
        with ThreadPoolExecutor(self._streams) as pool:
            padded = (self._padded([tokens[number] for number in numbers], width) for width, numbers in batches)
            for (_, numbers), vectors in zip(batches, pool.map(self._vectors, padded), strict=True):
                yield numbers, vectors

    def _width(self, length: int) -> int:
        longest = self._graph.fingerprint.max_length or length + WIDTHS
        return max(length, min(-(-length // WIDTHS) * WIDTHS, longest))

    def _padded(self, tokens: Sequence[Tokens], width: int) -> Tokens:
        fill = {"input_ids": self._graph.pad_id}
        padded = {name: np.full((len(tokens), width), fill.get(name, 0), np.int64) for name in tokens[0]}
        for row, one in enumerate(tokens):
            for name, values in one.items():
                padded[name][row, : values.shape[1]] = values[0]
        return padded

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
    try:
        return has_openvino() and "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception as error:  # an installation that is broken
        logger.warning("OpenVINO cannot be used: %s", error)
        return False


def load_openvino() -> Any:
    """Return the package, imported without its telemetry, which otherwise reports every import to its makers."""
    with _importing:
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
