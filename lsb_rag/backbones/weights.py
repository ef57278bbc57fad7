"""Detection of changes to a model's weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class StateOfWeights:
    """A state that compares equal as long as no weight of a model was replaced, changed in place or moved.

    A change through ``parameter.data`` is not detected, nor is a module that replaces another.
    """

    seen: tuple[Any, ...]
    parameters: Sequence[Any] = field(compare=False)
    """Kept alive, so that no other object gets the identity of one of them."""


def state_of_weights(modules: Iterable[Module]) -> StateOfWeights:
    """Return the current state of the weights of `modules`.

    :param modules: All modules of a model, ``list(model.modules())``; listing them takes longer than looking at their
        weights.
    """
    parameters = [weight for module in modules for weight in module._parameters.values() if weight is not None]
    kinds = (str(parameters[0].device), parameters[0].dtype) if parameters else ()
    marks = ((id(weight), weight.data_ptr(), 0 if weight.is_inference() else weight._version) for weight in parameters)
    return StateOfWeights((*kinds, *marks), parameters)
