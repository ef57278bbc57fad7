"""LangChain's documents as passages, and hits as documents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from lsb_rag import Hit, Passage
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import checked, content_id


@checked
def to_documents(texts: Iterable[Any], metadatas: Sequence[Any] | None) -> list[Document]:
    """Texts with their metadata as documents.

    Raises:
        InvalidInputError: When there are not as many metadatas as texts.
        InvalidTypeError: For anything but a list of strings.
    """
    texts = list(texts)
    if metadatas is not None and len(metadatas) != len(texts):
        msg = f"There are {len(texts)} texts and {len(metadatas)} metadatas; give one for each."
        raise InvalidInputError(msg)
    for text in texts:
        if not isinstance(text, str):
            msg = f"A text must be a string, not {type(text).__name__}; documents go to add_documents()."
            raise InvalidTypeError(msg)
    for metadata in metadatas or ():
        if not isinstance(metadata, Mapping | None):
            msg = f"The metadata of a text is a dictionary, not {type(metadata).__name__}; ids go to ids=."
            raise InvalidTypeError(msg)
    metadatas = metadatas or [None] * len(texts)
    return [Document(text, metadata=dict(metadata or {})) for text, metadata in zip(texts, metadatas, strict=True)]


@checked
def to_passages(documents: Document | Iterable[Any], ids: Sequence[str | None] | None) -> list[Passage]:
    """Documents as passages; an id is the one given, else the document's, else made from content and metadata.

    Raises:
        InvalidInputError: When there are not as many ids as documents.
        InvalidTypeError: For anything but documents.
    """
    documents = [documents] if isinstance(documents, Document) else list(documents)
    if ids is not None and len(ids) != len(documents):
        msg = f"There are {len(documents)} documents and {len(ids)} ids; give one for each."
        raise InvalidInputError(msg)
    passages = []
    for document, given in zip(documents, ids or [None] * len(documents), strict=True):
        if not isinstance(document, Document):
            msg = f"Give documents, not {type(document).__name__}; texts go to add_texts()."
            raise InvalidTypeError(msg)
        metadata = {key: value for key, value in document.metadata.items() if value is not None}
        id = given or document.id or _id(document.page_content, metadata)
        passages.append(Passage(document.page_content, id=id, metadata=metadata))
    return passages


def _id(text: str, metadata: dict[str, Any]) -> str:
    """The same for the same document, so that adding it again adds nothing; equal texts of two sources stay two."""
    parts = [text, *sorted(metadata.items(), key=str)]
    try:
        return content_id(json.dumps(parts, default=str))
    except (TypeError, ValueError):  # keys that JSON does not have, a mapping that holds itself
        return content_id(repr(parts))


def to_document(hit: Hit, rank: int | None = None, *, include_id: bool = False) -> Document:
    """A hit as a document; with its rank, rank, score and confidence in a copy of its metadata, on request its id."""
    metadata = {**hit.metadata, "id": hit.id} if include_id else dict(hit.metadata)
    document = Document(id=hit.id, page_content=hit.text, metadata=metadata)
    return document if rank is None else with_scores(document, hit, rank)


def with_scores(document: Document, hit: Hit, rank: int) -> Document:
    """A copy of a document with rank, score and confidence of its hit in the metadata."""
    scores = {"score": hit.score, "confidence": hit.confidence, "rank": rank}
    return document.model_copy(update={"metadata": {**document.metadata, **scores}})
