"""Postings: the numbers of the records that hold a unit, in blocks, so that additions touch the last one alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192
"""Records a block, at most 65,536, so that a record takes two bytes."""

Numbers = NDArray[np.int64]


def pairs(rows: Iterable[tuple[int, NDArray[np.uint32]]]) -> Numbers:
    """Each unit of each record as one number, rising: the unit's number above, the record's in the lower 32 bits.

    :param rows: The number of each record, and those of its units, each once.
    """
    parts = [held.astype(np.int64) << 32 | number for number, held in rows]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def by_block(pairs: Numbers) -> dict[int, bytes]:
    """Rising pairs by unit and block: where in their block the records are."""
    records = pairs & 0xFFFFFFFF
    keys, starts = np.unique((pairs >> 32 << 32) | records // BLOCK, return_index=True)
    places = (records % BLOCK).astype(np.uint16).tobytes()
    ends = [*starts.tolist(), len(pairs)][1:]
    return {key: places[2 * a : 2 * b] for key, a, b in zip(keys.tolist(), starts.tolist(), ends, strict=True)}


def changed(kept: bytes, new: bytes, old: bytes) -> bytes:
    """A block after a change: places rising, two bytes each."""
    if not old and (not kept or _place(kept[-2:]) < _place(new[:2])):
        return kept + new
    places = np.setdiff1d(np.frombuffer(kept, np.uint16), np.frombuffer(old, np.uint16))
    return np.union1d(places, np.frombuffer(new, np.uint16)).astype(np.uint16).tobytes()


def _place(two: bytes) -> int:
    return int(np.frombuffer(two, np.uint16)[0])


def unpacked(places: bytes, blocks: Numbers) -> Numbers:
    """The numbers of records, from the places of all of them in their blocks, and the block of each."""
    return np.frombuffer(places, np.uint16).astype(np.int64) + np.asarray(blocks, np.int64) * BLOCK
