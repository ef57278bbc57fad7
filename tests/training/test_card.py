from __future__ import annotations

from pathlib import Path

from lsb_rag.training import Pair, TrainingOptions, train

from .runs import FAST, PAIRS, untrained


def test_the_card_tells_of_the_training_and_not_of_this_machine(tmp_path: Path, tiny_backbone: Path) -> None:
    pairs = [Pair(pair.query, pair.positive, ("Lunch is served.",)) for pair in PAIRS[:8]]
    options = TrainingOptions(freeze=True, **{**FAST, "max_steps": 2})
    train(untrained(tiny_backbone), pairs, tmp_path / "run", options)
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "8 pairs, 1 negatives each" in card
    assert f"the bridge of {tiny_backbone.name}, with the" in card
    assert "Nothing was held out to measure it on." in card
    assert str(tmp_path) not in card
    assert PAIRS[0].positive not in card
