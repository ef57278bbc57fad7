from __future__ import annotations

import pytest

from lsb_rag.utils.batches import batched


@pytest.mark.parametrize(
    ("n", "size", "batches"),
    [(0, 3, []), (2, 3, [[0, 1]]), (3, 3, [[0, 1, 2]]), (7, 3, [[0, 1, 2], [3, 4, 5], [6]]), (2, 1, [[0], [1]])],
)
def test_batches_are_consecutive_and_of_at_most_that_size(n: int, size: int, batches: list[list[int]]) -> None:
    assert list(batched(range(n), size)) == batches


def test_a_batch_is_a_list_of_its_own() -> None:
    items = [1, 2]
    (batch,) = batched(items, 5)
    batch.append(3)
    assert items == [1, 2]
