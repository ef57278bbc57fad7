"""An untrained encoder, pairs and options for the tests of training runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.training import draw_pairs

from ..conftest import MANUAL

PAIRS = draw_pairs(MANUAL, 30, seed=1)["keyword"]
FAST: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "save_steps": 4, "max_steps": 8}


def untrained(backbone: Path, paradigm: Any = "slr") -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(backbone, paradigm=paradigm, units="wordpieces", fusion="product", device="cpu")


def weights(encoder: LexSemBridgeEncoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.model.state_dict().items()}


def same(one: LexSemBridgeEncoder, other: LexSemBridgeEncoder) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)
