"""The precision and the engine that passages are embedded with, chosen for the machine or given.

Queries are always embedded in the backbone's own number format. Passages are many, and their vectors in bfloat16 differ
from those in float32 by a cosine of about 0.00003; see docs/benchmarks.md for the effect on ranking.
"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""The precision that passages are embedded in; see :func:`computation_for`."""
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
PRECISION_VARIABLE = "LSB_RAG_PRECISION"
"""Environment variable with the precision of every encoder that is not given one."""


GPU_FILES = (
    "/dev/nvidiactl",
    "/dev/nvhost-gpu",
    "/dev/kfd",
    "/dev/dxg",
    "/dev/davinci0",
    r"C:\Windows\System32\nvcuda.dll",
)
"""Files that the drivers of GPUs make: CUDA, CUDA on Jetson, ROCm, either under WSL, Ascend, CUDA on Windows."""
ENGINES = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True)
class Computation:
    """How passages are embedded.

    :param precision: Number format of the matrix products.
    :param engine: ``torch``, ``onnxruntime`` or ``openvino``.
    :param plain: Whether the vectors are PyTorch's, bit for bit: nothing is sorted, batched or computed differently.
    """

    precision: str
    engine: str = "torch"
    plain: bool = False

    def __str__(self) -> str:
        return f"{self.precision} by {ENGINES[self.engine]}"


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
    """Return how PyTorch embeds passages on a device, such as ``cpu`` or ``cuda:0``.

    ``auto`` is bfloat16 on a processor that multiplies it (AVX512-BF16, AMX) and on a GPU that does; float16 on other
    GPUs; and float32 elsewhere. ``float32`` is the backbone bit for bit.

    :param parameters: The backbone's own number format; one other than float32 is kept.
    """
    kind = device.split(":")[0]
    own = str(parameters or "torch.float32").removeprefix("torch.")
    if precision == "float32" or own != "float32":
        return Computation(own, plain=precision == "float32")
    if precision == "auto":
        precision = _fastest_precision(kind)
    return Computation(precision)


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


def processor_multiplies_bfloat16() -> bool:
    """Whether this processor has bfloat16 instructions, as far as Linux tells; PyTorch is not asked."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def has_gpu() -> bool:
    """Whether PyTorch may find a GPU here; it is not imported to find out."""
    try:
        built_for = version("torch")
    except PackageNotFoundError:
        return False
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if built_for.endswith("+xpu"):
        return True
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and not built_for.endswith("+cpu") and any(map(os.path.exists, GPU_FILES))


def default_device() -> str:
    """Return the device that sentence-transformers chooses, without importing it."""
    if not has_gpu():
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
