"""A user's own retriever as an arm: of LangChain's, of LlamaIndex's, or a function."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from numbers import Real
from typing import Any

from ..errors import InvalidInputError, InvalidTypeError
from ..passage import TITLE_KEY, Hit
from ..utils.arguments import shown
from ..utils.digests import content_id
from ..utils.secrets import redacted, without_secrets
from .arms import ALL_ARMS
from .conversation import now
from .corpus import Corpus
from .dataset import Query
from .retrieval_metrics import DEPTH

logger = logging.getLogger(__name__)

FAILURES = 5
"""Number of failures, with no success before them, after which a retriever is no longer asked."""
KINDS = "a retriever of LangChain's or LlamaIndex's, a Retriever of lsb_rag's, or a function of a query and k"


class CustomArm:
    """An arm that asks a retriever one query at a time, and finds what it returns in the collection.

    A passage is known by its text or by its id. What is not in the collection has a place in the ranking, but is
    relevant to nothing. A query that the retriever fails on has an empty ranking.

    :param name: Name of the arm.
    :param retriever: An object with ``invoke(query)``, ``retrieve(query)`` or ``search(query, k)``, or a function of a
        query and k. It returns ids, texts, documents, nodes or hits, best first, in a list. Pairs of a document and a
        number are documents. A function with an argument ``history`` gets the messages before the query, and so does
        what LangChain's ``create_history_aware_retriever`` returns.
    :param corpus: The passages of the collection.
    :raises InvalidTypeError: For anything else.
    """

    def __init__(self, name: str, retriever: Any, corpus: Corpus) -> None:
        self.name = name
        self._search, self._takes_k = _search_of(name, retriever)
        self._corpus = corpus
        self.seconds: list[float] = []
        """Durations of the searches."""
        self.failures: list[str] = []
        """What was said where a search failed."""
        self.unknown = 0
        """Number of passages returned that are not in the collection."""
        self.most = 0
        """Greatest number of passages returned for a query."""

    def search(self, queries: Sequence[Query], asked: Mapping[str, str], k: int) -> list[list[Hit]]:
        """Return the `k` best passages of each query.

        :param asked: ``{query id: question}``, made to stand alone. A retriever that is aware of the history gets the
            query and its history in place of it.
        :raises InvalidInputError: When the retriever fails from the start, or nothing that it returns is in the
            collection.
        :raises InvalidTypeError: When it returns something else than passages.
        """
        known = 0
        found = []
        for query in queries:
            hits = self._distinct(query, asked[query.id], k)
            self.most = max(self.most, len(hits))
            inside = sum(hit.id in self._corpus.passages for hit in hits)
            known += inside
            self.unknown += len(hits) - inside
            found.append(hits)
        if self.failures and not self.seconds:
            raise self._failed()
        if self.unknown and not known:
            raise InvalidInputError(
                f"None of the {self.unknown} passages that the retriever {self.name!r} returned is in the collection, "
                "by its id or by its text. Compare retrievers over the same passages."
            )
        return found

    def _distinct(self, query: Query, asked: str, wanted: int) -> list[Hit]:
        """Return distinct passages. A retriever that heeds k is asked for more where copies take places."""
        k, every = wanted, len(self._corpus.passages) + self._corpus.copies
        while True:
            returned = self._returned(query, asked, k)
            hits = self._corpus.distinct(_in_order([self._hit(one) for one in returned]))
            if len(hits) >= min(wanted, len(returned)) or not self._takes_k or k >= every:
                return hits
            k *= 2

    def notes(self, k: int) -> list[str]:
        """Return what a reader has to know of the arm, after a search for `k` passages of each query."""
        found = []
        if self.failures:
            found.append(
                f"{self.name} failed on {len(self.failures)} queries, which count as nothing found; the last said "
                f"{self.failures[-1]}."
            )
        if self.unknown:
            found.append(f"{self.unknown} passages that {self.name} returned are not in the collection.")
        others = min(k, DEPTH, len(self._corpus.passages))
        if self.most < others:
            found.append(
                f"{self.name} returned {self.most} passages per query at most, where the measures look at {others}; "
                "have it return as many."
            )
        return found

    def _returned(self, query: Query, asked: str, k: int) -> list[Any]:
        start = time.perf_counter()
        try:
            returned = now(self._search(query, asked, k))
            if _is_one(returned):
                returned = list(returned)
        except (Exception, SystemExit) as error:  # of any library
            said = f"{type(error).__name__}: {redacted(error)}"
            logger.debug("The retriever %r failed on %r: %s", self.name, query.text, said)
            self.failures.append(said)
            if len(self.failures) >= FAILURES and not self.seconds:
                raise self._failed() from without_secrets(error)
            return []
        self.seconds.append(time.perf_counter() - start)
        if returned is None:
            return []
        if not isinstance(returned, list):
            raise InvalidTypeError(
                f"The retriever {self.name!r} must return a list of ids, texts, documents or nodes, not "
                f"{shown(returned)}."
            )
        return returned

    def _failed(self) -> InvalidInputError:
        return InvalidInputError(
            f"The retriever {self.name!r} failed on the first {len(self.failures)} queries; the last said "
            f"{self.failures[-1]}"
        )

    def _hit(self, returned: Any) -> tuple[Hit, float | None]:
        """Return what was returned as a passage of the collection, and its score if it has one."""
        score = getattr(returned, "score", None)
        if isinstance(returned, tuple) and len(returned) == 2:  # with a score or a distance
            returned, score = returned
        score = float(score) if isinstance(score, Real) else None
        if isinstance(returned, str):
            return self._corpus.find(returned, "") or self._found("", "", returned), score
        node = getattr(returned, "node", returned)
        title = (getattr(node, "metadata", None) or {}).get(TITLE_KEY)
        for name in ("page_content", "text"):
            text = getattr(node, name, None)
            if isinstance(text, str):
                id = getattr(node, "id", None) or getattr(node, "node_id", None)
                return self._found(id if isinstance(id, str) else "", str(title or ""), text), score
        raise InvalidTypeError(
            f"The retriever {self.name!r} must return ids, texts, documents or nodes, not {shown(returned)}."
        )

    def _found(self, id: str, title: str, text: str) -> Hit:
        titled = self._corpus.find("", f"{title}\n{text}") if title and not self._corpus.holds(id) else None
        return (
            titled or self._corpus.find(id, text) or Hit(f"not in the collection: {id or content_id(text)}", 0.0, text)
        )


def _in_order(found: Sequence[tuple[Hit, float | None]]) -> list[Hit]:
    """Return hits with their scores, or with scores that fall with the rank where some have none.

    Numbers that rise with the rank are distances.
    """
    scores = [score for _, score in found if score is not None]
    if len(scores) < len(found):
        return [replace(hit, score=1.0 / rank) for rank, (hit, _) in enumerate(found, start=1)]
    sign = -1 if scores and scores[-1] > scores[0] else 1
    return [replace(hit, score=sign * score) for (hit, _), score in zip(found, scores, strict=True)]


def _is_one(returned: Any) -> bool:
    """Whether it is passages in an order."""
    return isinstance(returned, Iterable) and not isinstance(returned, str | bytes | Set | Mapping)


def checked_retrievers(retrievers: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return retrievers by name.

    :raises InvalidInputError: For a name that is blank or an arm's.
    :raises InvalidTypeError: For what is no retriever.
    """
    labels = {*ALL_ARMS, *ALL_ARMS.values()}
    for name, retriever in retrievers.items():
        if not isinstance(name, str) or not name.strip() or name in labels:
            raise InvalidInputError(f"Give the retriever {shown(name)} a name that is not blank and no arm's.")
        _search_of(name, retriever)
    return retrievers


def _search_of(name: str, retriever: Any) -> tuple[Callable[[Query, str, int], Any], bool]:
    """Return the function that a retriever is asked by, and whether it heeds k.

    It is a function of a query, the question that stands alone, and k.
    """
    if callable(getattr(retriever, "invoke", None)) and _is_aware_of_history(retriever):
        return lambda query, asked, k: retriever.invoke({"input": query.text, "chat_history": query.messages}), False
    methods = (getattr(retriever, name, None) for name in ("invoke", "retrieve"))
    ask = next(filter(callable, methods), None)
    if ask is not None and not isinstance(retriever, type):
        return lambda query, asked, k: ask(asked), False
    search = getattr(retriever, "search", None)
    search = search if callable(search) else retriever
    if not callable(search) or isinstance(retriever, type):
        raise InvalidTypeError(f"The retriever {name!r} must be {KINDS}, not {shown(retriever)}.")
    if _takes_history(search):
        return lambda query, asked, k: search(query.text, k, history=query.messages), True
    return lambda query, asked, k: search(asked, k), True


def _is_aware_of_history(retriever: Any) -> bool:
    """Whether it is what LangChain's ``create_history_aware_retriever`` returns, which names itself so."""
    config = getattr(retriever, "config", None)
    return isinstance(config, Mapping) and config.get("run_name") == "chat_retriever_chain"


def _takes_history(search: Callable[..., Any]) -> bool:
    try:
        return "history" in inspect.signature(search).parameters
    except (TypeError, ValueError):  # a function without a signature
        return False
