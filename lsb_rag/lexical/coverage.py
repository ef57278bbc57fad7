"""Coverage of a query by a text: the share of what is asked that the text speaks of, and the identifiers it holds."""

from __future__ import annotations

from functools import lru_cache

from .background_frequency import BackgroundFrequency
from .identifiers import held, identifiers
from .information import information
from .units import words

CACHED_TEXTS = 4096


class Coverage:
    """What a query asks for. It is measured against single texts, without a collection.

    :param query: The query.
    :param background: How common words are in any text.
    """

    def __init__(self, query: str, background: BackgroundFrequency | None = None) -> None:
        background = background or BackgroundFrequency()
        self.identifiers = identifiers(query, background)
        worth = information(words(query), {}, 0, background, unseen=True)
        total = sum(worth.values())
        self._shares = {unit: value / total for unit, value in worth.items() if value}

    def share(self, text: str) -> float:
        """Return the share of the query's information that `text` holds, from 0 to 1.

        Words count by how rare they are in any text, see :func:`lsb_rag.lexical.information.information`.
        """
        units = _units(text)
        return sum(share for unit, share in self._shares.items() if unit in units)

    def holds(self, text: str) -> bool | None:
        """Whether `text` holds the identifiers of the query: all, or none; None for some, or a query without any."""
        found = {bool(held(one, text)) for one in self.identifiers}
        return found.pop() if len(found) == 1 else None


@lru_cache(CACHED_TEXTS)
def _units(text: str) -> frozenset[str]:
    return frozenset(words(text))
