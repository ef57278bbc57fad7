"""A training run: its result, its folder, its checkpoints, and whether it can be resumed."""

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
"""File that makes a folder a model; it is written last."""
MARKER = "lsb_rag_run.json"
"""File with the identity of a run: beside its checkpoints from the start, and in each checkpoint once complete."""


@dataclass(frozen=True)
class Trained:
    """Result of a training run.

    :param encoder: The trained encoder, as saved in `folder`.
    :param folder: Folder of the run.
    :param steps: Number of batches trained on, including those before a resumption.
    :param loss: The training loss as last logged, a mean of up to 10 batches.
    :param history: Measures on held-out pairs, one row per evaluation.
    """

    encoder: LexSemBridgeEncoder
    folder: Path
    steps: int
    loss: float
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best(self) -> dict[str, float]:
        """The evaluation of the checkpoint that was saved; empty if nothing was held out."""
        return max(self.history, key=lambda row: row["mrr@10"], default={})


def start_or_resume(root: Path, identity: dict[str, Any]) -> Path | None:
    """Create the folder of a new run, or find the checkpoint from which an interrupted run continues.

    :param identity: Everything that a resumed run must have in common with the interrupted one.
    :return: The checkpoint; None for a new run, or for one without a checkpoint.
    :raises InvalidInputError: When the folder holds something else, or an interrupted run of another identity.
    :raises TrainingError: When the folder cannot be written.
    """
    before = _read_marker(root / CHECKPOINTS / MARKER)
    if before is None or (root / LISTING).exists():
        if root.is_file() or (root.is_dir() and any(root.iterdir())):
            raise InvalidInputError(f"{root} holds something already; give a new folder. Nothing was changed.")
        try:
            (root / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            write_text(root / CHECKPOINTS / MARKER, json.dumps(identity))
        except OSError as error:
            raise TrainingError(f"Cannot write to {root}: {error}") from error
        return None
    differing = sorted(key for key in identity if before.get(key) != identity[key])
    if differing:
        raise InvalidInputError(
            f"An interrupted run in {root} had other {', '.join(differing)}; go on with the same, or start anew in "
            "another folder. Nothing was changed."
        )
    drop_incomplete(root)
    complete = complete_checkpoints(root)
    return complete[-1] if complete else None


def _read_marker(marker: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(marker.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError, RecursionError):
        return None


def complete_checkpoints(root: Path) -> list[Path]:
    """Return the checkpoints of a run that were written completely, oldest first."""
    found = [
        file.parent for file in (root / CHECKPOINTS).glob(f"checkpoint-*/{MARKER}") if _read_marker(file) is not None
    ]
    return sorted(found, key=lambda checkpoint: int(checkpoint.name.rsplit("-", 1)[1]))


def drop_incomplete(root: Path) -> None:
    """Delete what a run did not write completely: checkpoints and a finished model. Other folders are left alone."""
    if _read_marker(root / CHECKPOINTS / MARKER) is None:
        return
    shutil.rmtree(staging(root), ignore_errors=True)
    complete = complete_checkpoints(root)
    for checkpoint in (root / CHECKPOINTS).glob("checkpoint-*"):
        if checkpoint not in complete:
            shutil.rmtree(checkpoint, ignore_errors=True)


def resume_hint(root: Path) -> str:
    """Return a sentence that says from where an interrupted run can continue."""
    complete = complete_checkpoints(root)
    if not complete:
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {complete[-1]}; the same again goes on from it."


def staging(root: Path) -> Path:
    """Return the folder that a finished model is written to first."""
    return root / CHECKPOINTS / "finished"


def publish(root: Path) -> None:
    """Move a finished model to its place.

    Its listing is moved last, so that the folder holds either a complete model or none.
    """
    for entry in sorted(staging(root).iterdir(), key=lambda entry: entry.name == LISTING):
        target = root / entry.name
        if target.is_dir():
            shutil.rmtree(target)
        entry.replace(target)
    staging(root).rmdir()


def mark_complete(checkpoint: Path, identity: dict[str, Any]) -> None:
    """Mark a checkpoint as complete, with the identity of its run."""
    write_text(checkpoint / MARKER, json.dumps(identity))
