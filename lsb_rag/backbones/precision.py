"""The precision and the engine that passages are embedded with, chosen for the machine or given.

Queries are always embedded in the backbone's own number format. Passages are many, and their vectors in bfloat16 differ
from those in float32 by a cosine of about 0.00003; see docs/benchmarks.md for the effect on ranking.
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
"""The precision that passages are embedded in; see :func:`computation_for`."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
PRECISION_VARIABLE = "LSB_RAG_PRECISION"
"""Environment variable with the precision of every encoder that is not given one."""


@dataclass(frozen=True)
class Computation:
    """How passages are embedded.

    :param precision: Number format of the matrix products.
    :param engine: ``torch`` or ``openvino``.
    :param plain: Whether the vectors are the plain backbone's, bit for bit: nothing is sorted, batched or computed
        differently.
    """

    precision: str
    engine: str = "torch"
    plain: bool = False

    def __str__(self) -> str:
        return f"{self.precision} by {'OpenVINO' if self.engine == 'openvino' else 'PyTorch'}"


def checked_precision(precision: str | None = None) -> str:
    """Return `precision`; for None the one in :data:`PRECISION_VARIABLE`, else ``auto``.

    :raises InvalidInputError: For an unknown precision.
    """
    chosen = precision if precision is not None else asked_precision() or "auto"
    if chosen not in PRECISIONS:
        named = repr(chosen) if precision is not None else f"{chosen!r} in ${PRECISION_VARIABLE}"
        raise InvalidInputError(f"Unknown precision {named}; choose one of {', '.join(PRECISIONS)}.")
    return chosen


def asked_precision() -> str | None:
    """Return the precision that the environment asks for, or None."""
    return os.environ.get(PRECISION_VARIABLE) or None


def computation_for(precision: str, device: str, parameters: torch.dtype | None = None) -> Computation:
    """Return how passages are embedded on a device, such as ``cpu`` or ``cuda:0``.

    ``auto`` is bfloat16 on a processor that multiplies it (AVX512-BF16, AMX) and on a GPU that does; float16 on other
    GPUs; and float32 elsewhere. OpenVINO computes on a processor where it is installed, but not for ``float32``, which
    is the backbone bit for bit.

    :param parameters: The backbone's own number format; one other than float32 is kept.
    """
    kind = device.split(":")[0]
    own = str(parameters or "torch.float32").removeprefix("torch.")
    if precision == "float32" or own != "float32":
        return Computation(own, plain=precision == "float32")
    if precision == "auto":
        precision = _fastest_precision(kind)
    engine = "openvino" if suits_openvino(kind, precision) and has_openvino() else "torch"
    return Computation(precision, engine)


def suits_openvino(kind: str, precision: str) -> bool:
    """Whether OpenVINO, if installed, computes in this precision here."""
    return kind == "cpu" and (precision == "float32" or (precision == "bfloat16" and multiplies_bfloat16()))


def _fastest_precision(kind: str) -> str:
    if kind == "cpu":
        return "bfloat16" if multiplies_bfloat16() else "float32"
    if kind == "cuda":
        import torch

        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "float32"


def multiplies_bfloat16() -> bool:
    """Whether this processor has bfloat16 instructions that ``ATEN_CPU_CAPABILITY`` does not hide from PyTorch."""
    import torch

    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test() for test in tests if test)


def has_openvino() -> bool:
    """Whether OpenVINO is installed, with ``pip install 'lsb-rag[openvino]'``; it is not imported here."""
    return importlib.util.find_spec("openvino") is not None


def default_device() -> str:
    """Return the device that sentence-transformers chooses, without importing it."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
