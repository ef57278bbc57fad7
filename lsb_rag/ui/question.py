"""The parameters of the page, as its address holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from ..errors import InvalidInputError
from ..retriever import RERANK_WEIGHT

DEFAULT_K = 5
MAX_K = 20
MAX_QUERY_CHARACTERS = 2_000


@dataclass(frozen=True)
class Question:
    """A question to the page.

    :param query: The query; blank before the first one.
    :param collection: Name of the collection; blank for the default one.
    :param k: Number of passages in a column, 1 to :data:`MAX_K`.
    :param strength: Strength of the bridge; None for the collection's own.
    :param rerank: Weight of the lexical score.
    :param passage: Id of the passage whose score to explain.
    """

    query: str = ""
    collection: str = ""
    k: int = DEFAULT_K
    strength: float | None = None
    rerank: float = RERANK_WEIGHT
    passage: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Question:
        """Read the parameters of an address.

        :raises InvalidInputError: When a number cannot be read or is out of range, or the query is too long.
        """
        query = parameters.get("q", "").strip()
        if len(query) > MAX_QUERY_CHARACTERS:
            raise InvalidInputError(f"A query has at most {MAX_QUERY_CHARACTERS} characters here, not {len(query)}.")
        k = parameters.get("k") or str(DEFAULT_K)
        strength = parameters.get("strength", "")
        rerank = parameters.get("rerank") or str(RERANK_WEIGHT)
        return cls(
            query=query,
            collection=parameters.get("collection", ""),
            k=int(_number("k", k, least=1, most=MAX_K)),
            strength=_number("strength", strength, least=0) if strength else None,
            rerank=_number("rerank", rerank, least=0),
            passage=parameters.get("passage", ""),
        )

    def address(self, path: str = "/", **changes: object) -> str:
        """Return the address of this question, with some fields changed."""
        question = replace(self, **changes)  # type: ignore[arg-type]
        parameters = {
            "q": question.query,
            "collection": question.collection,
            "k": question.k,
            "strength": "" if question.strength is None else f"{question.strength:g}",
            "rerank": f"{question.rerank:g}",
            "passage": question.passage,
        }
        return f"{path}?{urlencode({name: value for name, value in parameters.items() if value != ''})}"

    def answer_address(self, side: str) -> str:
        """Return the address of one side's answer, without the parameters that do not affect it."""
        changes = {"strength": None, "rerank": RERANK_WEIGHT} if side == "vanilla" else {}
        return self.address(f"/answer/{side}", passage="", **changes)


def _number(name: str, text: str, *, least: float, most: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        bounds = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
        raise InvalidInputError(f"{name} must be a number {bounds}, not {text[:40]!r}.")
    return value
