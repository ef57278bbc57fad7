"""The backbone's Transformer as an OpenVINO graph, which runs faster on a processor than PyTorch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TransformerGraph:
    """A Transformer converted and compiled for this processor.

    :param transformer: A ``transformers`` model that gives ``last_hidden_state``.
    :param features: A tokenised batch of several texts of different lengths, as the model takes it.
    :param precision: ``float32`` or ``bfloat16``.
    :raises Exception: Any error of OpenVINO or the tracer about what they cannot convert.
    """

    def __init__(self, transformer: torch.nn.Module, features: Mapping[str, Any], precision: str) -> None:
        import torch

        openvino = load_openvino()
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        self._inputs = [name for name in INPUTS if name in features]

        class HiddenStates(torch.nn.Module):
            """A model with positional inputs and one output, as tracing needs."""

            def __init__(self) -> None:
                super().__init__()
                self.transformer = transformer

            def forward(self, *inputs: torch.Tensor) -> Any:
                named = dict(zip(INPUTS, inputs, strict=False))
                return self.transformer(**named, return_dict=True).last_hidden_state

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer's, about branches that such inputs do not take
            example = tuple(features[name] for name in self._inputs)
            decoder = TorchScriptPythonDecoder(HiddenStates(), example_input=example)  # read during the conversion
            frontend = FrontEndManager().load_by_framework("pytorch")
            model = frontend.convert(frontend.load(decoder))
        hint = "bf16" if precision == "bfloat16" else "f32"
        threads = str(torch.get_num_threads())
        options = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", options)

    def __call__(self, features: Mapping[str, Any]) -> torch.Tensor:
        """Return the hidden states of the last layer, float32 of shape ``[texts, tokens, width]``."""
        import torch

        request = self._compiled.create_infer_request()  # one per call, so that threads may share the graph
        outputs = request.infer([features[name].numpy() for name in self._inputs])
        return torch.from_numpy(outputs[0].copy())


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
