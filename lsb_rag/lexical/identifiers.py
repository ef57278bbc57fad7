"""Identifiers in a text: what stands for one thing and no other, such as error codes, flags and names in code."""

from __future__ import annotations

import re
from functools import lru_cache

import regex

from .background_frequency import BackgroundFrequency
from .units import typed_words, words_and_typed

AS_TYPED, OTHER_CASE, AS_A_PART = 3, 2, 1
"""How a text holds an identifier: as it was typed, in other letter case, or as a part of a longer word."""
CACHED_TEXTS = 1024
CACHED_PATTERNS = 512
READ = 20_000
"""Characters of a text, from its start, that are looked through for identifiers; enough for any question."""
MOST = 64
"""Most identifiers of a text; one with more quotes a log or a list."""
LONGEST = 100
"""Longest identifier, in characters; a longer word is encoded data."""

_LETTER = regex.compile(r"\p{L}")
_DIGIT = regex.compile(r"\p{N}")
_CALL = re.compile(r"\(\)$")
_POSSESSIVE = re.compile(r"(?<=\w)['\u2019]s$|(?<=[A-Z]{2})s$")
_BACKQUOTED = re.compile(r"`([^`\s]{2,100})`")
_NAME_OF = re.compile(r"[a-z_][\w.]*(?=[=(])")
_DOTTED_PART = re.compile(r"[a-z_]\w*")
_VERSION = re.compile(r"\d+(?:\.\d+){2,}|\d+(?::\d+){2,}")
_ORDINAL = re.compile(r"['\u2019]?\d+(?:st|nd|rd|th|s|['\u2019]s)", re.IGNORECASE)
_MEASURE = re.compile(r"[$\u20ac\u00a3]?\d[\d.,]*[a-z%\u00b0\u00b5]{1,3}|[$\u20ac\u00a3]\d[\d.,]*[A-Za-z]{0,2}")
# "20-year-old", "19th-century", "mid-1990s", "post-war"
_PLAIN_COMPOUND = re.compile(
    r"(?:(?:mid|pre|post|non|anti|pro|late|early|top|sub|ex|under|over)[-\u2013])?\d+(?:st|nd|rd|th|s)?(?:[-\u2013][a-z]{2,})*"
)
_ABBREVIATION = re.compile(r"(?:[A-Za-z]{1,3}\.)+[A-Za-z]{0,3}")
_SURNAME = re.compile(r"(?:Ma?c|De|Di|Du|La|Le|Van|Von|Fitz|[OD]['\u2019])[A-Z][a-z\-]+")
_INNER_CAPITAL = regex.compile(r"\p{Ll}\p{Lu}|\p{Lu}{2,}\p{Ll}{2,}")
_CAPITALS = regex.compile(r"\p{Lu}{2,}")
_LEADING = re.compile(r"(?:--?|[$@%#~.\\/])\w")
_JOINED = regex.compile(
    r"[\w)\]]_[\w(\[]|__|\w(?:::|\\|@|=|->|#|\+)[\w\-\"']|\p{L}\+\+|\p{Lu}#|\w{2,}\.\w|\w\.\w{2,}|/\w*/|\w:\w*\d"
)


def identifiers(text: str, background: BackgroundFrequency | None = None) -> list[str]:
    """Return the identifiers in `text` as they were typed, in order and each once.

    These are words with digits and letters or signs (``E-4012``, ``40P01``, ``10.0.0.1``), flags (``--no-verify``),
    names in code (``core.autocrlf``, ``maxRetries``, ``wal_keep_size``), signs (``!==``, ``C++``), addresses and paths,
    acronyms that are no ordinary word, and whatever stands in backquotes. Years, amounts, ordinals, surnames and plain
    numbers are none. Of a long text the first 20,000 characters count, and 64 identifiers.

    :param background: How common words are in any text, by which ``ENOENT`` is told from ``NASA``.
    """
    return [*_identifiers(text[:READ], background)]


@lru_cache(CACHED_TEXTS)
def _identifiers(text: str, background: BackgroundFrequency | None) -> tuple[str, ...]:
    quoted = _BACKQUOTED.findall(text)
    found = dict.fromkeys(quoted)
    typed = typed_words(text)
    shouted = sum(bool(_CAPITALS.fullmatch(word)) for word in typed) * 2 > len(typed) > 1
    for word in typed:
        bare = _bare(word)
        if 0 < len(bare) <= LONGEST and _is_identifier(bare, word, background, shouted):
            found[bare] = None
    return (*found,)[:MOST]


def _bare(word: str) -> str:
    word = _POSSESSIVE.sub("", _CALL.sub("", word))
    return word.rstrip("=?") if len(word) > 1 and (_LETTER.search(word) or word.endswith("?")) else word


def _is_identifier(word: str, typed: str, background: BackgroundFrequency | None, shouted: bool) -> bool:
    letters, digits = bool(_LETTER.search(word)), bool(_DIGIT.search(word))
    if not letters and not digits:
        return len(word) > 1 and len(set(word)) <= len(word) <= 4 and not set(word) <= set("-\u2013\u2014.\u2026'\"")
    if not letters:
        return bool(_VERSION.fullmatch(word))
    if digits:
        plain = (_ORDINAL, _MEASURE, _PLAIN_COMPOUND)
        return not any(pattern.fullmatch(word) for pattern in plain)
    if typed.endswith("()"):
        return True
    if _LEADING.match(word) or (_JOINED.search(word) and not _ABBREVIATION.fullmatch(word)):
        return True
    if _CAPITALS.fullmatch(word):
        return not shouted and len(word) > 2 and not (background and background(word.casefold()))
    return bool(_INNER_CAPITAL.search(word)) and not _SURNAME.fullmatch(word)


def held(identifier: str, text: str) -> int:
    """Return how `text` holds an identifier: :data:`AS_TYPED`, :data:`OTHER_CASE`, :data:`AS_A_PART`, or 0 for not.

    ``E-4012`` is no part of ``E-40120`` or ``E-4012-7``; ``maxRetries`` is a part of ``config.maxRetries``. A dotted
    name is also held by a text that holds all its parts, as ``re.DOTALL`` by one about ``re`` that lists ``DOTALL``. Of
    a call or an assignment, such as ``force=True``, the name counts.
    """
    typed, folded, units = _words_of(text)
    if identifier in typed:
        return AS_TYPED
    small = identifier.casefold()
    if small in folded:
        return OTHER_CASE
    if small in units or _bounded(small).search(text.casefold()):
        return AS_A_PART
    name = _NAME_OF.match(small)
    if name and name.group() != small and held(name.group(), text):
        return AS_A_PART
    parts = small.split(".")
    dotted = len(parts) > 1 and all(_DOTTED_PART.fullmatch(part) for part in parts)
    return AS_A_PART if dotted and all(held(part, text) for part in parts) else 0


@lru_cache(CACHED_PATTERNS)
def _bounded(identifier: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w\-]){re.escape(identifier)}(?![\w\-]|[./:]\d)")


@lru_cache(CACHED_TEXTS)
def _words_of(text: str) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    units, words = words_and_typed(text)
    typed = frozenset(map(_bare, words))
    return typed, frozenset(word.casefold() for word in typed), frozenset(units)


def alike(one: str, other: str) -> bool:
    """Whether two identifiers are of one kind, so that they may be mistaken for each other.

    Codes are, where they begin with the same letters or have the same shape: ``E-4012`` and ``E4013`` or ``F-301``, but
    not ``ZX81``. Names are, where they begin with the same part, such as ``wal_level`` and ``wal_keep_size``. So are
    two flags, two numbers and two signs.
    """
    kind = _kind(one)
    if kind != _kind(other) or kind == "acronym":
        return False
    if kind == "name":
        return re.split(r"[._:]", one)[0] == re.split(r"[._:]", other)[0]
    return kind != "code" or _shape(one) == _shape(other) or _prefix(one) == _prefix(other) != ""


def _kind(identifier: str) -> str:
    if identifier.startswith(("-", "/")):
        return identifier[0]
    if _CAPITALS.fullmatch(identifier):
        return "acronym"
    letters, digits = bool(_LETTER.search(identifier)), bool(_DIGIT.search(identifier))
    return "code" if letters and digits else "name" if letters else "number" if digits else "sign"


def _shape(identifier: str) -> str:
    return str(regex.sub(r"\p{N}+", "9", regex.sub(r"\p{L}+", "A", identifier)))


def _prefix(identifier: str) -> str:
    return str(regex.match(r"\p{L}*", identifier).group()).casefold()
