"""How much of a text a backbone cannot read: what its tokenizer makes unknown tokens of."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

MOST_EMPHASIS = 10.0
LONGEST = 512
"""Tokens of a text that are looked at."""


class UnreadShare:
    """The share of unknown tokens among those that are words; signs are left out, and signs alone say nothing.

    :param tokenizer: The backbone's tokenizer, copied when first needed; without one, everything counts as read.
    :param unknown: The token that stands for what the tokenizer does not know; None for one that knows every byte.
    """

    def __init__(self, tokenizer: Tokenizer | None = None, unknown: str | None = None) -> None:
        self._given = tokenizer
        self._unknown = unknown

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text, from 0 (read) to 1 (not read at all), shape ``[len(texts)]``."""
        if self._tokenizer is None:
            return np.zeros(len(texts))
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return np.array([self._share(one.tokens) for one in encoded], np.float64)

    def emphasis(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return how many times as strongly a corpus-fitted bridge acts on each query, shape ``[len(texts)]``.

        1 for a query that the backbone reads, up to 10 for one that it cannot, whose embedding says nothing.
        """
        return 1 / np.maximum(1 - self(texts), 1 / MOST_EMPHASIS)

    def _share(self, tokens: Sequence[str]) -> float:
        unread = sum(token == self._unknown for token in tokens)
        read = sum(token != self._unknown and any(map(str.isalnum, token)) for token in tokens)
        return unread / (unread + read) if unread or read else 1.0

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        """A copy, as truncation and padding of the backbone's own are set anew at every call."""
        if self._given is None:
            return None
        own = type(self._given).from_str(self._given.to_str())
        own.no_padding()
        own.enable_truncation(LONGEST)
        return own


class UnreadPassages:
    """Counts the passages of which a backbone cannot read most, to say so once.

    :param share: The backbone's.
    """

    def __init__(self, share: UnreadShare) -> None:
        self._share = share
        self.passages = 0
        self.unread = 0
        self.example = ""
        self._warned = False

    def look(self, texts: Sequence[str]) -> None:
        """Count `texts`."""
        unread = [text for text, share in zip(texts, self._share(texts), strict=True) if share > 0.5]
        self.passages += len(texts)
        self.unread += len(unread)
        self.example = self.example or next(iter(unread), "")

    def warn(self) -> None:
        """Log a warning where any was counted, once."""
        if self.unread and not self._warned:
            self._warned = True
            logger.warning(
                "The backbone cannot read most of %d of %d passages (%.0f %%), such as %r: their vectors are much the "
                "same, so that only the words as they were typed tell them apart. A multilingual backbone reads them; "
                "give its name or path as the backbone of a new collection.",
                self.unread,
                self.passages,
                100 * self.unread / self.passages,
                self.example[:40],
            )
