"""The HTML of the page and of its answers; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ..errors import CollectionNotFoundError, InvalidInputError, LsbRagError, StoreError
from ..plain_text import without_controls
from ..retriever import CANDIDATES
from ..store import PassageStore
from .asked import MOST, Asked
from .comparison import AnswerPart, cited, compare, own_strength, retriever, strongest
from .opened import Collections

SIDES = {"vanilla": "Vanilla dense", "lsb": "LexSemBridge"}
STATUS = {InvalidInputError: 400, CollectionNotFoundError: 404, StoreError: 503}


def page(collections: Collections, parameters: Mapping[str, str], preferred: str = "") -> tuple[str, int]:
    """The whole page, with a query what both retrievers make of it, and its HTTP status.

    :param parameters: Of the page's address, see :class:`~lsb_rag.ui.asked.Asked`.
    :param preferred: The collection that is chosen at first; the first one by default.
    """
    asked, error = Asked(), None
    shown: dict[str, Any] = {"names": [], "own": None, "strongest": None, "comparison": None, "answers": {}}
    try:
        shown["names"] = collections.names()
        asked = Asked.of(parameters)
        asked = replace(asked, collection=asked.collection or preferred or next(iter(shown["names"]), ""))
        if asked.collection:
            store = collections.store(asked.collection)
            shown |= {"own": own_strength(store), "strongest": strongest(store)}
            if asked.query:
                shown["comparison"] = compare(store, asked)
                if asked.answers:
                    shown["answers"] = {side: _answer(collections, store, asked, side) for side in SIDES}
    except LsbRagError as failed:
        error = _noted(collections, asked, failed)
    shown |= {"asked": asked, "error": error, "database": str(collections.database)}
    html = _template("page.html.jinja").render(**shown, sides=SIDES, most=MOST, candidates=CANDIDATES)
    return html, _status(error)


def answer(
    collections: Collections, parameters: Mapping[str, str], side: str, wanted: Callable[[], bool]
) -> tuple[str, int]:
    """The answer of one side, a fragment of the page, and its HTTP status.

    :param wanted: Asked when it is this answer's turn; false where nobody waits for it any more.
    """
    asked, parts, error = Asked(), list[AnswerPart](), None
    try:
        asked = Asked.of(parameters)
        parts = _answer(collections, collections.store(asked.collection), asked, side, wanted)
    except LsbRagError as failed:
        error = _noted(collections, asked, failed)
    return _template("answer.html.jinja").render(parts=parts, side=side, error=error), _status(error)


def _answer(
    collections: Collections, store: PassageStore, asked: Asked, side: str, wanted: Callable[[], bool] = lambda: True
) -> list[AnswerPart]:
    hits = retriever(store, asked, vanilla=side == "vanilla").search(asked.query, asked.k)
    answerer = collections.answerer(store)
    with collections.answering:
        return [] if not wanted() else cited(answerer.answer(asked.query, hits), hits)


def _noted(collections: Collections, asked: Asked, error: LsbRagError) -> LsbRagError:
    if isinstance(error, StoreError):
        collections.forget(asked.collection)  # it may have been made anew meanwhile
    return error


def _status(error: LsbRagError | None) -> int:
    return 200 if error is None else next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("lsb_rag.ui", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = lambda text: without_controls(str(text))
    return environment.get_template(name)
