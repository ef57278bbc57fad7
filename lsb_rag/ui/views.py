"""The HTML of the page and of its answers; everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import CollectionNotFoundError, InvalidInputError, LsbRagError, StoreError
from ..retriever import CANDIDATES
from ..store.passage_store import PassageStore
from ..utils.templates import html_template
from .catalog import Collections
from .comparison import AnswerPart, cited, compare, own_strength, retriever, strongest
from .question import MOST, Asked

if TYPE_CHECKING:
    from jinja2 import Template

SIDES = {"vanilla": "Vanilla dense", "lsb": "LexSemBridge"}
TURN_SECONDS = 0.25
"""How often who waits for an answer's turn is looked for."""
Wanted = Callable[[], bool]
STATUS = {InvalidInputError: 400, CollectionNotFoundError: 404, StoreError: 503}


def page(
    collections: Collections,
    parameters: Mapping[str, str],
    preferred: str = "",
    answering: bool = False,
    wanted: Wanted = lambda: True,
) -> tuple[str, int]:
    """The whole page, with a query what both retrievers make of it, and its HTTP status.

    :param parameters: Of the page's address, see :class:`~lsb_rag.ui.question.Asked`.
    :param preferred: The collection that is chosen at first; the first one by default.
    :param answering: Also answers; without it the page fetches the answers when it is there.
    :param wanted: Asked before an answer is made; false where nobody waits for it any more.
    """
    asked, error = Asked(), None
    shown: dict[str, Any] = {"names": [], "own": None, "strongest": None, "comparison": None, "answers": {}}

    def compared(store: PassageStore) -> None:
        shown.update(own=own_strength(store), strongest=strongest(store))
        if asked.query:
            shown["comparison"] = compare(store, asked)

    try:
        shown["names"] = collections.names()
        asked = Asked.of(parameters)
        asked = replace(asked, collection=asked.collection or preferred or next(iter(shown["names"]), ""))
        if asked.collection:
            collections.use(asked.collection, compared)
            if answering and asked.query:
                shown["answers"] = {side: _answer(collections, asked, side, wanted) for side in SIDES}
    except LsbRagError as failed:
        error = failed
    shown |= {"asked": asked, "error": error, "database": str(collections.database)}
    html = _template("page.html.jinja").render(**shown, sides=SIDES, most=MOST, candidates=CANDIDATES)
    return html, _status(error)


def answer(collections: Collections, parameters: Mapping[str, str], side: str, wanted: Wanted) -> tuple[str, int]:
    """The answer of one side, a fragment of the page, and its HTTP status.

    :param wanted: Asked before the answer is made; false where nobody waits for it any more.
    """
    try:
        parts, error = _answer(collections, Asked.of(parameters), side, wanted)
    except LsbRagError as failed:
        parts, error = [], failed
    return _template("answer.html.jinja").render(parts=parts, side=side, error=error), _status(error)


def _answer(
    collections: Collections, asked: Asked, side: str, wanted: Wanted
) -> tuple[list[AnswerPart], LsbRagError | None]:
    """An answer, or why there is none."""

    def answered(store: PassageStore) -> list[AnswerPart]:
        hits = retriever(store, asked, vanilla=side == "vanilla").search(asked.query, asked.k)
        answerer = collections.answerer(store)
        while not collections.answering.acquire(timeout=TURN_SECONDS):
            if not wanted():
                return []
        try:
            return cited(answerer.answer(asked.query, hits), hits) if wanted() else []
        finally:
            collections.answering.release()

    try:
        return collections.use(asked.collection, answered), None
    except LsbRagError as error:
        return [], error


def _status(error: LsbRagError | None) -> int:
    return 200 if error is None else next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def _template(name: str) -> Template:
    return html_template("lsb_rag.ui", name, "ui")
