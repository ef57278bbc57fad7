"""How common a word is in any text, as the order of a tokenizer's vocabulary tells."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LEAST_WORDS = 5_000
"""A smaller vocabulary says nothing of the words of a language."""
ABBREVIATION = 0.9
"""Common words are shorter (Zipf): the first tenth of a vocabulary in order of frequency has at most this share of the
average length of its last."""
PER_RANK = 10.0
"""By Zipf's law the word of rank r stands in some 10 / r of all passages, of a hundred words each."""
COMMONEST = 0.5
LETTER = 0.01
"""What a letter alone counts for; vocabularies hold them in the order of the alphabet."""


class BackgroundFrequency:
    """The share of ordinary passages that hold a word, from the ranks of whole words in a tokenizer's vocabulary.

    Tokenizers learn their pieces in order of frequency, or keep them so. Where a vocabulary is small, in another order,
    or not there, no word is known; the vocabulary is read when first needed.

    :param tokenizer: The backbone's tokenizer, or None.
    """

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        self._tokenizer = tokenizer

    def __call__(self, unit: str) -> float:
        """Return the share for one unit, from 0 (not an ordinary word) to one half."""
        if len(unit) == 1 and unit.isalpha():
            return LETTER if self.ranks else 0.0
        rank = self.ranks.get(unit)
        return 0.0 if rank is None else min(COMMONEST, PER_RANK / rank)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The rank of each whole word of the vocabulary, from 1, case-folded; empty where its order tells nothing."""
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=False) if self._tokenizer else {}
        pieces = sorted(vocabulary, key=lambda piece: vocabulary[piece])
        # What begins a word is marked by SentencePiece and byte-level BPE, what goes on with one by WordPiece.
        mark = next((mark for mark in ("\u2581", "\u0120") if sum(p.startswith(mark) for p in pieces) > 1), "")
        begins = (piece.removeprefix(mark) for piece in pieces if piece.startswith(mark))
        words = list(dict.fromkeys(word.casefold() for word in begins if len(word) > 1 and word.isalpha()))
        tenth = len(words) // 10
        if len(words) < LEAST_WORDS or _letters(words[:tenth]) > ABBREVIATION * _letters(words[-tenth:]):
            return {}
        return {word: rank for rank, word in enumerate(words, start=1)}


def _letters(words: list[str]) -> int:
    return sum(map(len, words))
