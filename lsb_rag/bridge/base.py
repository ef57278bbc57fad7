"""The protocol of a bridge, and the names and strengths of the fusions.

Nothing here imports torch, so that opening a collection does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

Fusion = Literal["product", "residual", "signed_product"]
"""How a bridge's direction is fused with the embedding, see :func:`lsb_rag.bridge.fusion.fuse`."""
Vector = NDArray[np.float64]

DEFAULT_STRENGTH: Mapping[str, float] = {"product": 1.0, "residual": 0.8, "signed_product": 14.0}
"""Default strength of each fusion; 1 is the paper's product, alpha = 0.8 and beta = 14 are ours."""


@runtime_checkable
class Bridge(Protocol):
    """Maps the lexical weights of units, words or wordpieces by name, into the space of the vectors."""

    @property
    def dimension(self) -> int:
        """Width d of its directions."""
        ...

    def direction(self, weights: Mapping[str, float]) -> Vector | None:
        """Return the direction c that `weights` point to, shape ``[d]``, or None where they point nowhere.

        The length of c, 1 at most, expresses the confidence in it.
        """
        ...


def checked_strength(fusion: Fusion, strength: float | None) -> float:
    """Return the strength to use with `fusion`, the default for None.

    :raises InvalidInputError: For an unknown fusion or a strength that is negative or not finite.
    """
    if fusion not in get_args(Fusion):
        raise InvalidInputError(f"Unknown fusion {fusion!r}; choose one of {', '.join(get_args(Fusion))}.")
    try:
        chosen = DEFAULT_STRENGTH[fusion] if strength is None else float(strength)
    except (TypeError, ValueError):
        chosen = -1.0
    if not (np.isfinite(chosen) and chosen >= 0):
        raise InvalidInputError(f"strength must be a finite number of at least 0, not {strength!r}.")
    return chosen
