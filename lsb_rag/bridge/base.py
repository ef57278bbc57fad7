"""The protocol of a bridge, the names of the paradigms, and the names and strengths of the fusions.

Nothing here imports torch, so that opening a collection does not wait for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..utils.arguments import shown

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from .learned import LearnedBridge

Fusion = Literal["product", "residual", "signed_product"]
"""How a bridge's direction is fused with the embedding, see :func:`lsb_rag.bridge.fusion.fuse`."""
Vector = NDArray[np.float64]
Paradigm = Literal["slr", "llr", "clr"]
"""How the units of a query are weighted."""
PARADIGMS: tuple[str, ...] = get_args(Paradigm)

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


def is_learned(bridge: object) -> TypeIs[LearnedBridge]:
    """Whether `bridge` is a :class:`~lsb_rag.bridge.learned.LearnedBridge`; torch is not imported to find out."""
    # The module may be half imported, by another thread.
    learned = getattr(sys.modules.get("lsb_rag.bridge.learned"), "LearnedBridge", None)
    return learned is not None and isinstance(bridge, learned)


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


def checked_paradigm(paradigm: str, top_k: int | None) -> None:
    """Refuse options that do not go together.

    :raises InvalidInputError: For an unknown paradigm, a top-k with another paradigm than CLR, or one below 1.
    """
    if not isinstance(paradigm, str) or paradigm not in PARADIGMS:
        raise InvalidInputError(f"Unknown paradigm {shown(paradigm)}; choose one of {', '.join(PARADIGMS)}.")
    whole = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 1
    if top_k is not None and (paradigm != "clr" or not whole):
        raise InvalidInputError("top_k is a whole number of at least 1 and goes with paradigm='clr' alone.")
