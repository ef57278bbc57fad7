"""Filters in Chroma's language, checked before Chroma reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import InvalidInputError, InvalidTypeError

Where = Mapping[str, Any]
"""A filter in Chroma's language: ``where`` over the metadata, ``where_document`` over the texts."""

DEEPEST = 100
"""Levels of a filter; Chroma reads it by recursion."""


def as_filter(where: Where | None) -> Any:
    """Return a filter as Chroma takes it, which refuses an empty one.

    :raises InvalidInputError: For one that is nested too deeply, or holds what is no character.
    :raises InvalidTypeError: For anything but a mapping.
    """
    if not isinstance(where, Mapping | None):
        raise InvalidTypeError(f'A filter is a mapping such as {{"kind": "manual"}}, not {type(where).__name__}.')
    return _plain(where, 0) if where else None


def _plain(value: Any, level: int) -> Any:
    if level > DEEPEST:
        raise InvalidInputError(f"A filter is nested more than {DEEPEST} deep, or holds itself; make it flatter.")
    if isinstance(value, Mapping):
        return {_plain(key, level): _plain(one, level + 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, level + 1) for one in value]
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(f"The filter holds a lone surrogate, which is no character: {value[:40]!r}.")
    return value.item() if isinstance(value, np.generic) else value
