"""What the page is asked, as it stands in its address."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from ..errors import InvalidInputError
from ..retriever import RERANK_WEIGHT

DEFAULT_K = 5
MOST = 20
"""Passages a column shows at most."""
LONGEST_QUERY = 2_000
"""Characters of a query."""


@dataclass(frozen=True)
class Asked:
    """A question to the page.

    :param query: The query; blank where nothing was asked yet.
    :param collection: Name of the collection; blank for the one that is chosen at first.
    :param k: Passages a column shows, 1 to :data:`MOST`.
    :param strength: Of the bridge; None for the collection's own.
    :param rerank: Weight of the lexical score.
    :param passage: Id of the passage whose score is to be explained.
    """

    query: str = ""
    collection: str = ""
    k: int = DEFAULT_K
    strength: float | None = None
    rerank: float = RERANK_WEIGHT
    passage: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Asked:
        """Read the parameters of an address.

        :raises InvalidInputError: For a number that is none or out of its range, or a query longer than a question is.
        """
        query = parameters.get("q", "").strip()
        if len(query) > LONGEST_QUERY:
            raise InvalidInputError(f"A query has at most {LONGEST_QUERY} characters here, not {len(query)}.")
        strength = parameters.get("strength", "")
        return cls(
            query=query,
            collection=parameters.get("collection", ""),
            k=int(_number("k", parameters.get("k") or str(DEFAULT_K), 1, MOST)),
            strength=_number("strength", strength, 0, math.inf) if strength else None,
            rerank=_number("rerank", parameters.get("rerank") or str(RERANK_WEIGHT), 0, math.inf),
            passage=parameters.get("passage", ""),
        )

    def address(self, path: str = "/", **changes: object) -> str:
        """The address that asks this, with some of it changed."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        given = {
            "q": asked.query,
            "collection": asked.collection,
            "k": asked.k,
            "strength": "" if asked.strength is None else f"{asked.strength:g}",
            "rerank": f"{asked.rerank:g}",
            "passage": asked.passage,
        }
        return f"{path}?{urlencode({name: value for name, value in given.items() if value != ''})}"

    def answer_address(self, side: str) -> str:
        """The address of one side's answer; what does not bear on the answer is left out."""
        changes = {"strength": None, "rerank": RERANK_WEIGHT} if side == "vanilla" else {}
        return self.address(f"/answer/{side}", passage="", **changes)


def _number(name: str, text: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        to = f"from {least:g} to {most:g}" if math.isfinite(most) else f"of at least {least:g}"
        raise InvalidInputError(f"{name} must be a number {to}, not {text[:40]!r}.")
    return value
