"""How common a word is in any text, estimated from the order of a tokenizer's vocabulary."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LEAST_WORDS = 5_000
"""A smaller vocabulary says nothing of the words of a language."""
ABBREVIATION = 0.9
"""Common words are shorter (Zipf). In a vocabulary in order of frequency, the average length of the first tenth is at
most this share of that of the last tenth."""
PER_RANK = 10.0
"""By Zipf's law the word of rank r occurs in about 10 / r of all passages of a hundred words each."""
COMMONEST = 0.5
LETTER = 0.01
"""Share assumed for a single letter, as vocabularies hold letters in the order of the alphabet."""


class BackgroundFrequency:
    """The share of ordinary passages that hold a word, from the ranks of whole words in a tokenizer's vocabulary.

    Tokenizers learn or keep their pieces in order of frequency. No word is known where the vocabulary is missing, small
    or in another order. The vocabulary is read on first use.

    :param tokenizer: The backbone's tokenizer, or None.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer

    def __call__(self, unit: str) -> float:
        """Return the share of passages that hold `unit`, from 0 (not an ordinary word) to one half."""
        if len(unit) == 1 and unit.isalpha():
            return LETTER if self.ranks else 0.0
        rank = self.ranks.get(unit)
        return 0.0 if rank is None else min(COMMONEST, PER_RANK / rank)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Rank from 1 of each whole word of the vocabulary, case-folded; empty where its order is uninformative."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False) if self._tokenizer else {}
        pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
        # SentencePiece and byte-level BPE mark the pieces that begin a word, WordPiece those that continue one.
        mark = next((mark for mark in ("\u2581", "\u0120") if sum(p.startswith(mark) for p in pieces) > 1), "")
        begins = (piece.removeprefix(mark) for piece in pieces if piece.startswith(mark))
        words = list(dict.fromkeys(word.casefold() for word in begins if len(word) > 1 and word.isalpha()))
        tenth = len(words) // 10
        if len(words) < LEAST_WORDS or _letters(words[:tenth]) > ABBREVIATION * _letters(words[-tenth:]):
            return {}
        return {word: rank for rank, word in enumerate(words, start=1)}


def _letters(words: list[str]) -> int:
    return sum(map(len, words))
