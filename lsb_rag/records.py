"""Passages as the records of a collection, checked on the way in, and as hits on the way out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .errors import InvalidInputError, InvalidTypeError
from .passage import Hit, MetadataValue, Passage

TITLE_KEY = "title"


def check_k(k: int) -> None:
    """Refuse a number of passages that is not a whole number of at least 1.

    :raises InvalidInputError: For any other.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise InvalidInputError(f"k must be a whole number of at least 1, not {k!r}.")


def distinct_passages(passages: Iterable[str | Passage]) -> list[Passage]:
    """The passages of one call, each id once; a text becomes a passage with an id from its content.

    :raises InvalidInputError: For a blank passage, or an id given twice with different content.
    :raises InvalidTypeError: For anything but strings and passages.
    """
    if isinstance(passages, str | Passage):
        raise InvalidTypeError("add() takes a list of passages; put a single one in brackets.")
    distinct: dict[str, Passage] = {}
    for item in passages:
        if not isinstance(item, str | Passage):
            raise InvalidTypeError(f"A passage must be a string or a Passage, not {type(item).__name__}.")
        text = item if isinstance(item, str) else item.content
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError("A passage is empty or blank; leave it out. Nothing was stored.")
        passage = Passage(item) if isinstance(item, str) else item
        earlier = distinct.setdefault(passage.id, passage)
        if earlier.content != passage.content:
            raise InvalidInputError(
                f"The id {passage.id!r} is given twice with different content; ids must be unique. Nothing was stored."
            )
    return list(distinct.values())


def metadata_of(passage: Passage) -> dict[str, MetadataValue]:
    """What is stored as metadata: the passage's own, and its title."""
    return {**passage.metadata, TITLE_KEY: passage.title} if passage.title else dict(passage.metadata)


def hit_of(id: str, cosine: float, document: str | None, metadata: Mapping[str, Any] | None) -> Hit:
    """A hit from a stored record."""
    kept = dict(metadata or {})
    return Hit(id, cosine, document or "", str(kept.get(TITLE_KEY, "")), kept, cosine=cosine)
