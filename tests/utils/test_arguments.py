"""Arguments checked by their annotations: what is taken, and what a refusal says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils.arguments import Natural, Positive, Seed, Share, checked, shown

if TYPE_CHECKING:
    from somewhere import Unknown


class Named(Protocol):
    @property
    def name(self) -> str: ...


class HasName:
    @property
    def name(self) -> str:
        raise AssertionError("a check computes no property")


@checked
def take(
    text: str = "",
    *,
    number: int = 0,
    count: Positive = 1,
    seed: Seed = 0,
    value: float = 0.0,
    share: Share = 0.0,
    flag: bool = False,
    weight: bool | float | None = None,
    texts: Sequence[str] = (),
    either: str | Sequence[str] = "",
    many: Iterable[Sequence[str]] = (),
    pair: tuple[str, ...] = (),
    by_name: Mapping[str, Natural] | None = None,
    path: Path | None = None,
    name_or_path: str | Path = "",
    vector: NDArray[np.float32] | None = None,
    call: Callable[[], None] | None = None,
    named: Named | None = None,
    unknown: Unknown | None = None,
    choice: Literal["a", "b"] = "a",
    **rest: Any,
) -> dict[str, Any]:
    return locals()


class Text(str):
    pass


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("text", Text("x"), "x"),
        ("number", np.int64(3), 3),
        ("value", 3, 3.0),
        ("value", np.float32(0.5), 0.5),
        ("value", Fraction(1, 2), 0.5),
        ("weight", True, True),
        ("weight", 1, 1.0),
        ("weight", None, None),
        ("texts", ("a", "b"), ("a", "b")),
        ("texts", (text for text in "ab"), ["a", "b"]),
        ("texts", {"a": 1}.keys(), ["a"]),
        ("texts", np.array(["a", "b"]), ["a", "b"]),
        ("either", "ab", "ab"),
        ("either", ["a"], ["a"]),
        ("pair", ["a"], ("a",)),
        ("by_name", {"a": np.int8(1)}, {"a": 1}),
        ("path", "a/b", Path("a/b")),
        ("name_or_path", Path("a"), Path("a")),
        ("call", print, print),
        ("unknown", object, object),
    ],
)
def test_what_is_meant_is_taken(name: str, given: Any, taken: Any) -> None:
    found = take(**{name: given})
    assert found[name] == taken
    assert type(found[name]) in (type(taken), Text)


def test_what_is_right_is_not_copied() -> None:
    texts, by_name = ["a", "b"], {"a": 1}
    found = take(texts=texts, by_name=by_name, named=HasName())
    assert found["texts"] is texts
    assert found["by_name"] is by_name
    assert take(vector=[1, 2])["vector"].tolist() == [1, 2]
    assert take(rest=1, other="x")["rest"] == {"rest": 1, "other": "x"}


@pytest.mark.parametrize(
    ("name", "given", "kind", "message"),
    [
        ("text", b"x", InvalidTypeError, "text must be a string, not bytes."),
        ("number", True, InvalidInputError, "number must be a whole number, not True."),
        ("number", 1.0, InvalidInputError, "number must be a whole number, not 1.0."),
        ("count", 0, InvalidInputError, "count must be a whole number of at least 1, not 0."),
        ("count", None, InvalidInputError, "count must be a whole number of at least 1, not None."),
        ("seed", 2**32, InvalidInputError, "seed must be a whole number from 0 to 4294967295, not 4294967296."),
        ("value", float("nan"), InvalidInputError, "value must be a finite number, not nan."),
        ("value", 10**400, InvalidInputError, "value must be a finite number, not 1000"),
        ("value", "1", InvalidInputError, "value must be a finite number, not '1'."),
        ("share", 1.5, InvalidInputError, "share must be a number from 0 to 1, not 1.5."),
        ("flag", 1, InvalidTypeError, "flag must be True or False, not int."),
        ("weight", "1", InvalidTypeError, "weight must be True or False or a finite number, not str."),
        ("texts", "ab", InvalidTypeError, "each item of it a string, not a string; put a single one in brackets."),
        ("texts", ["a", 1], InvalidTypeError, "texts[1] must be a string, not int."),
        ("texts", {"a": "b"}, InvalidTypeError, "each item of it a string, not dict."),
        ("either", ["a", None], InvalidTypeError, "either[1] must be a string, not NoneType."),
        ("many", [["a"], ["b", 1]], InvalidTypeError, "many[1][1] must be a string, not int."),
        ("by_name", {"a": -1}, InvalidInputError, "by_name['a'] must be a whole number of at least 0, not -1."),
        ("by_name", {1: 1}, InvalidTypeError, "a key of by_name must be a string, not int."),
        ("path", "a\0b", InvalidInputError, "path holds a character that no path can have"),
        ("name_or_path", "\ud800", InvalidInputError, "name_or_path holds a character that no path can have"),
        ("name_or_path", "x" * 300, InvalidInputError, "name_or_path holds a name that is too long for a file"),
        ("path", b"x", InvalidTypeError, "path must be a path, not bytes."),
        ("vector", ["a"], InvalidInputError, "vector must be an array of numbers, not list."),
        ("vector", [[1], [1, 2]], InvalidInputError, "vector must be an array of numbers ("),
        ("call", "x", InvalidTypeError, "call must be a function, not str."),
        ("named", object(), InvalidTypeError, "named must be a Named, not object."),
        ("choice", ["a"], InvalidTypeError, "choice must be a string, not list."),
    ],
)
def test_anything_else_is_refused_in_a_sentence(name: str, given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        take(**{name: given})
    assert message in str(error.value)


def test_a_class_checks_what_it_can_be_called() -> None:
    @checked
    @dataclass(frozen=True)
    class Point:
        x: float

        @classmethod
        def at(cls, x: Natural) -> Point:
            return cls(x)

        @staticmethod
        def of(x: str) -> str:
            return x

        async def wait(self, x: float) -> float:
            return x

    assert Point(1) == Point(x=1.0)
    wait = lambda: asyncio.run(Point(1).wait("1"))  # noqa: E731
    for call in (lambda: Point("1"), lambda: Point.at(-1), lambda: Point.of(1), wait):
        with pytest.raises((InvalidInputError, InvalidTypeError), match="x must be"):
            call()


def test_the_repr_of_anything_is_short() -> None:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    assert all(len(shown(value)) < 100 for value in ("x" * 1000, nested, 10**5000, list(range(1000)), "\ud800"))
