"""The integrity of a collection: what Chroma gives, compared with what was counted when it was written.

Chroma does not notice when the files of its index are damaged, and a damaged database may end the process that reads
it. So the comparison runs in a child process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .. import errors
from ..errors import LsbRagError, StoreError
from ..statistics.base import at_unit_length
from ..statistics.soundness import counted, damage_in, damaged_pages
from ..utils.batches import batched
from ..utils.digests import text_digest
from ..utils.progress import Progress
from .client import is_server, open_collection
from .collection import ChromaCollection
from .embedded import FILE
from .statistics_folder import folder_of_statistics

SAMPLE = 1000
"""Passages compared by default, spread evenly."""
SEARCHED = 50
"""Passages that are searched for by their own vector."""
LOST = 0.1
"""Share of these that an index may miss without being damaged: changes in place leave some that nothing leads to."""
BATCH = 500
SAME = 1e-3
"""Largest difference, in one number of a vector at length 1, that rounding to float16 may leave."""
AGAIN = "Restore the database from a copy; or delete the collection and index its documents again."

CHANGED = (
    "Either Chroma's files are damaged: then restore the database from a copy, or delete the collection and index its "
    "documents again. Or another program has changed them in place: then `refresh()` of the store counts them anew."
)


@dataclass(frozen=True)
class Integrity:
    """What a check found.

    :param collection: Name of the collection.
    :param passages: Number of passages it holds.
    :param compared: Number of passages compared with what was counted of them.
    :param problems: A sentence for each problem; empty where there is none.
    """

    collection: str
    passages: int = 0
    compared: int = 0
    problems: list[str] = field(default_factory=list)


def check_collection(
    database: str | Path, name: str, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> Integrity:
    """Compare texts and vectors of a collection with what was counted when they were written.

    Nothing is changed. Runs in a process of its own.

    :param database: Folder of an embedded database, or the address of a server.
    :param sample: Number of passages compared; None for all.
    :raises CollectionNotFoundError: When there is no such collection.
    :raises StoreError: When Chroma fails otherwise than by damage.
    """
    command = [sys.executable, "-m", __name__, str(database), name, str(sample or 0)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdout is not None  # noqa: S101 - as mypy does not see
        for line in child.stdout:
            kind, said = json.loads(line)
            if kind == "progress" and progress:
                progress(*said)
            elif kind == "error":
                raise getattr(errors, said[0], StoreError)(said[1])
            elif kind == "found":
                return Integrity(**said)
    by = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit code {child.returncode}"
    return Integrity(name, problems=[f"Reading it ended the process ({by}): Chroma's files are damaged. {AGAIN}"])


def compare(
    database: str | Path, name: str, *, sample: int | None = SAMPLE, progress: Progress | None = None
) -> Integrity:
    """:func:`check_collection` in this process, which a damaged database may end."""
    if problems := damage_in_database(database):
        return Integrity(name, problems=problems)
    collection = open_collection(database, name, None)
    try:
        return _compared(collection, sample, progress)
    finally:
        collection.close()


def damage_in_database(database: str | Path) -> list[str]:
    """Return a sentence where Chroma's SQLite file is damaged. Call it where Chroma does not have it open."""
    file = Path(database) / FILE
    damage = "" if is_server(database) or not file.is_file() else damaged_pages(file)
    return [f"{file} is damaged ({damage}). {AGAIN}"] if damage else []


def _compared(collection: ChromaCollection, sample: int | None, progress: Progress | None) -> Integrity:
    problems: list[str] = []
    file = _statistics_of(collection, problems)
    ids = collection.ids()
    chosen = ids if sample is None or len(ids) <= sample else [ids[len(ids) * n // sample] for n in range(sample)]
    texts = vectors = compared = done = 0
    searched: list[bool] = []
    try:
        for batch in batched(chosen, BATCH):
            known = counted(file, batch) if file else {}
            rows = {row.id: row for row in collection.records(batch)}
            for id, (digest, vector) in known.items():
                if row := rows.get(id):
                    compared += 1
                    texts += text_digest(row.embedded_text) != digest
                    vectors += not _same(vector, row.vector)
            wanted = max(1, SEARCHED * len(batch) // len(chosen))
            searched += [_finds_itself(collection, row.vector) for row in list(rows.values())[:wanted]]
            done += len(batch)
            if progress:
                progress(done, len(chosen))
    except StoreError as error:
        problems.append(f"{error} {AGAIN}")
    if texts:
        problems.append(f"{texts:,} of {compared:,} texts are not those that were counted. {CHANGED}")
    if vectors:
        problems.append(f"{vectors:,} of {compared:,} vectors are not those that were counted. {CHANGED}")
    lost = searched.count(False)
    if lost > LOST * len(searched):
        problems.append(
            f"{lost:,} of {len(searched):,} passages are not found by their own vector: the index is damaged. {AGAIN}"
        )
    return Integrity(collection.name, len(ids), compared, problems)


def _statistics_of(collection: ChromaCollection, problems: list[str]) -> Path | None:
    """Return a sound statistics file of the collection; None, and a problem, where there is none."""
    folder = folder_of_statistics(collection)
    files = sorted(folder.glob(f"{collection.id}-*.sqlite3")) if folder else []
    if not files:
        problems.append(
            "It has no statistics yet, so there is nothing to compare with; a first search or `lsb-rag attach` makes "
            "them."
        )
    sound = None
    for file in files:
        if damage := damage_in(file):
            problems.append(f"The statistics in {file} are damaged ({damage}); the next search fits them again.")
        else:
            sound = sound or file
    return sound


def _same(kept: bytes | None, vector: object) -> bool:
    """Whether a stored vector is the one that was counted."""
    found = np.asarray(vector, np.float64)
    if kept is None:
        return True  # not counted, as it was not finite, or its record has no text
    before = np.frombuffer(kept, np.float16).astype(np.float64)
    return before.shape == found.shape and bool(np.abs(at_unit_length(found) - before).max(initial=0) <= SAME)


def _finds_itself(collection: ChromaCollection, vector: object) -> bool:
    """Whether the index finds a vector, or one equal to it, where it is searched for."""
    wanted = at_unit_length(np.asarray(vector, np.float64)).astype(np.float32)
    if not collection.space.unit or not np.isfinite(wanted).all() or not wanted.any():
        return True
    return any(hit.cosine > 1 - SAME for hit in collection.by_index(wanted, 5))


def _main(arguments: Sequence[str]) -> None:
    """Compare in this process, and print what is found as lines of JSON."""

    def say(kind: str, value: object) -> None:
        print(json.dumps([kind, value]), flush=True)

    report: Callable[[int, int], None] = lambda done, total: say("progress", [done, total])  # noqa: E731
    try:
        found = compare(arguments[0], arguments[1], sample=int(arguments[2]) or None, progress=report)
    except LsbRagError as error:
        say("error", [type(error).__name__, str(error)])
    else:
        say("found", asdict(found))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        _main(sys.argv[1:])
