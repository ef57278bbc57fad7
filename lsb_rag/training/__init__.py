"""Training with the paper's contrastive loss on drawn or given pairs, and adapting to a collection without labels."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..utils.extras import require_local

# Loaded on first use: the trainer imports torch, accelerate and datasets.
_HOME = {
    "Adapted": "word_weights",
    "HeldOut": "evaluator",
    "Pair": "pairs",
    "Trained": "run",
    "TrainingOptions": "options",
    "adapt": "word_weights",
    "draw_pairs": "sampling",
    "mine_negatives": "negatives",
    "read_pairs": "pairs",
    "split_by_passage": "pairs",
    "train": "contrastive",
}

if TYPE_CHECKING:
    from .contrastive import train
    from .evaluator import HeldOut
    from .negatives import mine_negatives
    from .options import TrainingOptions
    from .pairs import Pair, read_pairs, split_by_passage
    from .run import Trained
    from .sampling import draw_pairs
    from .word_weights import Adapted, adapt

__all__ = [
    "Adapted",
    "HeldOut",
    "Pair",
    "Trained",
    "TrainingOptions",
    "adapt",
    "draw_pairs",
    "mine_negatives",
    "read_pairs",
    "split_by_passage",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_local("Training", "train")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
