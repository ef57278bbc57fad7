"""The folder of a run: what is taken for an interrupted run, and what is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError, TrainingError
from lsb_rag.training import HeldOut, TrainingOptions, contrastive, train
from lsb_rag.training import run as run_folder

from ..tiny import save_tiny
from .runs import FAST, PAIRS, same, untrained


def test_a_folder_is_not_taken_for_another_run(tmp_path: Path, tiny_backbone: Path) -> None:
    options = TrainingOptions(**FAST)

    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done == 5:
            raise Cut

    with pytest.raises(Cut):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, progress=cut)
    other = save_tiny(tmp_path / "other", "wordpiece", "mean")
    torch.manual_seed(5)
    for encoder, pairs, chosen, what in (
        (untrained(tiny_backbone), PAIRS[1:], options, "pairs"),
        (untrained(tiny_backbone), PAIRS, TrainingOptions(**{**FAST, "seed": 4}), "seed"),
        (untrained(tiny_backbone, "llr"), PAIRS, options, "modulation"),
        (untrained(save_tiny(tmp_path / "bpe", "bpe", "cls")), PAIRS, options, "backbone.*tokenizer"),
        (untrained(other), PAIRS, options, "backbone"),
    ):
        with pytest.raises(InvalidInputError, match=f"had other .*{what}.*Nothing was changed"):
            train(encoder, pairs, tmp_path / "run", chosen)
    train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)
    with pytest.raises(InvalidInputError, match="holds something already"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)


def test_killed_while_the_finished_model_is_written(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, held = TrainingOptions(**FAST), HeldOut({"keyword": PAIRS[:5]})
    whole = train(untrained(tiny_backbone), PAIRS, tmp_path / "whole", options, held_out=held)

    def killed(root: Path) -> None:
        (run_folder.staging(root) / "config.json").replace(root / "config.json")
        raise KeyboardInterrupt

    monkeypatch.setattr(contrastive, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    monkeypatch.undo()
    assert not (tmp_path / "run" / "modules.json").exists()
    with pytest.raises(InvalidInputError, match="had other held_out"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)
    again = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    assert same(again.encoder, whole.encoder)
    assert again.history == whole.history
    assert same(LexSemBridgeEncoder.load(tmp_path / "run", device="cpu"), whole.encoder)


def test_a_folder_of_another_trainer_is_left_alone(tmp_path: Path, tiny_backbone: Path) -> None:
    theirs = tmp_path / "run" / "checkpoints" / "checkpoint-500"
    theirs.mkdir(parents=True)
    (theirs / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(InvalidInputError, match="Nothing was changed"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    assert (theirs / "model.safetensors").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made(tmp_path: Path, tiny_backbone: Path) -> None:
    (tmp_path / "file").touch()
    encoder = untrained(tiny_backbone)
    with pytest.raises(TrainingError, match="Cannot write to"):
        train(encoder, PAIRS, tmp_path / "file" / "run", TrainingOptions(**FAST, freeze=True))
    assert not encoder.transformer.frozen
