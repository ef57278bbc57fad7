"""What passages are embedded in, and by what: chosen for the machine, or said.

Queries are always embedded in the backbone's own number format. Passages are many, and a vector of theirs in bfloat16
differs from the one in float32 by a cosine of some 0.00003; see docs/benchmarks.md for what that does to ranking.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""What passages are embedded in; see :func:`computation_for`."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
PRECISION_VARIABLE = "LSB_RAG_PRECISION"
"""Environment variable with the precision of every encoder that is not told one."""


@dataclass(frozen=True)
class Computation:
    """How passages are embedded.

    :param precision: Number format of the matrix products.
    :param engine: ``torch`` or ``openvino``.
    :param plain: Whether it is the plain backbone, bit for bit: nothing sorted, batched or computed otherwise.
    """

    precision: str
    engine: str = "torch"
    plain: bool = False

    def __str__(self) -> str:
        return f"{self.precision} by {'OpenVINO' if self.engine == 'openvino' else 'PyTorch'}"


def checked_precision(precision: str | None = None) -> str:
    """`precision`; for None that of :data:`PRECISION_VARIABLE`, else ``auto``.

    :raises InvalidInputError: For one that is unknown.
    """
    chosen = precision if precision is not None else asked_precision() or "auto"
    if chosen not in PRECISIONS:
        named = repr(chosen) if precision is not None else f"{chosen!r} in ${PRECISION_VARIABLE}"
        raise InvalidInputError(f"Unknown precision {named}; choose one of {', '.join(PRECISIONS)}.")
    return chosen


def asked_precision() -> str | None:
    """What the environment asks for."""
    return os.environ.get(PRECISION_VARIABLE) or None


def computation_for(precision: str, device: str, parameters: torch.dtype | None = None) -> Computation:
    """How passages are embedded on a device, such as ``cpu`` or ``cuda:0``.

    ``auto`` is bfloat16 where the processor multiplies it (AVX512-BF16, AMX) and on a GPU (float16 on one that does
    not), float32 elsewhere. OpenVINO computes on a processor where it is installed, but not for ``float32``, which is
    the backbone bit for bit.

    :param parameters: The backbone's own number format; one that is not float32 is kept.
    """
    kind = device.split(":")[0]
    own = str(parameters or "torch.float32").removeprefix("torch.")
    if precision == "float32" or own != "float32":
        return Computation(own, plain=precision == "float32")
    if precision == "auto":
        precision = _fastest(kind)
    return Computation(precision, "openvino" if suits_openvino(kind, precision) and has_openvino() else "torch")


def suits_openvino(kind: str, precision: str) -> bool:
    """Whether OpenVINO computes in this precision here, if it is installed."""
    return kind == "cpu" and (precision == "float32" or (precision == "bfloat16" and multiplies_bfloat16()))


def _fastest(kind: str) -> str:
    if kind == "cpu":
        return "bfloat16" if multiplies_bfloat16() else "float32"
    if kind == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "float32"


def multiplies_bfloat16() -> bool:
    """Whether this processor has instructions for it, and ``ATEN_CPU_CAPABILITY`` does not hold PyTorch below them."""
    import torch

    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test() for test in tests if test)


def has_openvino() -> bool:
    """Whether OpenVINO is installed, with ``pip install 'lsb-rag[openvino]'``; it is not imported here."""
    return importlib.util.find_spec("openvino") is not None


def default_device() -> str:
    """The device that sentence-transformers chooses, without importing it."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
