"""Passages that any retriever brought, in the order of LexSemBridge's score."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .confidence import with_confidence
from .diversity import without_copies
from .encoder import LexSemBridgeEncoder
from .passage import Hit, Passage
from .rerank import LexicalRerank
from .retriever import RERANK_WEIGHT, Retriever
from .statistics.base import at_unit_length
from .statistics.in_memory import CorpusStatistics
from .store.external import FOR_STORES, ExternalStore
from .store.passage_store import PassageStore
from .store.records import VectorRecord
from .utils.arguments import Instead, NotNegative, Positive, Share, checked
from .utils.closing import Closable
from .utils.digests import text_digest
from .utils.threads import in_background

KEPT = 4096
"""Texts whose vectors are cached, of those that are stored nowhere."""


@checked
class Reranker(Closable):
    """Orders the passages that any retriever brought: BM25, a hybrid, another index, a search engine.

    Over a store, the score of a passage is the one that a :class:`~lsb_rag.Retriever` gives it: the bridge modulates
    the query, and the statistics tell how rare a word is. The vectors of passages that are stored are taken from there;
    those of others are embedded, and cached.

    Over an encoder alone, the passages of a call are all that is known: they are embedded, document frequencies are
    counted in them, and the query's vector stays the backbone's. Scores depend on which passages are given together.

    :param source: A store, or an encoder; None takes the embedded all-MiniLM-L6-v2.
    :param strength: How strongly the bridge acts, over a store.
    :param rerank: Weight of the lexical score; True, the default, is 0.4, False orders by the cosine alone.
    :param sentences: Whether sentences count, over a store.
    :param min_confidence: Leaves out hits of a lower confidence, a number from 0 to 1.
    :param collapse: Keeps the best of hits with equal texts.
    """

    RERANK: ClassVar[float] = RERANK_WEIGHT
    """Weight of the lexical score where that is not said."""

    def __init__(
        self,
        source: Annotated[PassageStore | ExternalStore | LexSemBridgeEncoder | None, Instead(FOR_STORES)] = None,
        *,
        strength: float | None = None,
        rerank: bool | NotNegative | None = None,
        sentences: bool = True,
        min_confidence: Share = 0.0,
        collapse: bool = False,
    ) -> None:
        source = LexSemBridgeEncoder() if source is None else source
        rerank = True if rerank is None else rerank
        self.rerank = float(rerank) if not isinstance(rerank, bool) else RERANK_WEIGHT if rerank else 0.0
        self.min_confidence = min_confidence
        self.collapse = collapse
        self._encoder = source if isinstance(source, LexSemBridgeEncoder) else None
        self._retriever: Retriever | None = None
        if not isinstance(source, LexSemBridgeEncoder):
            self._retriever = Retriever(
                source,
                strength=strength,
                rerank=rerank,
                sentences=sentences,
                min_confidence=min_confidence,
                collapse=collapse,
            )
        self._vectors: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def encoder(self) -> LexSemBridgeEncoder:
        """What embeds queries and passages."""
        return self._retriever.store.encoder if self._retriever else self._encoder  # type: ignore[return-value]

    def rank(self, query: str, passages: Iterable[str | Passage], k: Positive | None = None) -> list[Hit]:
        """Return passages as hits, best first; equal ones by id. Each id counts once, and a blank text does not.

        :param passages: What a retriever brought for the query.
        :param k: The most to return; None returns all.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For a query that is not a string.
        """
        given = [Passage(one) if isinstance(one, str) else one for one in passages]
        hits = list({one.id: VectorRecord.of(one).hit() for one in given if one.embedded_text.strip()}.values())
        vector = self._retriever.embed(query) if self._retriever else self.encoder.embed_query(query)
        if not hits:
            return []
        vectors = self._embedded(hits)
        cosines = np.einsum("nd,d->n", vectors, at_unit_length(vector)).tolist()  # whatever the order of the passages
        hits = [replace(hit, cosine=cosine, score=cosine) for hit, cosine in zip(hits, cosines, strict=True)]
        if self._retriever:
            return self._retriever.rank(query, vector, hits, k or len(hits))
        best = self._by_themselves(query, hits, vectors)
        return (without_copies(best) if self.collapse else best)[: k or len(hits)]

    async def arank(self, query: str, passages: Iterable[str | Passage], k: Positive | None = None) -> list[Hit]:
        """:meth:`rank` in a thread."""
        return await in_background(self.rank, query, passages, k)

    def close(self) -> None:
        """Close the store."""
        if self._retriever is not None:
            self._retriever.close()

    def _by_themselves(self, query: str, hits: list[Hit], vectors: NDArray[np.float64]) -> list[Hit]:
        """Score passages by the words that they have in common with each other and the query."""
        encoder = self.encoder
        if self.rerank:
            statistics = CorpusStatistics(encoder.dimension)
            texts = [hit.embedded_text for hit in hits]
            statistics.add([encoder.analyze(text) for text in texts], vectors)
            rerank = LexicalRerank(encoder.analyze, statistics, encoder.background, encoder.spread)
            hits = [
                replace(hit, lexical=lexical, score=hit.cosine + self.rerank * lexical)
                for hit, lexical in zip(hits, rerank.scores(query, texts).tolist(), strict=True)
            ]
        hits = with_confidence(query, hits, modulated=False, background=encoder.background, spread=encoder.spread)
        kept = [hit for hit in hits if hit.confidence >= self.min_confidence]
        return sorted(kept, key=lambda hit: (-hit.score, hit.id))

    def _embedded(self, hits: Sequence[Hit]) -> NDArray[np.float64]:
        """Return the vectors of passages at length 1, shape ``[n, d]``: stored, cached, or embedded now."""
        known: dict[str, Any] = self._retriever.store.known_vectors(hits) if self._retriever else {}
        missing = {text_digest(hit.embedded_text): hit.embedded_text for hit in hits if hit.id not in known}
        with self._lock:
            kept = {digest: self._vectors[digest] for digest in missing if digest in self._vectors}
        new = [digest for digest in missing if digest not in kept]
        if new:
            made = at_unit_length(self.encoder.encode_document([missing[digest] for digest in new]))
            kept |= dict(zip(new, made, strict=True))
        with self._lock:
            for digest, vector in kept.items():
                self._vectors[digest] = vector
                self._vectors.move_to_end(digest)
            while len(self._vectors) > KEPT:
                self._vectors.popitem(last=False)
        return np.stack([known[hit.id] if hit.id in known else kept[text_digest(hit.embedded_text)] for hit in hits])
