"""Analyzers of lexical units: words as people type them, or the backbone's wordpieces as in the paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from ..errors import InvalidInputError
from .units import words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UnitKind = Literal["words", "wordpieces"]
"""What a lexical unit is, see :func:`analyzer`."""
Analyzer = Callable[[str], list[str]]
"""Maps a text to its lexical units, in order and with repetitions."""


def checked_units(kind: str) -> None:
    """Refuse a kind of units that does not exist.

    :raises InvalidInputError: For an unknown kind.
    """
    if kind not in get_args(UnitKind):
        raise InvalidInputError(f"Unknown units {kind!r}; choose one of {', '.join(get_args(UnitKind))}.")


def analyzer(kind: UnitKind, tokenizer: Tokenizer | None = None) -> Analyzer:
    """Return the analyzer for `kind`.

    :param kind: ``words`` or ``wordpieces``.
    :param tokenizer: The backbone's tokenizer, needed for wordpieces. It is copied; truncation is switched off.
    :raises InvalidInputError: For an unknown kind, or wordpieces without a tokenizer.
    """
    checked_units(kind)
    if kind == "words":
        return words
    if tokenizer is None:
        raise InvalidInputError("units='wordpieces' needs a backbone with a fast tokenizer; use units='words'.")
    copied = type(tokenizer).from_str(tokenizer.to_str())
    copied.no_truncation()
    copied.no_padding()
    special = {str(token) for token in copied.get_added_tokens_decoder().values() if token.special}
    return lambda text: [t for t in copied.encode(text, add_special_tokens=False).tokens if t not in special]
