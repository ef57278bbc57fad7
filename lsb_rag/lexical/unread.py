"""How much of a text a backbone cannot read: what its tokenizer turns into unknown tokens."""

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
"""Most tokens of a text that are looked at."""


class UnreadShare:
    """The share of unknown tokens among the words of a text.

    Signs are left out, and a text of nothing but signs counts as unread.

    :param tokenizer: The backbone's tokenizer, copied on first use; without one, everything counts as read.
    :param unknown: The tokenizer's unknown token; None for a tokenizer that knows every byte.
    """

    def __init__(self, tokenizer: Tokenizer | None = None, unknown: str | None = None) -> None:
        self._original = tokenizer
        self._unknown = unknown

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the unread share of each text, from 0 (all read) to 1 (none read), shape ``[len(texts)]``."""
        if self._tokenizer is None:
            return np.zeros(len(texts))
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return np.array([self._share(one.tokens) for one in encoded], np.float64)

    def emphasis(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the factor by which a corpus-fitted bridge acts more strongly on each query, shape ``[len(texts)]``.

        It is 1 for a query that the backbone reads, and up to 10 for one that it cannot, whose embedding says nothing.
        """
        return 1 / np.maximum(1 - self(texts), 1 / MOST_EMPHASIS)

    def _share(self, tokens: Sequence[str]) -> float:
        unread = sum(token == self._unknown for token in tokens)
        read = sum(token != self._unknown and any(map(str.isalnum, token)) for token in tokens)
        return unread / (unread + read) if unread or read else 1.0

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        """A copy, because every call of the backbone resets truncation and padding of the original."""
        if self._original is None:
            return None
        copied = type(self._original).from_str(self._original.to_str())
        copied.no_padding()
        copied.enable_truncation(LONGEST)
        return copied


class UnreadPassages:
    """A count of the passages of which a backbone cannot read most, with one warning about them.

    :param share: Gives the unread share of a text for the backbone.
    """

    def __init__(self, share: UnreadShare) -> None:
        self._share = share
        self.passages = 0
        self.unread = 0
        self.example = ""
        self._warned = False

    def look(self, texts: Sequence[str]) -> None:
        """Count `texts`, and those of them that are mostly unread."""
        unread = [text for text, share in zip(texts, self._share(texts), strict=True) if share > 0.5]
        self.passages += len(texts)
        self.unread += len(unread)
        self.example = self.example or next(iter(unread), "")

    def warn(self) -> None:
        """Log a warning, once, if any unread passage was counted."""
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
