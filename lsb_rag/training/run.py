"""A training run: what it gave, its folder, its checkpoints, and whether a run can be resumed there."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError, TrainingError
from ..utils.files import write_text

CHECKPOINTS = "checkpoints"
LISTING = "modules.json"
MARKER = "lsb_rag_run.json"
"""What a run was told: beside its checkpoints from the start, and in a checkpoint once that is complete."""


@dataclass(frozen=True)
class Trained:
    """What a training run gave.

    :param encoder: The trained encoder, as saved in `folder`.
    :param steps: Batches trained on, those before a resumption included.
    :param loss: The training loss as last logged, a mean of up to 10 batches.
    :param history: What was measured on held-out pairs, a row an evaluation.
    """

    encoder: LexSemBridgeEncoder
    folder: Path
    steps: int
    loss: float
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best(self) -> dict[str, float]:
        """The evaluation of the checkpoint that was saved; empty where nothing was held out."""
        return max(self.history, key=lambda row: row["mrr@10"], default={})


def start_or_resume(root: Path, told: dict[str, Any]) -> Path | None:
    """Make the folder of a new run, or find the checkpoint that an interrupted one goes on from.

    :param told: By which a run is known to be the same.
    :return: The checkpoint; None for a new run, or one that had none yet.
    :raises InvalidInputError: When the folder holds something else, or an interrupted run that was told otherwise.
    :raises TrainingError: When it cannot be written.
    """
    before = _read(root / CHECKPOINTS / MARKER)
    if before is None or (root / LISTING).exists():
        if root.is_file() or (root.is_dir() and any(root.iterdir())):
            raise InvalidInputError(f"{root} holds something already; give a new folder. Nothing was changed.")
        try:
            (root / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            write_text(root / CHECKPOINTS / MARKER, json.dumps(told))
        except OSError as error:
            raise TrainingError(f"Cannot write to {root}: {error}") from error
        return None
    differing = sorted(key for key in told if before.get(key) != told[key])
    if differing:
        raise InvalidInputError(
            f"An interrupted run in {root} had other {', '.join(differing)}; go on with the same, or start anew in "
            "another folder. Nothing was changed."
        )
    drop_incomplete(root)
    complete = complete_checkpoints(root)
    return complete[-1] if complete else None


def _read(marker: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        return None


def complete_checkpoints(root: Path) -> list[Path]:
    """The checkpoints of a run that were written to their end, oldest first."""
    found = [file.parent for file in (root / CHECKPOINTS).glob(f"checkpoint-*/{MARKER}") if _read(file) is not None]
    return sorted(found, key=lambda checkpoint: int(checkpoint.name.rsplit("-", 1)[1]))


def drop_incomplete(root: Path) -> None:
    """Delete what a run of ours did not write to its end: checkpoints, a finished model."""
    if _read(root / CHECKPOINTS / MARKER) is None:
        return
    shutil.rmtree(staging(root), ignore_errors=True)
    complete = complete_checkpoints(root)
    for checkpoint in (root / CHECKPOINTS).glob("checkpoint-*"):
        if checkpoint not in complete:
            shutil.rmtree(checkpoint, ignore_errors=True)


def what_is_left(root: Path) -> str:
    """From where an interrupted run can go on, as a sentence."""
    complete = complete_checkpoints(root)
    if not complete:
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {complete[-1]}; the same again goes on from it."


def staging(root: Path) -> Path:
    """Where a finished model is written first."""
    return root / CHECKPOINTS / "finished"


def publish(root: Path) -> None:
    """Move a finished model to its place; its listing comes last, so that a model is there whole or not at all."""
    for entry in sorted(staging(root).iterdir(), key=lambda entry: entry.name == LISTING):
        there = root / entry.name
        if there.is_dir():
            shutil.rmtree(there)
        entry.replace(there)
    staging(root).rmdir()


def mark_complete(checkpoint: Path, told: dict[str, Any]) -> None:
    """Note in a checkpoint that all of it is there, and what its run was told."""
    write_text(checkpoint / MARKER, json.dumps(told))
