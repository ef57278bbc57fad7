from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from lsb_rag.statistics.postings import BLOCK, by_block, pairs, unpacked, updated_block


def block(*places: int) -> bytes:
    return np.array(places, np.uint16).tobytes()


def units(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint32)


def test_pairs_rise_by_unit_and_then_by_record() -> None:
    found = pairs([(5, units(2, 7)), (3, units(7))])
    assert found.tolist() == [2 << 32 | 5, 7 << 32 | 3, 7 << 32 | 5]
    assert pairs([]).tolist() == []


def test_records_of_a_unit_lie_in_blocks_and_come_back() -> None:
    records = [0, 7, BLOCK - 1, BLOCK, 3 * BLOCK + 2]
    blocks = by_block(pairs([*((number, units(9)) for number in records), (1, units(4))]))
    assert blocks == {
        4 << 32: block(1),
        9 << 32: block(0, 7, BLOCK - 1),
        9 << 32 | 1: block(0),
        9 << 32 | 3: block(2),
    }
    of_unit = {key & 0xFFFFFFFF: places for key, places in blocks.items() if key >> 32 == 9}
    repeated = np.repeat(list(of_unit), [len(places) // 2 for places in of_unit.values()])
    assert unpacked(b"".join(of_unit.values()), repeated).tolist() == records
    assert by_block(pairs([])) == {}


@pytest.mark.parametrize(
    ("before", "added", "removed", "after"),
    [
        ([], [1, 2], [], [1, 2]),
        ([1, 2], [5], [], [1, 2, 5]),  # behind the last one
        ([1, 5], [2], [], [1, 2, 5]),
        ([1, 2, 5], [], [2], [1, 5]),
        ([1, 2], [3], [1, 2], [3]),
        ([1], [], [1], []),
        ([1, 300], [256], [], [1, 256, 300]),
    ],
)
def test_a_block_stays_in_order(
    before: Iterable[int], added: Iterable[int], removed: Iterable[int], after: Iterable[int]
) -> None:
    assert updated_block(block(*before), block(*added), block(*removed)) == block(*after)
