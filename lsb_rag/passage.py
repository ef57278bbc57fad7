"""What is stored and what comes back: :class:`Passage` and :class:`Hit`, and the text that was embedded for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any

from .errors import InvalidInputError, InvalidTypeError
from .utils.arguments import shown
from .utils.digests import content_id

MetadataValue = str | int | float | bool | list[str] | list[int] | list[float] | list[bool]
"""A value that a collection stores as metadata; a list holds at least one value, all of one type."""

TITLE_KEY = "title"
"""Metadata key under which a title is stored."""
SOURCE_KEY = "source"
"""Metadata key of the file that a passage was read from; document loaders of LangChain's use it too."""
SOURCES_KEY = "sources"
"""Metadata key of all files that hold a passage, where there are several."""
HEADING_KEY = "heading"
"""Metadata key of the path of headings that a passage stands under."""
INTERNAL = "lsb_rag:"
"""What metadata keys begin with that are no concern of a reader."""
SENTENCE_SHARE = 0.5
"""Share of the best sentence's cosine in the dense part of a score; that of the passage has the rest."""
NODE_KEY = "_node_content"
"""Metadata key under which LlamaIndex keeps a node as JSON."""


@dataclass(frozen=True)
class Passage:
    """One passage of a corpus.

    :param text: The passage itself. With a title, title and text are embedded together, as in BEIR.
    :param id: A stable id; without one, the id is derived from the content.
    :param title: The title of the document, or what names the passage.
    :param metadata: Values to store beside it.
    :raises InvalidInputError: When the metadata hold another title, which would be lost.
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
        also = self.metadata.get(TITLE_KEY, self.title)
        if self.title and not (isinstance(also, str) and also == self.title):
            raise InvalidInputError(
                f"The title {self.title[:40]!r} and the metadata {TITLE_KEY!r}: {shown(also)} are "
                "stored under one name; give one of them, or the metadata another name."
            )
        if not self.id:
            object.__setattr__(self, "id", content_id(self.content))

    @property
    def content(self) -> str:
        """What is stored: the title on a line of its own, then the text."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def sources(self) -> list[str]:
        """The files that hold it; empty where that is not known."""
        return sources_of(self.metadata)

    @property
    def embedded_text(self) -> str:
        """What is embedded, see :func:`embedded_text`: the content, but for nodes of LlamaIndex's."""
        return embedded_text(self.content, self.metadata)


@dataclass(frozen=True)
class Hit:
    """One retrieved passage.

    :param id: Its id in the collection.
    :param score: What the hits are ordered by, larger is better: the cosine similarity of query vector and passage
        or, with the rerank, :attr:`dense` and the weighted lexical score on top.
    :param text: The stored text.
    :param title: The stored title, or an empty string.
    :param metadata: A copy of the stored metadata.
    :param cosine: The cosine similarity alone.
    :param lexical: The lexical score in [0, 1] alone; 0 without the rerank.
    :param sentence: The passage's sentence that is nearest to the query, cut as an answer would quote it; empty where
        none was looked at.
    :param sentence_cosine: Its cosine similarity as it counts; None where none does, as in a passage of one sentence.
    :param confidence: The probability that the passage is relevant, from 0 to 1, see :mod:`lsb_rag.confidence`. Unlike
        the score, it can be compared between queries, and used as a threshold.
    """

    id: str
    score: float
    text: str
    title: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    cosine: float = 0.0
    lexical: float = 0.0
    sentence: str = ""
    sentence_cosine: float | None = None
    confidence: float = field(default=0.0, compare=False)

    @property
    def dense(self) -> float:
        """The dense part of the score: the cosine, with that of the best sentence where one counts."""
        if self.sentence_cosine is None:
            return self.cosine
        return self.cosine + SENTENCE_SHARE * (self.sentence_cosine - self.cosine)

    @property
    def body(self) -> str:
        """The text without the title that heads it."""
        return self.text.removeprefix(f"{self.title}\n") if self.title else self.text

    @property
    def embedded_text(self) -> str:
        """What was embedded, see :func:`embedded_text`: the text, but for nodes of LlamaIndex's."""
        return embedded_text(self.text, self.metadata)

    @property
    def citation(self) -> str:
        """What names it to a reader: its file and path of headings where it has them, else its id."""
        source, heading = self.metadata.get(SOURCE_KEY), self.metadata.get(HEADING_KEY)
        return " \u203a ".join(str(one) for one in (source, heading) if one) if source else self.id

    @property
    def titled_text(self) -> str:
        """What was embedded, below the title where it does not begin with it."""
        whole = self.embedded_text
        return whole if whole.startswith(self.title) else f"{self.title}\n{whole}"


def sources_of(metadata: Mapping[str, Any]) -> list[str]:
    """Return the files that hold a passage, by its metadata."""
    several, one = metadata.get(SOURCES_KEY), metadata.get(SOURCE_KEY)
    return list(map(str, several)) if isinstance(several, list) else [] if one is None else [str(one)]


def embedded_text(document: str, metadata: Mapping[str, Any] | None) -> str:
    """Return the text that was embedded for a record.

    It is more than the stored document where LlamaIndex wrote it. LlamaIndex embeds a node's metadata before its text
    (``MetadataMode.EMBED``) and stores the text alone; here the whole is rebuilt from the node beside it. Metadata that
    the node excludes from embedding stay out. For any other record it is the stored document.

    :param document: The stored document.
    :param metadata: The stored metadata.
    """
    if not metadata or NODE_KEY not in metadata:
        return document
    try:
        node = json.loads(metadata[NODE_KEY] or "{}")
        return _with_metadata(document, node) if node.get("metadata") else document
    except (AttributeError, TypeError, ValueError, RecursionError):  # not a node of LlamaIndex's
        return document


def _with_metadata(document: str, node: Mapping[str, Any]) -> str:
    excluded = node.get("excluded_embed_metadata_keys") or ()
    template = str(node.get("metadata_template") or "{key}: {value}")
    separator = node.get("metadata_separator", node.get("metadata_seperator", "\n"))  # older versions' spelling
    lines = [
        _filled(template, {"key": key, "value": str(value)})
        for key, value in node["metadata"].items()
        if key not in excluded
    ]
    metadata_str = str(separator).join(lines).strip()
    if not metadata_str:
        return document
    whole = str(node.get("text_template") or "{metadata_str}\n\n{content}")
    return _filled(whole, {"metadata_str": metadata_str, "content": document}).strip()


def _filled(template: str, values: Mapping[str, str]) -> str:
    """``template.format(**values)``, but for attributes and items: a template comes from the database."""
    formatter, parts = Formatter(), []
    for literal, name, spec, conversion in formatter.parse(template):
        parts.append(literal)
        if name is not None and name in values:
            value: Any = values[name]
            parts.append(format(formatter.convert_field(value, conversion) if conversion else value, spec or ""))
        elif name is not None:
            parts.append(f"{{{name}}}")
    return "".join(parts)
