"""The guard of answers: what a question names must stand in a passage, else the answer is that nothing mentions it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import regex

from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.identifiers import AS_A_PART, held, identifiers
from ..lexical.units import typed_words

NOTHING = "Nothing here mentions"
"""How the answer begins where no passage holds what the question names."""
MOST_ASKED = 3
"""A question that names more identifiers than this quotes a log: one of them must be held, not each."""
ORDINARY = 0.04
"""Share of texts from which on a word, such as "the", names no kind of thing."""
_NUMBER = re.compile(r"[+\-#$\u20ac\u00a3]?\d[\d.,:/^\-]*[a-z%\u00b0]{0,2}")
_TELLING = regex.compile(r"[\p{L}\p{S}%\u2030]")
_CAPITALS = regex.compile(r"\p{Lu}{1,5}")
_DENIAL = re.compile(
    r"\b(?:no|not|none|nothing|nowhere|never|neither|nor|without|unknown|lacks?|kein\w*|nicht|nichts|pas|aucune?)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def missing_identifiers(
    question: str, passages: Sequence[str], background: BackgroundFrequency | None = None
) -> list[str]:
    """Return what `question` names and no passage holds, as it was typed.

    These are its identifiers, see :func:`lsb_rag.lexical.identifiers.identifiers`. A plain number or a few capitals
    count too where the passages have others in their place: "article 418", where they speak of "article 417".
    """
    named = identifiers(question, background)
    missing = [one for one in named if not _mentioned(one, passages)]
    if len(named) > MOST_ASKED:
        return missing if len(missing) == len(named) else []
    return missing + [one for one in _numbered(question, passages, background) if one not in named]


def _mentioned(identifier: str, passages: Sequence[str]) -> bool:
    return any(held(identifier, text) for text in passages)


def _numbered(question: str, passages: Sequence[str], background: BackgroundFrequency | None) -> Iterator[str]:
    """Yield the numbers and capitals that no passage holds, though some hold another one beside the same word."""
    asked = typed_words(question)
    candidates = [
        (word, kind, before, after)
        for before, word, after in zip(["", *asked], asked, [*asked[1:], ""], strict=False)
        if (kind := _kind(word)) and not any(held(word, text) > AS_A_PART for text in passages)
    ]
    if not candidates:
        return
    neighbours = {
        (kind, place, neighbour.casefold())
        for text in passages
        for first, second in pairwise(typed_words(text))
        for kind, place, neighbour in ((_kind(second), "before", first), (_kind(first), "after", second))
        if kind
    }
    for word, kind, before, after in candidates:
        sides = [("before", before)] + ([("after", after)] if kind == "number" else [])
        if any((kind, place, one.casefold()) in neighbours for place, one in sides if _is_telling(one, background)):
            yield word


def _kind(word: str) -> str:
    return "number" if _NUMBER.fullmatch(word) else "capitals" if _CAPITALS.fullmatch(word) else ""


def _is_telling(word: str, background: BackgroundFrequency | None) -> bool:
    if not _TELLING.search(word):
        return False
    common = background(word.casefold()) if background else 0.0
    return common < ORDINARY if common else len(word) > 1 or not word.isalpha()


def nothing_mentions(missing: Sequence[str]) -> str:
    """Return the answer where no passage holds what the question names: ``Nothing here mentions E-4999.``"""
    *first, last = missing
    return f"{NOTHING} {', '.join(first)} or {last}." if first else f"{NOTHING} {last}."


def prompt_note(missing: Sequence[str]) -> str:
    """Return what a prompt says of identifiers that the passages lack; empty if there are none."""
    if not missing:
        return ""
    return f"\n\nNo passage mentions {' or '.join(missing)}: say so, and state nothing about it."


def guarded(
    text: str,
    question: str,
    passages: Sequence[str],
    background: BackgroundFrequency | None = None,
) -> str:
    """Return the answer of a language model, or what it is replaced by where it speaks of what no passage holds.

    The answer is replaced when the passages hold none of the identifiers that the question names, or when it states
    something about an identifier that no passage holds, whether asked for or invented. Where it is silent about one of
    several, that is added.
    """
    missing = missing_identifiers(question, passages, background)
    if missing and len(missing) >= len(identifiers(question, background)):
        return nothing_mentions(missing)
    stated = [one for one in _stated(text, background) if not _mentioned(one, passages)]
    if stated:
        return nothing_mentions(stated)
    unsaid = [one for one in missing if not held(one, text)]
    return f"{text} {nothing_mentions(unsaid)}" if unsaid else text


def _stated(text: str, background: BackgroundFrequency | None) -> list[str]:
    """Return the identifiers of an answer, but for those in sentences that deny something."""
    sentences = [one for one in _SENTENCE_END.split(text) if not _DENIAL.search(one)]
    return list(dict.fromkeys(one for sentence in sentences for one in identifiers(sentence, background)))
