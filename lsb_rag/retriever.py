"""Query to hits: encode, modulate, search, rerank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import numpy as np

from .backbones.base import Matrix
from .bridge.base import checked_strength
from .bridge.corpus import CorpusBridge
from .confidence import with_confidence
from .diversity import most_marginal, without_copies
from .errors import InvalidInputError
from .passage import Hit
from .sentences.best import CONSIDERED, best_by_sentences, best_sentence
from .sentences.table import SentenceTable
from .statistics.base import at_unit_length
from .store.external import FOR_STORES, ExternalStore
from .store.fitted import refits_when_damaged
from .store.passage_store import PassageStore
from .utils.arguments import Instead, NotNegative, Positive, Share, checked
from .utils.closing import Closable
from .utils.threads import in_background

if TYPE_CHECKING:
    from .explain import Explanation

RERANK_WEIGHT = 0.4
"""Weight of the lexical score where none is given."""
CANDIDATES = 100
FETCH_K = 20
"""Hits that maximal marginal relevance chooses from; LangChain's default too."""

Filter: TypeAlias = Any
"""A filter, checked by the store that takes it."""


@checked
class Retriever(Closable):
    """Retrieves passages with LexSemBridge, or with the backbone alone.

    The vector of the query is modulated by the bridge fitted on the collection, and one search brings the candidates.
    The rerank orders them by ``dense + rerank * lexical``, where ``dense`` is the mean of the passage's cosine and that
    of its best sentence, see :attr:`lsb_rag.Hit.dense`.

    :param store: The passages, in Chroma or in another vector store.
    :param strength: How strongly the bridge acts; the encoder's by default. 0 searches with the backbone's vector.
    :param rerank: Weight of the lexical score, a number from 0 to 1 per passage; True is :data:`RERANK_WEIGHT`, False
        orders by the cosine alone. Default: True, with ``vanilla`` False.
    :param candidates: How many passages the search brings for the rerank, at least.
    :param sentences: Whether the rerank looks at sentences. Those of a passage are embedded when it is first
        considered, unless they were before, see :meth:`lsb_rag.PassageStore.embed_sentences`. Where the backbone
        costs requests, no search makes them. Without sentences, ``dense`` is the passage's cosine.
    :param vanilla: True switches the bridge off: the plain dense retriever, for comparison; with `rerank` given, it
        differs from the default in the modulation alone.
    :param min_confidence: Leaves out hits of a lower confidence, a number from 0 to 1, see :mod:`lsb_rag.confidence`.
    :param min_score: Leaves out hits of a lower score; None leaves out none.
    :param collapse: Keeps the best of hits with equal texts.
    :param mmr: Chooses the hits by maximal marginal relevance: the lambda of
        :func:`lsb_rag.diversity.most_marginal`, from 0, all difference, to 1, all score. None orders by the score.
    :param fetch_k: How many of the best hits `mmr` chooses from, at least.
    """

    CANDIDATES: ClassVar[int] = CANDIDATES
    """How many passages are searched for the rerank where that is not said."""
    FETCH_K: ClassVar[int] = FETCH_K
    """How many hits `mmr` chooses from where that is not said."""

    def __init__(
        self,
        store: Annotated[PassageStore | ExternalStore, Instead(FOR_STORES)],
        *,
        strength: float | None = None,
        rerank: bool | NotNegative | None = None,
        candidates: Positive = CANDIDATES,
        sentences: bool = True,
        vanilla: bool = False,
        min_confidence: Share = 0.0,
        min_score: float | None = None,
        collapse: bool = False,
        mmr: Share | None = None,
        fetch_k: Positive = FETCH_K,
    ) -> None:
        if rerank is None:
            rerank = not vanilla
        if isinstance(rerank, bool):
            rerank = RERANK_WEIGHT if rerank else 0.0
        self.store = store
        self.min_confidence = min_confidence
        self.strength = 0.0 if vanilla else strength
        self.rerank = float(rerank)
        self.candidates = candidates
        self.sentences = sentences
        self.min_score = min_score
        self.collapse = collapse
        self.mmr = mmr
        self.fetch_k = fetch_k
        if self.strength is not None:
            checked_strength("residual", self.strength)

    @property
    def _table(self) -> SentenceTable | None:
        """The sentences that the rerank looks at; None where it looks at none."""
        table = self.store.sentences if self.sentences else None
        return table if table is not None and table.is_of_use else None

    @refits_when_damaged
    def search(
        self,
        query: str,
        k: Positive = 5,
        *,
        where: Filter = None,
        where_document: Filter = None,
        vector: Matrix | None = None,
    ) -> list[Hit]:
        """Return the `k` best passages for `query`, best first.

        :param where: Metadata filter in Chroma's language, or in that of the vector store.
        :param where_document: Filter of the texts, such as ``{"$contains": "E-4012"}``.
        :param vector: Searches with this vector, shape ``[d]``, in place of the query's own; the rerank still goes by
            the query. For embeddings made elsewhere, of a hypothetical answer for instance.
        :raises InvalidInputError: For a blank query, a k below 1, or a vector that is not finite.
        :raises InvalidTypeError: For a query that is not a string.
        :raises StoreError: When Chroma fails.
        """
        if vector is None:
            vector = self.embed(query)
        return self._found(query, vector, k, where, where_document)

    @refits_when_damaged
    def search_batch(
        self,
        queries: Sequence[str],
        k: Positive = 5,
        *,
        where: Filter = None,
        where_document: Filter = None,
    ) -> list[list[Hit]]:
        """Return what :meth:`search` finds for each of several queries, which the backbone encodes together."""
        return [
            self._found(query, vector, k, where, where_document)
            for query, vector in zip(queries, self.embed(queries), strict=True)
        ]

    async def asearch(
        self,
        query: str,
        k: Positive = 5,
        *,
        where: Filter = None,
        where_document: Filter = None,
        vector: Matrix | None = None,
    ) -> list[Hit]:
        """:meth:`search` beside the event loop; the query is embedded on it where the backbone can."""
        if vector is None:
            vector = await self.aembed(query)
        filters = {"where": where, "where_document": where_document}
        return await in_background(partial(self.search, query, k, vector=vector, **filters))

    async def asearch_batch(
        self,
        queries: Sequence[str],
        k: Positive = 5,
        *,
        where: Filter = None,
        where_document: Filter = None,
    ) -> list[list[Hit]]:
        """:meth:`search_batch` in a thread."""
        filters = {"where": where, "where_document": where_document}
        return await in_background(partial(self.search_batch, queries, k, **filters))

    def explain(self, query: str, passage_id: str | None = None) -> Explanation:
        """Explain which units of `query` moved its vector, and what each did to the score of a passage.

        :raises InvalidInputError: For a blank query, an unknown passage, or a retriever without modulation.
        """
        from .explain import explain

        if self.strength == 0:
            raise InvalidInputError("This retriever does not modulate queries: there is nothing to explain.")
        passage, lexical, sentence = None, None, None
        if passage_id is not None:
            vector = at_unit_length(self.store.vectors([passage_id])[0])
            if self.rerank:
                hit = self.store.hit(passage_id)
                shares = self.store.rerank.shares(query, hit.embedded_text)
                lexical = {unit: self.rerank * share for unit, share in shares.items()}
                table, modulated = self._table, self.embed(query)
                found = [] if table is None else self.store.query(modulated, self._candidates(1))
                if table is not None and hit.id in {one.id for one in self._by_words(query, found, CONSIDERED)}:
                    sentence = best_sentence(table, hit, modulated)
            passage = (passage_id, vector)
        return explain(
            self.store.encoder,
            query,
            bridge=self._bridge(),
            strength=self.strength,
            passage=passage,
            lexical=lexical,
            sentence=sentence,
        )

    def _bridge(self) -> CorpusBridge | None:
        """Return the collection's bridge; None where the encoder has one of its own, which comes first."""
        return self.store.bridge if self.store.encoder.bridge is None else None

    def embed(self, queries: str | Sequence[str]) -> Matrix:
        """Return the vectors that queries are searched with, shape ``[n, d]``; ``[d]`` for one string."""
        return self._embed(queries)

    async def aembed(self, queries: str | Sequence[str]) -> Matrix:
        """:meth:`embed` beside the event loop, see :meth:`asearch`."""
        encoder = await in_background(lambda: self.store.encoder)
        return await in_background(self._embed, queries, await encoder.aembed_query(queries))

    @refits_when_damaged
    def _embed(self, queries: str | Sequence[str], embedded: Matrix | None = None) -> Matrix:
        bridge = None if self.strength == 0 else self._bridge()
        return self.store.encoder.encode_query(queries, bridge=bridge, strength=self.strength, embedded=embedded)

    def _found(self, query: str, vector: Matrix, k: int, where: Filter, where_document: Filter) -> list[Hit]:
        wanted = candidates = self._candidates(k)
        hits = self.store.query(vector, candidates, where, where_document)
        if self.collapse:
            while len(hits) == candidates and len(without_copies(hits)) < wanted:
                candidates *= 4  # of copies
                hits = self.store.query(vector, candidates, where, where_document)
            hits = without_copies(hits)[:wanted]
        return self._reranked(query, vector, hits, k)

    def _candidates(self, k: int) -> int:
        """Return how many passages are searched for `k` hits."""
        chosen_from = max(k, self.fetch_k) if self.mmr is not None else k
        return max(chosen_from, self.candidates) if self.rerank or self.collapse else chosen_from

    @refits_when_damaged
    def rank(self, query: str, vector: Matrix, hits: list[Hit], k: Positive) -> list[Hit]:
        """Return the `k` best by ``dense + rerank * lexical`` with their confidence; equal ones by id.

        :param vector: What the query was searched with, shape ``[d]``.
        :param hits: Passages with their cosine to `vector`, of this store or another.
        """
        hits = sorted(hits, key=lambda hit: (-hit.cosine, hit.id))
        return self._reranked(query, vector, hits, k)

    def _reranked(self, query: str, vector: Matrix, hits: list[Hit], k: int) -> list[Hit]:
        if not self.collapse and self.mmr is None:
            return self._scored(query, vector, hits, k)
        if self.collapse:
            hits = without_copies(hits)  # before the scores, so that the sentences of other passages are looked at
        best = self._scored(query, vector, hits, len(hits))
        if self.mmr is not None:
            best = best[: max(k, self.fetch_k)]
            known = self.store.known_vectors(best)
            best = [hit for hit in best if hit.id in known]  # one that is deleted meanwhile has none
            if best:
                best = most_marginal(best, np.stack([known[hit.id] for hit in best]), k, self.mmr)
        return best[:k]

    def _scored(self, query: str, vector: Matrix, hits: list[Hit], k: int) -> list[Hit]:
        if self.rerank:
            table = self._table
            # Sentences can bring no other hits among the k best.
            hits = self._by_words(query, hits, k if table is None else k + CONSIDERED)
            if table is not None:
                hits = best_by_sentences(table, hits, at_unit_length(vector).astype(np.float32), k)
        hits = hits[:k]
        encoder = self.store.encoder
        hits = with_confidence(
            query, hits, modulated=self.strength != 0, background=encoder.background, spread=encoder.spread
        )
        least = -math.inf if self.min_score is None else self.min_score
        return [hit for hit in hits if hit.confidence >= self.min_confidence and hit.score >= least]

    def _by_words(self, query: str, hits: Sequence[Hit], most: int) -> list[Hit]:
        """Return the best hits by ``cosine + rerank * lexical``, best first; equal ones by id."""
        lexical = self.store.rerank.scores(query, [hit.embedded_text for hit in hits]).tolist()
        scores = [hit.cosine + self.rerank * score for hit, score in zip(hits, lexical, strict=True)]
        rows = sorted(range(len(hits)), key=lambda row: (-scores[row], hits[row].id))[:most]
        return [replace(hits[row], score=scores[row], lexical=lexical[row]) for row in rows]

    def close(self) -> None:
        """Close the store, see :meth:`lsb_rag.PassageStore.close`."""
        self.store.close()

    def _refit(self) -> object:
        return self.store.fit()
