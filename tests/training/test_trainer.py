from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lsb_rag.errors import TrainingError
from lsb_rag.training import HeldOut, Pair, TrainingOptions, train

from ..conftest import MANUAL
from .runs import FAST, PAIRS, untrained


def test_a_frozen_backbone_embeds_passages_once_and_gives_the_same_loss(tmp_path: Path, tiny_backbone: Path) -> None:
    embedded: list[tuple[int, int]] = []
    encoder = untrained(tiny_backbone)
    calls: list[int] = []
    original = encoder.transformer.forward

    def counted(features: dict[str, Any], **kwargs: Any) -> Any:
        calls.append(len(features["input_ids"]))
        return original(features, **kwargs)

    encoder.transformer.forward = counted  # type: ignore[method-assign]
    options = TrainingOptions(freeze=True, **{**FAST, "max_steps": 3})
    train(encoder, PAIRS, tmp_path / "run", options, embedding=lambda done, total: embedded.append((done, total)))
    passages = len({pair.positive for pair in PAIRS})
    assert embedded == [(passages, passages)]
    assert sum(calls) == passages + 3 * options.batch_size


def test_every_pair_is_seen_though_passages_come_again(tmp_path: Path, tiny_backbone: Path) -> None:
    pairs = [Pair(f"query {n}", f"passage {n % 3}", ("passage 3",)) for n in range(30)]
    encoder, seen = untrained(tiny_backbone), []
    original = encoder.transformer.preprocess

    def noted(inputs: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("task") == "query":
            seen.extend(inputs)
        return original(inputs, *arguments, **options)

    encoder.transformer.preprocess = noted  # type: ignore[method-assign]
    trained = train(encoder, pairs, tmp_path / "run", TrainingOptions(batch_size=8, freeze=True))
    assert sorted(seen) == sorted(pair.query for pair in pairs)
    assert trained.steps == 4


def test_a_run_shorter_than_a_checkpoint_is_measured_at_its_end(tmp_path: Path, tiny_backbone: Path) -> None:
    held = HeldOut({"keyword": PAIRS[:5]})
    options = TrainingOptions(batch_size=4, max_steps=3)
    trained = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    assert [row["step"] for row in trained.history] == [3]
    assert not list((tmp_path / "run" / "checkpoints").glob("finished"))


def test_weights_that_are_lost_are_not_saved(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = untrained(tiny_backbone)

    def poison(done: int, total: int) -> None:
        if done == 8:  # before the checkpoint of this step
            with torch.no_grad():
                encoder.bridge.weight.fill_(math.inf)  # type: ignore[union-attr]

    with pytest.raises(TrainingError, match=r"weights are no longer finite .*checkpoint-4"):
        train(encoder, PAIRS, tmp_path / "run", TrainingOptions(**FAST), progress=poison)
    assert not (tmp_path / "run" / "modules.json").exists()


def test_no_pickle_beside_what_the_trainer_needs_to_resume(tmp_path: Path, tiny_backbone: Path) -> None:
    train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    pickled = {file.name for file in files if file.suffix in (".bin", ".pt", ".pth", ".pkl")}
    assert pickled == {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
    assert not [file for file in (tmp_path / "run").glob("*") if file.suffix in (".bin", ".pt", ".pth", ".pkl")]
    told = json.loads((tmp_path / "run" / "checkpoints" / "checkpoint-8" / "lsb_rag_run.json").read_text())
    assert MANUAL[0].content not in json.dumps(told)
