"""What is stored and what comes back: :class:`Passage` and :class:`Hit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import InvalidTypeError
from .utils.digests import content_id

MetadataValue = str | int | float | bool | list[str] | list[int] | list[float] | list[bool]
"""A value that a collection stores as metadata; a list holds at least one value, all of one type."""


@dataclass(frozen=True)
class Passage:
    """One passage of a corpus.

    :param text: The passage itself. With a title, title and text are embedded together, as in BEIR.
    :param id: A stable id; without one, the id is derived from the content.
    :param title: The title of the document, or what names the passage.
    :param metadata: Values to store beside it.
    :raises InvalidTypeError: When text, id or title is not a string, or metadata no mapping.
    """

    text: str
    id: str = ""
    title: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("text", "id", "title"):
            if not isinstance(getattr(self, name), str):
                raise InvalidTypeError(
                    f"The {name} of a passage must be a string, not {type(getattr(self, name)).__name__}."
                )
        if not isinstance(self.metadata, Mapping):
            raise InvalidTypeError(f"The metadata of a passage must be a mapping, not {type(self.metadata).__name__}.")
        if not self.id:
            object.__setattr__(self, "id", content_id(self.content))

    @property
    def content(self) -> str:
        """What is embedded and stored: the title on a line of its own, then the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class Hit:
    """One retrieved passage.

    :param id: Its id in the collection.
    :param score: What the hits are ordered by, larger is better: the cosine similarity of query vector and passage
        and, with the lexical rerank, its weighted lexical score on top.
    :param text: The stored text.
    :param title: The stored title, or an empty string.
    :param metadata: A copy of the stored metadata.
    :param cosine: The cosine similarity alone.
    :param lexical: The lexical score in [0, 1] alone; 0 without the rerank.
    """

    id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    cosine: float = 0.0
    lexical: float = 0.0

    @property
    def body(self) -> str:
        """The text without the title that heads it."""
        return self.text.removeprefix(f"{self.title}\n") if self.title else self.text
