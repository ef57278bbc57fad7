"""The folder of a training run: its checkpoints, complete or not, and whether a run can go on in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError

CHECKPOINTS = "checkpoints"
MARKER = "lsb_rag_run.json"
"""Written into a checkpoint once it is complete, with what the run was told."""


def start_or_resume(root: Path, told: dict[str, Any]) -> Path | None:
    """The checkpoint to go on from; None for a new run.

    :param told: By which a run is known to be the same.
    :raises InvalidInputError: When the folder holds something else, or an interrupted run that was told otherwise.
    """
    drop_incomplete(root)
    complete = complete_checkpoints(root)
    if root.is_file() or (root.is_dir() and _others(root)):
        raise InvalidInputError(f"{root} holds something already; give a new folder. Nothing was changed.")
    if not complete:
        return None
    before = json.loads((complete[-1] / MARKER).read_text(encoding="utf-8"))
    differing = sorted(key for key in told if before.get(key) != told[key])
    if differing:
        raise InvalidInputError(
            f"An interrupted run in {root} had other {', '.join(differing)}; go on with the same, or start anew in "
            "another folder. Nothing was changed."
        )
    return complete[-1]


def _others(root: Path) -> list[Path]:
    return [entry for entry in root.iterdir() if entry.name != CHECKPOINTS]


def complete_checkpoints(root: Path) -> list[Path]:
    """The checkpoints of a run that were written to their end, oldest first."""
    found = [file.parent for file in (root / CHECKPOINTS).glob(f"checkpoint-*/{MARKER}")]
    return sorted(found, key=lambda checkpoint: int(checkpoint.name.rsplit("-", 1)[1]))


def drop_incomplete(root: Path) -> None:
    """Delete checkpoints that were not written to their end."""
    for checkpoint in (root / CHECKPOINTS).glob("checkpoint-*"):
        if not (checkpoint / MARKER).is_file():
            shutil.rmtree(checkpoint, ignore_errors=True)


def what_is_left(root: Path) -> str:
    """From where an interrupted run can go on, as a sentence."""
    complete = complete_checkpoints(root)
    if not complete:
        return "There is no checkpoint yet."
    return f"The last good checkpoint is {complete[-1]}; the same again goes on from it."


def mark_complete(checkpoint: Path, told: dict[str, Any]) -> None:
    """Note in a checkpoint that all of it is there, and what its run was told."""
    (checkpoint / MARKER).write_text(json.dumps(told), encoding="utf-8")
