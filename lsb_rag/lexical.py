"""Lexical units of a text and their weights: the *lexical* half of LexSemBridge.

A unit is a word (the default: it matches what people type, see :mod:`lsb_rag.units`) or a wordpiece of the backbone's
tokenizer (the paper's). A weighting paradigm gives each unit of a query a weight; SLR, the statistical one, is here,
and as torch modules all of them are in :mod:`lsb_rag.paradigms`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

from .errors import InvalidInputError
from .units import words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UnitKind = Literal["words", "wordpieces"]
"""What a lexical unit is, see :func:`analyzer`."""
Analyzer = Callable[[str], list[str]]
"""Text to its lexical units, in order, repeated as often as they occur."""
Paradigm = Literal["slr", "llr", "clr"]
"""How the units of a query are weighted."""
PARADIGMS: tuple[str, ...] = get_args(Paradigm)


def analyzer(kind: UnitKind, tokenizer: Tokenizer | None = None) -> Analyzer:
    """The analyzer for `kind`.

    :param kind: ``words`` or ``wordpieces``.
    :param tokenizer: The backbone's tokenizer, needed for wordpieces. It is copied; truncation is switched off.
    :raises InvalidInputError: For an unknown kind, or wordpieces without a tokenizer.
    """
    if kind == "words":
        return words
    if kind == "wordpieces":
        if tokenizer is None:
            raise InvalidInputError("units='wordpieces' needs a backbone with a fast tokenizer; use units='words'.")
        own = type(tokenizer).from_str(tokenizer.to_str())
        own.no_truncation()
        own.no_padding()
        special = {str(token) for token in own.get_added_tokens_decoder().values() if token.special}
        return lambda text: [t for t in own.encode(text, add_special_tokens=False).tokens if t not in special]
    raise InvalidInputError(f"Unknown units {kind!r}; choose one of {', '.join(get_args(UnitKind))}.")


def slr(units: Sequence[str], scale: float = 1.0) -> dict[str, float]:
    """Statistical lexical representation: ``w_t = scale * 1[t in T]`` (arXiv 2508.17858, SLR), sparsely.

    :param units: The units T of one query.
    :param scale: The common weight.
    """
    return dict.fromkeys(units, scale)


def checked_paradigm(paradigm: str, top_k: int | None) -> None:
    """Refuse options that do not go together.

    :raises InvalidInputError: For an unknown paradigm, or a top-k that is not CLR's or below 1.
    """
    if paradigm not in PARADIGMS:
        raise InvalidInputError(f"Unknown paradigm {paradigm!r}; choose one of {', '.join(PARADIGMS)}.")
    whole = isinstance(top_k, int) and not isinstance(top_k, bool) and top_k >= 1
    if top_k is not None and (paradigm != "clr" or not whole):
        raise InvalidInputError("top_k is a whole number of at least 1 and goes with paradigm='clr' alone.")
