"""Passages as the records of a collection, checked on the way in, and as hits on the way out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import index
from typing import Any, SupportsIndex

from ..errors import InvalidInputError, InvalidTypeError
from ..passage import INTERNAL, TITLE_KEY, Hit, MetadataValue, Passage, embedded_text
from ..utils.arguments import checked, shown

logger = logging.getLogger(__name__)

EQUAL = 200
"""More passages than this with the same content are worth a warning."""


def checked_k(k: SupportsIndex) -> int:
    """Return a number of passages, a whole number of at least 1.

    :raises InvalidInputError: For any other.
    """
    try:
        number = -1 if isinstance(k, bool) else index(k)
    except TypeError:
        number = -1
    if number < 1:
        raise InvalidInputError(f"k must be a whole number of at least 1, not {k!r}.")
    return number


def distinct_passages(passages: Iterable[str | Passage], *, storable: bool = True) -> list[Passage]:
    """Return the passages of one call, each id once. A text becomes a passage with an id from its content.

    :param storable: Refuse metadata that Chroma does not store.
    :raises InvalidInputError: For a blank passage, or an id given twice with different content or metadata.
    :raises InvalidTypeError: For anything but strings and passages.
    """
    if isinstance(passages, str | Passage) or not isinstance(passages, Iterable):
        raise InvalidTypeError("add() takes a list of passages; put a single one in brackets.")
    distinct: dict[str, Passage] = {}
    for item in passages:
        if not isinstance(item, str | Passage):
            raise InvalidTypeError(f"A passage must be a string or a Passage, not {type(item).__name__}.")
        text = item if isinstance(item, str) else item.content
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError("A passage is empty or blank; leave it out. Nothing was stored.")
        passage = Passage(item) if isinstance(item, str) else item
        if storable:
            _check_storable(passage)
        earlier = distinct.setdefault(passage.id, passage)
        if earlier != passage:
            what = "metadata" if earlier.content == passage.content else "content"
            raise InvalidInputError(
                f"The id {passage.id!r} is given twice with different {what}; ids must be unique. Nothing was stored."
            )
    return list(distinct.values())


def check_passages(passages: Iterable[str | Passage]) -> None:
    """Refuse passages that cannot be stored, as :func:`distinct_passages` does."""
    distinct_passages(passages)


def warn_of_equal_ones(passages: Sequence[Passage]) -> None:
    """Warn where very many passages have the same content: around equal vectors an HNSW index loses others."""
    if len(passages) > EQUAL:
        (content, count), *_ = Counter(passage.content for passage in passages).most_common(1)
        if count > EQUAL:
            logger.warning(
                "%d of %d passages have the same content (%r). The search loses others among so many equal vectors; "
                "keep one of them.",
                count,
                len(passages),
                content[:40],
            )


def _check_storable(passage: Passage) -> None:
    """Refuse what Chroma would refuse, before anything is stored."""
    kept = [text for value in passage.metadata.values() for text in (value if isinstance(value, list) else [value])]
    for text in (passage.id, passage.content, *passage.metadata, *kept):
        try:
            if isinstance(text, str):
                text.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidInputError(
                f"The passage {passage.id[:40]!r} holds a lone surrogate, which is no character; replace it. "
                "Nothing was stored."
            ) from None
    for key, value in passage.metadata.items():
        if not is_storable(key, value):
            raise InvalidInputError(
                f"The metadata {shown(key)}: {shown(value)} of {passage.id[:40]!r} cannot be stored; use text, finite "
                "numbers, booleans or lists of one of these under a name of your own. Nothing was stored."
            )


def is_storable(key: object, value: object) -> bool:
    """Whether Chroma keeps this metadata: text, a finite number, a boolean or a list of one of these, under a name."""
    values = value if isinstance(value, list) else [value]
    one_type = len({type(one) for one in values}) == 1
    named = isinstance(key, str) and bool(key) and not key.startswith("chroma:")
    return named and one_type and all(map(_is_scalar, values))


def _is_scalar(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, str | bool) or (isinstance(value, float) and isfinite(value))


def metadata_of(passage: Passage) -> dict[str, MetadataValue]:
    """Return what is stored as metadata: the passage's own, and its title."""
    return {**passage.metadata, TITLE_KEY: passage.title} if passage.title else dict(passage.metadata)


def hit_of(id: str, cosine: float, document: str | None, metadata: Mapping[str, Any] | None) -> Hit:
    """Return a stored record as a hit."""
    kept = dict(metadata or {})
    shown = {key: value for key, value in kept.items() if not key.startswith(INTERNAL)}
    return Hit(id, cosine, document or "", str(kept.get(TITLE_KEY, "")), shown, cosine=cosine)


@dataclass(frozen=True)
class VectorRecord:
    """A record as a collection stores it.

    :param id: Its id.
    :param document: Its text, or None.
    :param metadata: Its metadata, or None.
    :param vector: Its vector, float32 of shape ``[d]``, where it was asked for.
    """

    id: str
    document: str | None
    metadata: Mapping[str, Any] | None
    vector: Any = None

    @classmethod
    @checked
    def of(cls, passage: Passage) -> VectorRecord:
        """Return the record that a passage is stored as, without a vector."""
        return cls(passage.id, passage.content, metadata_of(passage))

    @property
    def embedded_text(self) -> str | None:
        """The text that was embedded, see :func:`lsb_rag.passage.embedded_text`; None for a record without one."""
        return embedded_text(self.document, self.metadata) if self.document else None

    def hit(self, cosine: float = 0.0) -> Hit:
        """Return the record as a hit."""
        return hit_of(self.id, cosine, self.document, self.metadata)

    def passage(self) -> Passage:
        """Return the passage that was stored, the title taken out of text and metadata again."""
        text, metadata = self.document or "", dict(self.metadata or {})
        title = metadata.get(TITLE_KEY)
        if isinstance(title, str) and title and text.startswith(f"{title}\n"):
            del metadata[TITLE_KEY]
            return Passage(text.removeprefix(f"{title}\n"), self.id, title, metadata)
        return Passage(text, self.id, metadata=metadata)
