"""One value for each object, by identity."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from .arguments import checked

Value = TypeVar("Value")


@checked
class ByIdentity(Generic[Value]):
    """Values made once for each object, while somebody uses them. Threads may share an instance.

    Objects are told apart by their id, as many cannot be hashed. A value must keep its object alive, so that no id
    comes twice.
    """

    def __init__(self) -> None:
        self._values: WeakValueDictionary[tuple[int, Hashable], Value] = WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, owner: object, option: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of `owner` with this `option`, made if there is none."""
        with self._lock:
            value = self._values.get((id(owner), option))
            if value is None:
                value = self._values[id(owner), option] = make()
            return value
