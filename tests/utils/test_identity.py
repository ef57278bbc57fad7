from __future__ import annotations

import gc
from dataclasses import dataclass

from lsb_rag.utils import ByIdentity


@dataclass
class Made:
    owner: list[int]
    option: bool


def test_one_value_for_each_object_and_option_while_it_is_used() -> None:
    values: ByIdentity[Made] = ByIdentity()
    equal, other = [1], [1]
    kept = [values.get(one, option, lambda: Made(one, option)) for one in (equal, other) for option in (True, False)]  # noqa: B023
    assert len({id(value) for value in kept}) == len(values) == 4
    assert values.get(equal, True, lambda: Made(other, False)) is kept[0]
    del kept
    gc.collect()
    assert len(values) == 0
