"""Arguments checked by their annotations, so that a wrong one is refused in a sentence where it is given."""

from __future__ import annotations

import builtins
import operator
import os
import sys
import types
from collections import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from inspect import Parameter, getattr_static, iscoroutinefunction, signature
from math import isfinite
from numbers import Real
from pathlib import Path
from reprlib import Repr
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from ..errors import InvalidInputError, InvalidTypeError

LONGEST_NAME = 255
"""Bytes of a file's name that every file system takes."""

Target = TypeVar("Target", bound=Callable[..., Any])

_repr = Repr()
_repr.maxstring = _repr.maxother = 80


@dataclass(frozen=True)
class Between:
    """Where the annotated number lies.

    :param least: The least value.
    :param most: The largest value; None where there is none.
    """

    least: float
    most: float | None = None

    def __contains__(self, value: float) -> bool:
        return self.least <= value and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        return f" of at least {self.least}" if self.most is None else f" from {self.least} to {self.most}"


@dataclass(frozen=True)
class Instead:
    """What to call in place of giving a value of another type; annotates an argument.

    :param text: A sentence.
    """

    text: str = field(repr=False)


UNCHECKED = "checked by what takes it"
"""Annotates an argument that is not checked by its type."""
Natural = Annotated[int, Between(0)]
Positive = Annotated[int, Between(1)]
Seed = Annotated[int, Between(0, 2**32 - 1)]
NotNegative = Annotated[float, Between(0)]
Share = Annotated[float, Between(0, 1)]
Width = Annotated[int, Between(1, 2**24)]
"""Of a vector or a vocabulary; more would not fit into a memory."""


def checked(target: Target) -> Target:
    """Refuse arguments of a function that are not what its annotations say; of a class, those of all it can be called.

    Integers and floats of NumPy count as such, a bool does not; a float is finite. What is annotated as a sequence may
    be any collection or iterator but a mapping, and comes as a list. Annotations that are imported for type checkers
    alone are not checked.

    :raises InvalidInputError: For an argument of the right type that cannot be used, and for what is no number.
    :raises InvalidTypeError: For one of another type, one that is missing, and one that there is not.
    """
    return cast(Target, _checked_class(target) if isinstance(target, type) else _checked_function(target))


def shown(value: object) -> str:
    """Return a short ``repr``, whatever `value` is."""
    try:
        return _repr.repr(value)
    except Exception:  # as of an integer of very many digits
        return f"a value of type {type(value).__name__}"


# -- functions and classes ------------------------------------------------------------------------------------------


def _checked_class(owner: type) -> type:
    for name, member in list(vars(owner).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, classmethod | staticmethod):
            setattr(owner, name, type(member)(_checked_function(member.__func__)))
        elif isinstance(member, types.FunctionType):
            setattr(owner, name, _checked_function(member))
    return owner


def _checked_function(function: Any) -> Any:
    arguments = _Arguments(function)
    if iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = arguments.taken(args, kwargs)
            try:
                awaiting = function(*args, **kwargs)
            except TypeError as error:
                raise arguments.misfit(error) from None
            return await awaiting

        return awaited

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = arguments.taken(args, kwargs)
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ and error.__traceback__.tb_next:  # not of the call itself
                raise
            raise arguments.misfit(error) from None

    return called


class _Arguments:
    """The kinds of a function's arguments; read at its first call, when all that annotations name is defined."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _parameters(self) -> list[Parameter]:
        return list(signature(self._function).parameters.values())

    @cached_property
    def _named(self) -> dict[str, _Kind]:
        hints = get_type_hints(self._function, localns=_Names(self._function), include_extras=True)
        several = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        return {one.name: _kind(hints.get(one.name, Any)) for one in self._parameters if one.kind not in several}

    @cached_property
    def _placed(self) -> list[str]:
        placed = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        return [one.name for one in self._parameters if one.kind in placed]

    def misfit(self, error: TypeError) -> InvalidTypeError:
        """Return the error for arguments that are missing or too many, with how the function is called."""
        name = self._function.__qualname__.removesuffix(".__init__")
        placed = [one for one in self._placed if one not in ("self", "cls")]
        named = [f"{one}=" for one in self._named if one not in (*self._placed, "self")]
        call = ", ".join([*placed, *(["*", *named] if named else [])])
        return InvalidTypeError(f"{str(error).replace('.__init__()', '()')}. Call it as {name}({call}).")

    def taken(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as the function takes them."""
        placed = tuple(self._take(name, value) for name, value in zip(self._placed, args, strict=False))
        return placed + tuple(args[len(placed) :]), {name: self._take(name, value) for name, value in kwargs.items()}

    def _take(self, name: str, value: Any) -> Any:
        kind = self._named.get(name)
        return kind.taken(value, name) if kind else value


class _Names(dict[str, Any]):
    """The names of a function's module; one that is only there for type checkers stands for anything."""

    def __init__(self, function: Any) -> None:
        super().__init__(vars(sys.modules[function.__module__]))

    def __missing__(self, name: str) -> Any:
        return vars(builtins).get(name, Any)


# -- kinds of arguments ---------------------------------------------------------------------------------------------


class _Kind:
    """What an argument may be: anything."""

    wanted = "anything"

    def fits(self, value: Any) -> bool:
        """Whether it is of this type, whatever it holds."""
        return True

    def taken(self, value: Any, where: str) -> Any:
        """Return it as a function takes it.

        :param where: Names it to whoever gave it.
        """
        if not self.fits(value):
            raise InvalidTypeError(f"{where} must be {self.wanted}, not {type(value).__name__}.")
        return value


class _Instance(_Kind):
    def __init__(self, kind: type, wanted: str = "") -> None:
        self._kind = kind
        self.wanted = wanted or f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
        # isinstance() would compute the properties of a value to see whether they are there.
        self._members = [name for name in dir(kind) if name[0] != "_"] if getattr(kind, "_is_protocol", False) else []

    def fits(self, value: Any) -> bool:
        if not self._members:
            return isinstance(value, self._kind)
        there = (getattr_static(value, name, self) is not self for name in self._members)
        return not isinstance(value, type) and all(there)


class _Number(_Kind):
    """A number, not NaN nor infinite."""

    def __init__(self, *, whole: bool, range: Between | None) -> None:
        self._whole = whole
        self._range = range
        bounded = range is not None and range.most is not None
        self.wanted = f"a {'whole ' if whole else '' if bounded else 'finite '}number{'' if range is None else range}"

    def fits(self, value: Any) -> bool:
        if isinstance(value, bool | np.bool_):
            return False
        return hasattr(type(value), "__index__") if self._whole else isinstance(value, Real)

    def taken(self, value: Any, where: str) -> Any:
        try:
            number = (operator.index(value) if self._whole else float(value)) if self.fits(value) else None
        except (OverflowError, TypeError, ValueError):  # as 10**400 as a float
            number = None
        if number is None or not (self._whole or isfinite(number)) or (self._range and number not in self._range):
            raise InvalidInputError(f"{where} must be {self.wanted}, not {shown(value)}.")
        return number


class _PathName(_Kind):
    """A path or, where there is a choice, a name that may be one."""

    wanted = "a path"

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def fits(self, value: Any) -> bool:
        return isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str)

    def taken(self, value: Any, where: str) -> Any:
        path = os.fspath(super().taken(value, where))
        try:
            names = [] if "\0" in path else os.fsencode(path).split(os.fsencode(os.sep))
        except UnicodeEncodeError:
            names = []
        if not names:
            raise InvalidInputError(f"{where} holds a character that no path can have: {shown(path)}.")
        if max(map(len, names)) > LONGEST_NAME:
            raise InvalidInputError(f"{where} holds a name that is too long for a file: {shown(path)}.")
        return self._make(value)


class _Items(_Kind):
    """Several of a kind, in order."""

    def __init__(self, item: _Kind, make: Callable[[Iterable[Any]], Any]) -> None:
        self._item = item
        self._make = make
        self.wanted = "a list" if type(item) is _Kind else f"a list, each item of it {item.wanted}"

    def fits(self, value: Any) -> bool:
        return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping | type)

    def taken(self, value: Any, where: str) -> Any:
        if isinstance(value, str):
            raise InvalidTypeError(f"{where} must be {self.wanted}, not a string; put a single one in brackets.")
        given = super().taken(value, where)
        given = given if isinstance(given, Sequence) else list(given)
        taken = self._make(self._item.taken(one, f"{where}[{number}]") for number, one in enumerate(given))
        return taken if self._make is tuple or any(map(operator.is_not, taken, given)) else given


class _Mapping(_Kind):
    """Values by keys."""

    wanted = "a mapping"

    def __init__(self, key: _Kind, value: _Kind) -> None:
        self._key, self._value = key, value

    def fits(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def taken(self, value: Any, where: str) -> Any:
        given: Mapping[Any, Any] = super().taken(value, where)
        taken = {
            self._key.taken(key, f"a key of {where}"): self._value.taken(one, f"{where}[{shown(key)}]")
            for key, one in given.items()
        }
        return taken if any(map(operator.is_not, taken.values(), given.values())) else given


class _Array(_Kind):
    """Numbers in rows."""

    wanted = "an array of numbers"

    def taken(self, value: Any, where: str) -> Any:
        try:
            array = np.asarray(value)
        except Exception as error:  # tensors and the like raise errors of their own
            raise InvalidInputError(f"{where} must be {self.wanted} ({error}).") from error
        if array.dtype.kind not in "fiu":
            raise InvalidInputError(f"{where} must be {self.wanted}, not {type(value).__name__}.")
        return array


class _OneOf(_Kind):
    """The first kind that fits."""

    def __init__(self, kinds: Sequence[_Kind]) -> None:
        self._kinds = sorted(kinds, key=lambda kind: kind is not _NONE)
        self._others = [kind for kind in kinds if kind is not _NONE]
        self.wanted = " or ".join(dict.fromkeys(kind.wanted for kind in self._others))

    def fits(self, value: Any) -> bool:
        return any(kind.fits(value) for kind in self._kinds)

    def taken(self, value: Any, where: str) -> Any:
        # What fits nothing is refused by the only kind there is, beside None, or else by naming all of them.
        only = self._others[0] if len(self._others) == 1 else None
        chosen = next((kind for kind in self._kinds if kind.fits(value)), only)
        return chosen.taken(value, where) if chosen else super().taken(value, where)


class _WithHint(_Kind):
    """A kind, with what to call in place of giving another."""

    def __init__(self, kind: _Kind, text: str) -> None:
        self._kind = kind
        self._text = text
        self.wanted = kind.wanted

    def fits(self, value: Any) -> bool:
        return self._kind.fits(value)

    def taken(self, value: Any, where: str) -> Any:
        if not self.fits(value):
            what = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
            raise InvalidTypeError(f"{where} must be {self.wanted}, not {what}. {self._text}")
        return self._kind.taken(value, where)


_NONE = _Instance(type(None))


def _kind(hint: Any, range: Between | None = None) -> _Kind:
    """Return the kind of an annotation; anything for one that is not known here."""
    origin, of = get_origin(hint), get_args(hint)
    if hint is type(None):
        return _NONE
    if origin is Annotated and UNCHECKED in of[1:]:
        return _Kind()
    if origin is Annotated:
        kind = _kind(of[0], next((one for one in of[1:] if isinstance(one, Between)), None))
        return next((_WithHint(kind, one.text) for one in of[1:] if isinstance(one, Instead)), kind)
    if origin in (Union, types.UnionType):
        named = str in of and Path in of
        kinds = [_kind(one) for one in of if not (named and one in (str, Path))]
        return _OneOf([_PathName(lambda value: value), *kinds] if named else kinds)
    if origin is Literal:
        return _kind(type(of[0]))
    if hint in (int, float):
        return _Number(whole=hint is int, range=range)
    if hint is bool:
        return _Instance(bool, "True or False")
    if hint is str:
        return _Instance(str, "a string")
    if hint is Path:
        return _PathName(Path)
    if origin is np.ndarray:
        return _Array()
    if origin in (abc.Sequence, abc.Iterable, list) or (origin is tuple and of[1:] == (...,)):
        return _Items(_kind(of[0]), tuple if origin is tuple else list)
    if origin in (abc.Mapping, dict):
        return _Mapping(*map(_kind, of))
    if origin is abc.Callable:
        return _Instance(cast(type, abc.Callable), "a function")
    kind = origin or hint
    return _Instance(kind) if isinstance(kind, type) and kind not in (Any, object) else _Kind()
