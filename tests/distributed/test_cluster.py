from __future__ import annotations

import pytest

from lsb_rag.distributed.cluster import plan_actors


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([{"CPU": 2}], None, (1, {"num_cpus": 2})),
        ([{"CPU": 2}], 2, (2, {"num_cpus": 1})),
        ([{"CPU": 16}, {"CPU": 16}], None, (8, {"num_cpus": 4})),
        ([{}, {"CPU": 2}, {"CPU": 2}, {"CPU": 8}], 3, (3, {"num_cpus": 2})),  # 4 each would leave one waiting
        ([{"CPU": 8, "GPU": 2}, {"CPU": 8}], None, (2, {"num_cpus": 1, "num_gpus": 1})),
    ],
)
def test_the_actors_fit_the_cluster(
    nodes: list[dict[str, float]], workers: int | None, expected: tuple[int, dict[str, int]]
) -> None:
    listed = [{"Alive": True, "Resources": one} for one in nodes]
    assert plan_actors([*listed, {"Alive": False, "Resources": {"CPU": 64}}], workers) == expected
