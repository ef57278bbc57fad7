"""Query to hits: encode, modulate, search, rerank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .backbones.base import Matrix
from .bridge.base import checked_strength
from .bridge.corpus import CorpusBridge
from .embedded_text import embedded_text
from .errors import InvalidInputError, InvalidTypeError
from .fitting import mended
from .passage import Hit
from .records import checked_k
from .store import PassageStore
from .stored import Where
from .utils.threads import in_background

if TYPE_CHECKING:
    from .explain import Explanation

RERANK_WEIGHT = 0.4
"""Weight of the lexical score where none is given."""
CANDIDATES = 100


class Retriever:
    """Retrieves passages with LexSemBridge, or with the backbone alone.

    The vector of the query is modulated by the bridge fitted on the collection, one search brings the candidates, and
    the lexical rerank orders them by ``cosine + rerank * lexical``.

    :param store: The passages.
    :param strength: How strongly the bridge acts; the encoder's by default. 0 searches with the backbone's vector.
    :param rerank: Weight of the lexical score, a number from 0 to 1 per passage; 0 orders by the cosine alone. Default:
        :data:`RERANK_WEIGHT`, with ``vanilla`` 0.
    :param candidates: How many passages the search brings for the rerank, at least.
    :param vanilla: True switches the bridge off: the plain dense retriever, for comparison; with `rerank` given, the
        same retriever but for the modulation.
    """

    def __init__(
        self,
        store: PassageStore,
        *,
        strength: float | None = None,
        rerank: float | None = None,
        candidates: int = CANDIDATES,
        vanilla: bool = False,
    ) -> None:
        if rerank is None:
            rerank = 0.0 if vanilla else RERANK_WEIGHT
        if not 0 <= rerank < float("inf"):
            raise InvalidInputError(f"rerank must be a finite number of at least 0, not {rerank}.")
        if candidates < 1:
            raise InvalidInputError(f"candidates must be at least 1, not {candidates}.")
        self.store = store
        self.strength = 0.0 if vanilla else strength
        self.rerank = float(rerank)
        self.candidates = candidates
        if self.strength is not None:
            checked_strength("residual", self.strength)

    def search(
        self,
        query: str,
        k: int = 5,
        *,
        where: Where | None = None,
        where_document: Where | None = None,
        vector: Matrix | None = None,
    ) -> list[Hit]:
        """The `k` best passages for `query`, best first.

        :param where: Metadata filter in Chroma's language.
        :param where_document: Filter of the texts, such as ``{"$contains": "E-4012"}``.
        :param vector: Searches with this vector, shape ``[d]``, in place of the query's own; the rerank still goes by
            the query. For embeddings made elsewhere, of a hypothetical answer for instance.
        :raises InvalidInputError: For a blank query, a k below 1, or a vector that is not finite.
        :raises InvalidTypeError: For a query that is not a string.
        :raises StoreError: When Chroma fails.
        """
        if not isinstance(query, str):
            raise InvalidTypeError(
                f"A query must be a string, not {type(query).__name__}; several go to search_batch()."
            )
        return mended(
            lambda: self._hits(query, self.embed(query) if vector is None else vector, k, where, where_document),
            self.store.fit,
        )

    def search_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> list[list[Hit]]:
        """As :meth:`search` for several queries, which the backbone encodes together."""
        if isinstance(queries, str):
            raise InvalidTypeError("search_batch() takes a list of queries; put a single one in brackets.")
        return mended(
            lambda: [
                self._hits(query, vector, k, where, where_document)
                for query, vector in zip(queries, self.embed(queries), strict=True)
            ],
            self.store.fit,
        )

    async def asearch(
        self,
        query: str,
        k: int = 5,
        *,
        where: Where | None = None,
        where_document: Where | None = None,
        vector: Matrix | None = None,
    ) -> list[Hit]:
        """:meth:`search` in a thread, so that the event loop goes on."""
        filters = {"where": where, "where_document": where_document}
        return await in_background(partial(self.search, query, k, vector=vector, **filters))

    async def asearch_batch(
        self,
        queries: Sequence[str],
        k: int = 5,
        *,
        where: Where | None = None,
        where_document: Where | None = None,
    ) -> list[list[Hit]]:
        """:meth:`search_batch` in a thread."""
        filters = {"where": where, "where_document": where_document}
        return await in_background(partial(self.search_batch, queries, k, **filters))

    def explain(self, query: str, passage_id: str | None = None) -> Explanation:
        """Which units of `query` moved its vector, and what each did to the score of a passage.

        :raises InvalidInputError: For a blank query, an unknown passage, or a retriever without modulation.
        """
        from .explain import explain

        if self.strength == 0:
            raise InvalidInputError("This retriever does not modulate queries: there is nothing to explain.")
        passage, lexical = None, None
        if passage_id is not None:
            vector = self.store.vectors([passage_id])[0]
            passage = (passage_id, vector / np.linalg.norm(vector))
            shares = self.store.rerank.shares(query, self.store.text(passage_id)) if self.rerank else {}
            lexical = {unit: self.rerank * share for unit, share in shares.items()}
        return explain(
            self.store.encoder, query, bridge=self._bridge(), strength=self.strength, passage=passage, lexical=lexical
        )

    def _bridge(self) -> CorpusBridge | None:
        """The collection's bridge; a bridge of the encoder's own comes first."""
        return self.store.bridge if self.store.encoder.bridge is None else None

    def embed(self, queries: str | Sequence[str]) -> Matrix:
        """The vectors that queries are searched with, shape ``[n, d]``; ``[d]`` for one string."""
        if self.strength == 0:
            return self.store.encoder.embed_query(queries)
        return self.store.encoder.encode_query(queries, bridge=self._bridge(), strength=self.strength)

    def _hits(self, query: str, vector: Matrix, k: int, where: Where | None, where_document: Where | None) -> list[Hit]:
        k = checked_k(k)
        if self.rerank == 0:
            return self.store.query(vector, k, where, where_document)
        hits = self.store.query(vector, max(k, self.candidates), where, where_document)
        lexical = self.store.rerank.scores(query, [embedded_text(hit.text, hit.metadata) for hit in hits])
        scored = [
            replace(hit, score=hit.cosine + self.rerank * float(score), lexical=float(score))
            for hit, score in zip(hits, lexical, strict=True)
        ]
        return sorted(scored, key=lambda hit: (-hit.score, hit.id))[:k]
