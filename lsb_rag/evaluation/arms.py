"""Arms of a comparison: retrievers over the same passages, the dense ones over the same stored vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..passage import Hit
from ..retriever import CANDIDATES, Retriever
from ..store.passage_store import PassageStore
from ..utils.arguments import checked
from .baselines import Bm25, convex_fusion, reciprocal_rank_fusion

Arm = Callable[[Sequence[str], int], list[list[Hit]]]
"""A function from queries and k to the k best passages of each query, best first."""

ARMS: dict[str, str] = {
    "vanilla": "vanilla dense",
    "vanilla+rerank": "vanilla + rerank",
    "bm25": "BM25",
    "hybrid": "hybrid RRF",
    "hybrid-convex": "hybrid convex",
    "lsb-vector": "LSB, vector only",
    "lsb": "LexSemBridge",
}
"""Arms that are compared by default, with their labels in tables.

- ``vanilla`` searches with the backbone's vector; ``vanilla+rerank`` adds the lexical rerank.
- ``bm25`` ranks by BM25 alone.
- ``hybrid`` fuses BM25 and vanilla by RRF; ``hybrid-convex`` orders by cosine + 0.3 BM25/max.
- ``lsb-vector`` searches with the modulated vector; ``lsb``, the default retriever, adds the lexical rerank.
"""
VANILLA_RERANK_WEIGHT = 1.0
"""Rerank weight without the bridge, chosen on the same sets as the default. The rerank then has more to do."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lsb-residual": ("LSB residual", {"fusion": "residual"}),
    "lsb-signed-product": ("LSB signed product", {"fusion": "signed_product"}),
    "lsb-product": ("LSB product (paper)", {"fusion": "product", "units": "wordpieces"}),
    "lsb-slr": ("LSB, SLR", {"paradigm": "slr"}),
    "lsb-llr": ("LSB, LLR", {"paradigm": "llr"}),
    "lsb-clr": ("LSB, CLR", {"paradigm": "clr"}),
}
"""Arms for readers of the paper: the modulated vector alone, by another fusion or paradigm."""
ALL_ARMS: dict[str, str] = {**ARMS, **{name: label for name, (label, _) in VARIANTS.items()}}
"""All arms: the default ones and the variants."""


def checked_arms(names: Sequence[str]) -> list[str]:
    """Return `names` without repetitions.

    :raises InvalidInputError: For an unknown arm.
    """
    unknown = [name for name in names if name not in ALL_ARMS]
    if unknown:
        raise InvalidInputError(f"There is no arm {unknown[0]!r}; choose from {', '.join(ALL_ARMS)}.")
    return list(dict.fromkeys(names))


@checked
def build_arms(store: PassageStore, names: Sequence[str] = tuple(ARMS)) -> dict[str, Arm]:
    """Return the arms called `names`, over the passages of `store`.

    BM25 is indexed once, when an arm first needs it.

    :raises InvalidInputError: For an unknown arm, or one that this collection's encoder cannot provide.
    """
    lexical = _LexicalArms(store)
    builders: dict[str, Callable[[], Arm]] = {
        "vanilla": lambda: Retriever(store, vanilla=True).search_batch,
        "vanilla+rerank": lambda: Retriever(store, strength=0, rerank=VANILLA_RERANK_WEIGHT).search_batch,
        "bm25": lambda: lexical.bm25,
        "hybrid": lambda: lexical.hybrid,
        "hybrid-convex": lambda: lexical.convex,
        "lsb-vector": lambda: Retriever(store, rerank=0).search_batch,
        "lsb": lambda: Retriever(store).search_batch,
    }
    return {name: builders[name]() if name in builders else _variant_arm(store, name) for name in checked_arms(names)}


class _LexicalArms:
    """The lexical baselines over the passages of a store, which are read on first use."""

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self._vanilla = Retriever(store, vanilla=True)
        self._hits: dict[str, Hit] = {}
        self._index: Bm25 | None = None

    def _bm25_scores(self, query: str, k: int) -> dict[str, float]:
        if self._index is None:
            rows = self._store.chroma.rows(self._store.ids())
            self._hits = {row.id: row.hit() for row in rows}
            texts = [hit.embedded_text for hit in self._hits.values()]
            self._index = Bm25(list(self._hits), texts, self._store.encoder.analyze)
        return self._index.search(query, k)

    def _hits_of(self, ranking: Sequence[str], scores: dict[str, float]) -> list[Hit]:
        return [replace(self._hits[id], score=scores.get(id, 0.0)) for id in ranking]

    def bm25(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by BM25."""
        found = [self._bm25_scores(query, k) for query in queries]
        return [self._hits_of(list(scores), scores) for scores in found]

    def hybrid(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by the reciprocal rank fusion of vanilla and BM25."""
        dense = self._vanilla.search_batch(queries, CANDIDATES)
        fused = []
        for query, hits in zip(queries, dense, strict=True):
            lexical = list(self._bm25_scores(query, CANDIDATES))
            ranking = reciprocal_rank_fusion([[hit.id for hit in hits], lexical])[:k]
            fused.append(self._hits_of(ranking, {id: -float(rank) for rank, id in enumerate(ranking)}))
        return fused

    def convex(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by cosine plus weighted BM25."""
        store, fused = self._store, []
        for query, vector in zip(queries, store.encoder.embed_query(queries), strict=True):
            lexical = self._bm25_scores(query, CANDIDATES)
            cosines = {hit.id: hit.cosine for hit in store.query(vector, CANDIDATES)}
            missing = [id for id in lexical if id not in cosines]
            if missing:
                cosines.update(zip(missing, (store.vectors(missing) @ vector).tolist(), strict=True))
            ranking = convex_fusion(cosines, lexical)[:k]
            fused.append(self._hits_of(ranking, cosines))
        return fused


def _variant_arm(store: PassageStore, name: str) -> Arm:
    """Return an arm that searches with the modulated vector alone, by the fusion or paradigm it is named after."""
    own, options = store.encoder, {"units": store.encoder.units, **VARIANTS[name][1]}
    if name == "lsb-product":
        from ..bridge.learned import LearnedBridge

        if not isinstance(own.bridge, LearnedBridge):
            raise InvalidInputError(
                "The arm 'lsb-product' is the paper's: it needs a learned bridge, which this collection's encoder does "
                "not have. Open the collection with a saved encoder that has one."
            )
        options["bridge"] = own.bridge
    encoder = LexSemBridgeEncoder(own.model, **options)

    def search(queries: Sequence[str], k: int) -> list[list[Hit]]:
        bridge = store.bridge if encoder.bridge is None else None
        return [store.query(vector, k) for vector in encoder.encode_query(queries, bridge=bridge)]

    return search
