"""The HTML of the page and of its answers. Everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import CollectionNotFoundError, InvalidInputError, LsbRagError, StoreError
from ..retriever import CANDIDATES
from ..store.passage_store import PassageStore
from ..utils.templates import html_template
from .catalog import Catalog
from .comparison import (
    ShownAnswer,
    compare,
    default_strength,
    max_strength,
    retriever_for,
    shown_answer,
)
from .question import MAX_K, Question

if TYPE_CHECKING:
    from jinja2 import Template

SIDES = {"vanilla": "Vanilla dense", "lsb": "LexSemBridge"}
STATUS = {InvalidInputError: 400, CollectionNotFoundError: 404, StoreError: 503}


def page(
    catalog: Catalog,
    parameters: Mapping[str, str],
    *,
    preferred: str = "",
    answering: bool = False,
    is_wanted: Callable[[], bool] = lambda: True,
    refused: LsbRagError | None = None,
) -> tuple[str, int]:
    """Return the whole page and its HTTP status. With a query, it compares both retrievers.

    :param parameters: Parameters of the address, see :class:`~lsb_rag.ui.question.Question`.
    :param preferred: The collection selected at first. Default: the first one.
    :param answering: Whether to include the answers. Otherwise the page fetches them once it is loaded.
    :param is_wanted: Called before an answer is generated; returns False when nobody waits for it any more.
    :param refused: Why there are no answers; shown in their place.
    """
    question = Question()
    error: LsbRagError | None = None
    names: list[str] = []
    results: dict[str, Any] = {"default_strength": None, "max_strength": None, "comparison": None, "answers": {}}

    def search(store: PassageStore) -> None:
        results["default_strength"] = default_strength(store)
        results["max_strength"] = max_strength(store)
        if question.query:
            results["comparison"] = compare(store, question)

    try:
        names = catalog.names()
        question = Question.from_parameters(parameters)
        first = names[0] if names else ""
        question = replace(question, collection=question.collection or preferred or first)
        if question.collection:
            catalog.use(question.collection, search)
            if refused:
                results["answers"] = dict.fromkeys(SIDES, (None, refused))
            elif answering and question.query:
                results["answers"] = {side: _answer(catalog, question, side, is_wanted) for side in SIDES}
    except LsbRagError as failure:
        error = failure
    html = _template("page.html.jinja").render(
        **results,
        names=names,
        question=question,
        error=error,
        database=str(catalog.database),
        sides=SIDES,
        max_k=MAX_K,
        candidates=CANDIDATES,
    )
    return html, _status(error or refused)


def answer(
    catalog: Catalog,
    parameters: Mapping[str, str],
    side: str,
    *,
    is_wanted: Callable[[], bool] = lambda: True,
    refused: LsbRagError | None = None,
) -> tuple[str, int]:
    """Return the answer of one side as a fragment of HTML, and its HTTP status.

    :param parameters: Parameters of the address, see :class:`~lsb_rag.ui.question.Question`.
    :param side: A key of :data:`SIDES`.
    :param is_wanted: Called before the answer is generated; returns False when nobody waits for it any more.
    :param refused: Why there is no answer; shown in its place.
    """
    shown: ShownAnswer | None = None
    error = refused
    try:
        if not refused:
            shown, error = _answer(catalog, Question.from_parameters(parameters), side, is_wanted)
    except LsbRagError as failure:
        error = failure
    return _template("answer.html.jinja").render(shown=shown, side=side, error=error), _status(error)


def _answer(
    catalog: Catalog, question: Question, side: str, is_wanted: Callable[[], bool]
) -> tuple[ShownAnswer | None, LsbRagError | None]:
    """Return the answer of one side, or the error in its place."""

    def generate(store: PassageStore) -> ShownAnswer | None:
        hits = retriever_for(store, question, vanilla=side == "vanilla").search(question.query, question.k)
        generator = catalog.generator_for(store)
        return shown_answer(generator.answer(question.query, hits), hits) if is_wanted() else None

    try:
        return catalog.use(question.collection, generate), None
    except LsbRagError as error:
        return None, error


def _status(error: LsbRagError | None) -> int:
    if error is None:
        return 200
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return status
    return 500


def _template(name: str) -> Template:
    return html_template("lsb_rag.ui", name, "ui")
