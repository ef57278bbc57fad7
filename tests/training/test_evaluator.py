from __future__ import annotations

from pathlib import Path

import pytest

from lsb_rag.errors import InvalidInputError
from lsb_rag.training import HeldOut, TrainingOptions, train

from .runs import FAST, PAIRS, untrained


def test_one_held_out_set_measures_several_encoders(tmp_path: Path, tiny_backbone: Path) -> None:
    held, options = HeldOut({"keyword": PAIRS[:8]}), TrainingOptions(**FAST)
    train(untrained(tiny_backbone), PAIRS, tmp_path / "frozen", TrainingOptions(**FAST, freeze=True), held_out=held)
    again = train(untrained(tiny_backbone), PAIRS, tmp_path / "again", options, held_out=held)
    fresh = train(untrained(tiny_backbone), PAIRS, tmp_path / "new", options, held_out=HeldOut({"keyword": PAIRS[:8]}))
    assert again.history == fresh.history


def test_held_out_pairs_are_needed() -> None:
    with pytest.raises(InvalidInputError, match="no held-out pairs"):
        HeldOut({"keyword": []})
