"""What is closed at the end of a ``with`` block."""

from __future__ import annotations

from typing import TypeVar

One = TypeVar("One", bound="Closable")


class Closable:
    """A ``with`` block around an object that has :meth:`close`."""

    def close(self) -> None:
        """Let go of what is open; closing twice is fine."""
        raise NotImplementedError

    def __enter__(self: One) -> One:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
