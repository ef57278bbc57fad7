from __future__ import annotations

import math
from typing import Any

import pytest

from lsb_rag import LsbRagError
from lsb_rag.training import TrainingOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": math.nan},
        {"temperature": -1},
        {"warmup": 2},
        {"save_steps": 0},
        {"seed": 2**32},
        {"epochs": "3"},
        {"batch_size": 2.5},
        {"freeze": True, "bridge": False},
    ],
)
def test_options_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(LsbRagError, match=next(iter(wrong)) if len(wrong) == 1 else "nothing to train"):
        TrainingOptions(**wrong)
