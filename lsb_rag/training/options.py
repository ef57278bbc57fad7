"""Options of a training run, and checks of their values."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..errors import InvalidInputError, InvalidTypeError
from ..utils.arguments import shown


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run. Defaults are the paper's (arXiv 2508.17858, section 4) where it gives one.

    :param epochs: Number of times that every pair is seen.
    :param max_steps: Number of batches to stop after; 0 stops after the epochs.
    :param batch_size: Number of pairs in a batch. Each query has the batch's other passages as negatives.
    :param learning_rate: Learning rate of the backbone, 1e-5 in the paper.
    :param bridge_learning_rate: Learning rate of W and the lexical weights. The paper trains everything at 1e-5, at
        which W hardly leaves 0 in a short run; see ``docs/training.md``.
    :param temperature: T of the loss.
    :param query_length: Most tokens of a query in training.
    :param passage_length: Most tokens of a passage in training.
    :param warmup: Share of the steps in which the learning rate rises. It falls to 0 afterwards.
    :param freeze: Leave the backbone as it is and train the bridge alone. Passages are embedded once.
    :param bridge: False trains the backbone alone, for comparison.
    :param save_steps: Number of steps between checkpoints, which are also evaluations.
    :param seed: Seed of batches and dropout.
    """

    epochs: float = 1.0
    max_steps: int = 0
    batch_size: int = 32
    learning_rate: float = 1e-5
    bridge_learning_rate: float = 1e-2
    temperature: float = 0.02
    query_length: int = 64
    passage_length: int = 256
    warmup: float = 0.1
    freeze: bool = False
    bridge: bool = True
    save_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        :raises InvalidInputError: With the name of the option.
        :raises InvalidTypeError: For anything but numbers.
        """
        least = {"batch_size": 2, "query_length": 3, "passage_length": 3, "save_steps": 1}
        for field in fields(self):
            value = getattr(self, field.name)
            wants_integer = isinstance(field.default, int)
            if not isinstance(value, int | float) or (wants_integer and not isinstance(value, int)):
                kind = "a whole number" if wants_integer else "a number"
                raise InvalidTypeError(f"{field.name} must be {kind}, not {shown(value)}.")
            lowest = least.get(field.name, 0)
            positive = field.name in ("epochs", "learning_rate", "bridge_learning_rate", "temperature")
            if not lowest <= value < float("inf") or (positive and value == 0):
                wanted = "above 0" if positive else f"at least {lowest}"
                raise InvalidInputError(f"{field.name} must be {wanted}, not {shown(value)}.")
        if self.warmup > 1:
            raise InvalidInputError(f"warmup is a share of the steps, from 0 to 1, not {self.warmup}.")
        if self.seed >= 2**32:
            raise InvalidInputError(f"seed must be below 2**32, not {self.seed}.")
        if self.freeze and not self.bridge:
            raise InvalidInputError("A frozen backbone without a bridge leaves nothing to train.")
