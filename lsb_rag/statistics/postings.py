"""Postings: the numbers of the records that hold a unit, in blocks, so that an addition touches only the last one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192
"""Records per block, at most 65,536, so that a record takes two bytes."""

Numbers = NDArray[np.int64]


def pairs(rows: Iterable[tuple[int, NDArray[np.uint32]]]) -> Numbers:
    """Return each pair of unit and record as one number, rising: unit in the upper, record in the lower 32 bits.

    :param rows: The number of each record, and the numbers of its units, each once.
    """
    parts = [units.astype(np.int64) << 32 | number for number, units in rows]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *parts]))


def by_block(pairs: Numbers) -> dict[int, bytes]:
    """Return rising pairs by unit and block, each with the places of its records in the block."""
    records = pairs & 0xFFFFFFFF
    keys, starts = np.unique((pairs >> 32 << 32) | records // BLOCK, return_index=True)
    places = (records % BLOCK).astype(np.uint16).tobytes()
    ends = [*starts.tolist(), len(pairs)][1:]
    return {key: places[2 * a : 2 * b] for key, a, b in zip(keys.tolist(), starts.tolist(), ends, strict=True)}


def updated_block(block: bytes, added: bytes, removed: bytes) -> bytes:
    """Return the places in a block after a change, rising, two bytes each."""
    if not removed and (not block or _place(block[-2:]) < _place(added[:2])):
        return block + added  # the common case: new records come last
    places = np.setdiff1d(np.frombuffer(block, np.uint16), np.frombuffer(removed, np.uint16))
    return np.union1d(places, np.frombuffer(added, np.uint16)).astype(np.uint16).tobytes()


def _place(packed: bytes) -> int:
    return int(np.frombuffer(packed, np.uint16)[0])


def unpacked(places: bytes, blocks: Numbers) -> Numbers:
    """Return the numbers of records from their packed places and the block of each."""
    return np.frombuffer(places, np.uint16).astype(np.int64) + np.asarray(blocks, np.int64) * BLOCK
