"""Whether a model's weights are still those they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class StateOfWeights:
    """Equal for one model as long as no weight was replaced, changed in place or moved.

    A change through ``parameter.data`` leaves no sign, nor does a module that takes another's place.
    """

    seen: tuple[Any, ...]
    parameters: Sequence[Any] = field(compare=False)
    """Held, so that no other object gets the identity of one of them."""


def state_of_weights(modules: Iterable[Module]) -> StateOfWeights:
    """The state as it is now.

    :param modules: All of a model's, ``[*model.modules()]``; finding them takes longer than looking at their weights.
    """
    held = [one for module in modules for one in module._parameters.values() if one is not None]
    kinds = (str(held[0].device), held[0].dtype) if held else ()
    marks = ((id(one), one.data_ptr(), 0 if one.is_inference() else one._version) for one in held)
    return StateOfWeights((*kinds, *marks), held)
