"""Lexical units of a text: its words as they were typed, their case-folded forms, and the parts they are made of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import regex

LONGEST_UNIT = 100
"""Longest word, in characters, that is a unit as a whole; of a longer one, such as encoded data, only the parts are."""
CACHED_CHUNKS = 65_536
LONGEST_CACHED = 40
"""Longest chunk, in characters, whose units are cached."""
MOST_AROUND = 64
"""Most characters of punctuation stripped from a word."""
LONGEST_SIGN = 4
"""Longest operator, in characters; a longer one is a ruler."""

Span = tuple[str, int, int]
"""A unit with the start and end of its characters."""

# Scripts that are written without spaces, and Hangul, whose particles are written onto the word.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_FLAG = r"\p{Regional_Indicator}{2}"  # before \X, which looks back over all of them each time
_EMOJI = rf"(?:{_FLAG}|\p{{Regional_Indicator}}|(?=[\p{{Extended_Pictographic}}--\p{{ASCII}}])\X)"
_CHUNK = re.compile(r"\S+")
_RUN = regex.compile(
    rf"(?P<unspaced>(?:[{_UNSPACED}][\p{{M}}\u30fc]*)+)|(?P<emoji>{_EMOJI})"
    rf"|(?:(?![{_UNSPACED}]|{_EMOJI}|\p{{Cc}}).)+",
    regex.V1,
)
_ORDINARY = re.compile(r"[\"(]?([A-Za-z]?[a-z]*[a-z]|[A-Za-z])[.,;:!?)\"]*")
"""Matches most chunks; a shortcut for speed alone."""
UNSPACED = regex.compile(rf"[{_UNSPACED}]")
"""A character of a script that is written without spaces."""
_GRAPHEME = regex.compile(rf"{_FLAG}|\p{{Regional_Indicator}}|\X")
# Letters and digits with their combining marks, so that decomposed accents and Indic vowel signs stay in their word.
_COMPOUND = regex.compile(r"[\w\p{M}]+(?:[.\-][\w\p{M}]+)*")
_PART = regex.compile(r"[\w\p{M}--_]+", regex.V1)
_PIECE = regex.compile(r"\p{Lu}{2,}s\b|\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{L}\p{M}\u200c\u200d--\p{Lu}]+|\p{N}+|.", regex.V1)
_VERSION = re.compile(r"[vV](\d+(?:\.\d+)+)(?![\w.\-])")
_PLAIN = regex.compile(r"[\w\p{M}']+")
_LETTER = regex.compile(r"\w")
"""A letter or a digit."""
_SIGN = regex.compile(r"[\p{S}\p{ASCII}]")
_SYMBOL = regex.compile(r"[$%§¶‰]|[\p{S}--\p{ASCII}]", regex.V1)
_LIST = re.compile(r'["`\u2014\u2015\u3001\u300c-\u3011]|[,;|](?!\d)|(?<!\d)[,;|]')
_TAG = re.compile(r"(?<![^>])<[A-Za-z][^<>]*>|</[A-Za-z]\w*>")
"""An HTML tag that closes, or that opens without a word before it, unlike the one in ``List<String>``."""

# Word processors and web pages write other hyphens, minus signs and apostrophes, and invisible marks.
_SAME = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-")
    | {"\u2019": "'", "\u2044": "/"}
    | dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufe0e\ufe0f\ufeff")
    | dict.fromkeys(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
)
_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb\u2039\u203a"
_BEFORE = _QUOTES + ",;\u00bf\u00a1\u2014\u2015\u2022\u2023\u25e6\u00b7\u3001"
_AFTER = _QUOTES + ".,;:!?\u2026\u2014\u2015\u3002\u3001\u060c\u061b\u061f\u06d4\u0964\u0965"
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">", "\u300c": "\u300d", "\u300e": "\u300f", "\u3010": "\u3011"}
_OPENING = {closing: opening for opening, closing in _CLOSING.items()}
_AROUND = {**_CLOSING, "*": "*", "|": "|"}


@dataclass(frozen=True)
class _Chunk:
    """A stretch of text between white space.

    :param units: Its units.
    :param places: Start and end of each unit in the chunk.
    :param typed: Its words as they were typed.
    """

    units: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    typed: tuple[str, ...]


def words(text: str) -> list[str]:
    """Return the lexical units of `text`, in order and with repetitions.

    A word is a stretch between white space, without the punctuation around it. Its units are

    - the word without its case (``c++``, ``--no-cache``, ``e-4012``), and with its case where that tells more than the
      start of a sentence (``C++``, ``maxRetries``);
    - the compounds in it, joined by ``.``, ``-`` or ``_``, and a version also without its ``v``; the parts of the
      compounds; and the pieces of a part, cut where case changes or digits begin: ``setUserName`` gives ``set``,
      ``user``, ``name``, and ``E4012`` gives ``e``, ``4012``;
    - the symbols in it, such as ``€`` or ``°``, each emoji, and operators such as ``==``.

    Scripts without spaces give pairs of neighbouring characters, as Lucene's CJK analyzer does. All units are in
    Unicode's form NFKC. A tokenizer cannot give these units: it cuts ``E-4012`` and ``E - 4012`` into the same pieces.
    """
    return [unit for chunk in text.split() for unit in _chunk(chunk).units]


def words_and_typed(text: str) -> tuple[list[str], list[str]]:
    """Return :func:`words` and :func:`typed_words` at once, in half the time."""
    chunks = [_chunk(chunk) for chunk in text.split()]
    return [unit for one in chunks for unit in one.units], [word for one in chunks for word in one.typed]


def word_spans(text: str) -> list[Span]:
    """Return :func:`words` with the start and end of each in `text`: ``(unit, start, end)``."""
    spans: list[Span] = []
    for match in _CHUNK.finditer(text):
        chunk = _chunk(match.group())
        at = match.start()
        for unit, (start, end) in zip(chunk.units, chunk.places, strict=True):
            spans.append((unit, at + start, at + end))
    return spans


def typed_words(text: str) -> list[str]:
    """Return the words of `text` as they were typed, in order, with their case and signs, bounded on both sides.

    A list without spaces, such as ``-v,--verbose``, gives the whole and its items. Scripts without spaces give each run
    of characters as one word.
    """
    return [word for chunk in text.split() for word in _chunk(chunk).typed]


def _chunk(chunk: str) -> _Chunk:
    return _cached(chunk) if len(chunk) <= LONGEST_CACHED else _cut(chunk)


def _cut(chunk: str) -> _Chunk:
    plain = _ORDINARY.fullmatch(chunk)
    if plain:
        return _Chunk((plain[1].lower(),), (plain.span(1),), (plain[1],))
    normal, places = _normalised(chunk)
    units: dict[Span, None] = {}  # in order, each once
    typed: list[str] = []
    for run in _RUN.finditer(normal):
        first, last = run.span()
        if run["unspaced"]:
            units.update(dict.fromkeys(_bigrams(run.group(), first)))
            typed.append(_original(chunk, places, first, last))
        elif run["emoji"]:
            units[run.group(), first, last] = None
            typed.append(run.group())
        else:
            while 0 < first < last and normal[first] in _AFTER:  # belongs to the script before it
                first += 1
            for start, end in _words(normal, first, last):
                units.update(dict.fromkeys(_units(normal, start, end)))
                typed.append(_original(chunk, places, start, end))
    spans = tuple((places[start][0], places[end - 1][1]) for _, start, end in units)
    return _Chunk(tuple(unit for unit, _, _ in units), spans, tuple(typed))


_cached = lru_cache(CACHED_CHUNKS)(_cut)


def _normalised(chunk: str) -> tuple[str, list[tuple[int, int]]]:
    """Return the chunk in NFKC, and for each of its characters the span in `chunk` that it comes from."""
    if chunk.isascii():
        return chunk, [(place, place + 1) for place in range(len(chunk))]
    normal, places = "", list[tuple[int, int]]()
    for match in _GRAPHEME.finditer(chunk):
        # Translated twice: NFKC makes U+2011 a U+2010.
        grapheme = unicodedata.normalize("NFKC", match.group().translate(_SAME)).translate(_SAME).replace(" ", "")
        normal += grapheme
        places += [match.span()] * len(grapheme)
    return normal, places


def _original(chunk: str, places: list[tuple[int, int]], start: int, end: int) -> str:
    return unicodedata.normalize("NFC", chunk[places[start][0] : places[end - 1][1]].translate(_SAME))


def _bigrams(run: str, at: int) -> Iterator[Span]:
    """Yield each pair of neighbouring characters of a run, or its only character."""
    folded = run.casefold()
    spans = [match.span() for match in _GRAPHEME.finditer(run)]
    for (start, _), (_, end) in zip(spans, spans[1:] or spans, strict=False):
        yield folded[start:end] if len(folded) == len(run) else run[start:end].casefold(), at + start, at + end


def _words(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the words in ``text[start:end]``, without punctuation, and of the list items in them."""
    for first, last in _between(_TAG, text, start, end):
        if not _LETTER.search(text, first, last):
            while last - first > 2 and text[first] in _QUOTES and text[last - 1] in _AFTER:
                first, last = first + (text[last - 1] in _QUOTES), last - 1
            if first < last:
                yield first, last
            continue
        first, last = _bare(text, first, last)
        yield first, last
        items = [*_between(_LIST, text, first, last)]
        for item in items if len(items) > 1 else ():
            of_item = _bare(text, item[0] + (text[item[0] : item[0] + 1] == ":"), item[1])
            if _LETTER.search(text, *of_item):
                yield of_item


def _between(cut: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of the stretches between the matches of `cut` in ``text[start:end]``."""
    for match in cut.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def _bare(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the bounds of ``text[start:end]`` without the quotes, brackets and punctuation around it."""
    for _ in range(MOST_AROUND):
        if start == end:
            break
        first, last = text[start], text[end - 1]
        if last in _AFTER or _is_single(text, start, end, last, _OPENING):
            end -= 1
        elif first in _BEFORE or _is_single(text, start, end, first, _CLOSING):
            start += 1
        elif end - start > 2 and _AROUND.get(first) == last:
            start, end = start + 1, end - 1
        else:
            break
    return start, end


def _is_single(text: str, start: int, end: int, bracket: str, others: dict[str, str]) -> bool:
    """Whether a bracket has no counterpart in the word, like that of ``(see`` and unlike that of ``Fe(II)``."""
    return bracket in others and text.count(others[bracket], start, end) < text.count(bracket, start, end)


def _units(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the units of the word ``text[start:end]``, the whole word first."""
    word, whole = text[start:end], end - start <= LONGEST_UNIT
    folded = word.casefold()
    if not _LETTER.search(word):
        # Leaves out the punctuation of scripts that have their own.
        if len(word) <= LONGEST_SIGN and _SIGN.search(word):
            yield word, start, end
    else:
        if whole and word[0].lower() + word[1:] != folded:
            yield word, start, end
        if whole and not _PLAIN.fullmatch(word):
            yield folded, start, end
    for symbol in _SYMBOL.finditer(text, start, end):
        yield symbol.group(), *symbol.span()
    for compound in _COMPOUND.finditer(text, start, end):
        yield compound.group().casefold(), *compound.span()
        if version := _VERSION.match(text, *compound.span()):
            yield version.group(1), *version.span(1)
        for part in _PART.finditer(text, *compound.span()):
            yield part.group().casefold(), *part.span()
            for piece in _PIECE.finditer(text, *part.span()):
                yield piece.group().casefold(), *piece.span()
