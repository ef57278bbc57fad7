"""Read JSON: a block for each record of a list, and for each large part of a nested object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import ReadError
from ..block import Block, Document
from .failures import reading

PART_CHARACTERS = 1200
"""A nested object or list that is written in fewer characters stands with what is beside it."""
MAX_LEVEL = 6
MAX_DEPTH = 200
MAX_PATH = 200
"""Characters of the path before a value; of a longer one, the end."""
NAME_KEYS = ("title", "name", "id", "_id", "key")

# Numbers are kept as they are written: 1.10 may be a version, and 1.0e5 a part.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)


def read_json(text: str) -> Document:
    """Read JSON, also several values on a line each. A value stands on a line behind the path that leads to it.

    :raises ReadError: When it is not JSON.
    """
    with reading("JSON"):
        value = parse_json(text)
        title = _name(value, NAME_KEYS[:2]) if isinstance(value, dict) else ""
        return Document(title, list(_blocks(value)))


def parse_json(text: str) -> Any:
    """Return the value, with its numbers as text.

    :raises ReadError: When it is not JSON.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and (values := _values_on_lines(text)):
            return values
        raise ReadError(f"The file is not JSON: {error}.") from error


def _values_on_lines(text: str) -> list[Any]:
    try:
        return [_DECODER.decode(line) for line in text.split("\n") if line.strip()]
    except json.JSONDecodeError:
        return []


@dataclass(frozen=True)
class _Part:
    """A value that waits for its blocks.

    :param path: What its lines begin with.
    :param heading: What stands over it.
    """

    value: Any
    path: str = ""
    heading: str = ""
    level: int = 0


def _blocks(value: Any) -> Iterator[Block]:
    # A stack in place of recursion, because files are nested more deeply than Python calls.
    parts = [_Part(value)]
    while parts:
        part = parts.pop()
        if part.heading:
            yield Block(part.heading, kind="heading", level=part.level)
        inner: list[_Part] = []
        level = part.level + 1
        if isinstance(part.value, list) and any(isinstance(item, dict | list) for item in part.value):
            # The paths within a record begin anew: those of all records are the same.
            for number, item in enumerate(part.value):
                parted = isinstance(item, dict) and level <= MAX_LEVEL and any(map(_is_large, item.values()))
                heading = (_name(item, NAME_KEYS) or f"[{number}]") if parted else ""
                inner.append(_Part(item, heading=heading, level=level if heading else part.level))
        elif isinstance(part.value, dict) and level <= MAX_LEVEL:
            small = {key: one for key, one in part.value.items() if not _is_large(one)}
            yield from _block(small, part.path)
            for key, one in part.value.items():
                if key not in small:
                    path = _joined(part.path, key)
                    inner.append(_Part(one, path, path, level))
        else:
            yield from _block(part.value, part.path)
        parts += reversed(inner)


def _is_large(value: Any) -> bool:
    """Tell whether an object or a list is to be taken apart; a text is not, however long."""
    if not isinstance(value, dict | list):
        return False
    waiting, characters = [value], 0
    while waiting and characters < PART_CHARACTERS:
        one = waiting.pop()
        characters += 4
        if isinstance(one, dict):
            characters += sum(map(len, one))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            characters += len(one)
    return characters >= PART_CHARACTERS


def _block(value: Any, path: str) -> Iterator[Block]:
    text = "\n".join(_lines(value, path)).strip()
    if text:
        yield Block(text)


def _lines(value: Any, path: str) -> Iterator[str]:
    waiting = [(value, path, 0)]
    while waiting:
        value, path, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            waiting += reversed([(one, _joined(path, key), depth + 1) for key, one in value.items()])
        elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            waiting += reversed([(one, f"{path}[{number}]", depth + 1) for number, one in enumerate(value)])
        else:
            shown = ", ".join(map(_shown, value)) if isinstance(value, list) else _shown(value)
            if shown.strip():
                yield f"{path}: {shown}" if path else shown


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _joined(path: str, key: str) -> str:
    joined = f"{path}.{key}" if path else key
    return joined if len(joined) <= MAX_PATH else f"…{joined[-MAX_PATH:]}"


def _name(record: dict[str, Any], keys: tuple[str, ...]) -> str:
    names = (record.get(key) for key in keys)
    return next((" ".join(name.split())[:MAX_PATH] for name in names if isinstance(name, str) and name.strip()), "")
