"""Arms of a comparison: retrievers over the same passages, the dense ones over the same stored vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ..backbones.base import Matrix
from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..lexical.analyzer import Analyzer
from ..passage import Hit
from ..retriever import CANDIDATES, Retriever
from ..store.passage_store import PassageStore
from ..utils.arguments import checked
from .baselines import Bm25, best_first, convex_scores, reciprocal_rank_scores, stems, stems_and_names
from .corpus import Corpus
from .ranking import Arm, Ranking, rank, tied

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
- ``bm25`` ranks by BM25 over words and identifiers plus BM25 over English stems.
- ``hybrid`` fuses vanilla by RRF with BM25 over stems and identifiers; ``hybrid-convex`` orders by cosine + 0.9
  BM25/max.
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
def build_arms(store: PassageStore, names: Sequence[str] = tuple(ARMS), corpus: Corpus | None = None) -> dict[str, Arm]:
    """Return the arms called `names`, over the passages of `store`.

    BM25 is indexed once, when an arm first needs it.

    :param corpus: The distinct passages of `store`, where they were read before.
    :raises InvalidInputError: For an unknown arm, or one that this collection's encoder cannot provide.
    """
    lexical = _LexicalArms(store, corpus)

    def retriever(**options: Any) -> Arm:
        return Retriever(store, collapse=corpus is not None and corpus.copies > 0, **options).search_batch

    builders: dict[str, Callable[[], Arm]] = {
        "vanilla": lambda: retriever(vanilla=True),
        "vanilla+rerank": lambda: retriever(strength=0, rerank=VANILLA_RERANK_WEIGHT),
        "bm25": lambda: lexical.bm25,
        "hybrid": lambda: lexical.hybrid,
        "hybrid-convex": lambda: lexical.convex,
        "lsb-vector": lambda: retriever(rerank=0),
        "lsb": retriever,
    }
    return {name: builders[name]() if name in builders else _variant_arm(store, name) for name in checked_arms(names)}


class _LexicalArms:
    """The lexical baselines over the distinct passages of a store, which are read on first use."""

    def __init__(self, store: PassageStore, corpus: Corpus | None) -> None:
        self._store = store
        self._corpus = corpus

    @cached_property
    def _passages(self) -> Corpus:
        return self._corpus or Corpus(self._store)

    @cached_property
    def _index(self) -> Bm25:
        return self._indexed(self._store.encoder.analyze, stems)

    @cached_property
    def _index_of_hybrid(self) -> Bm25:
        return self._indexed(stems_and_names)

    def _indexed(self, *analyzers: Analyzer) -> Bm25:
        passages = self._passages.passages
        return Bm25(list(passages), [hit.embedded_text for hit in passages.values()], analyzers)

    def _hits(self, scores: Mapping[str, float], k: int) -> list[Hit]:
        return [replace(self._passages.passages[id], score=scores[id]) for id in best_first(scores)[:k]]

    def bm25(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by BM25."""
        return [self._hits(self._index.search(query, k, ties=True), k) for query in queries]

    def hybrid(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by the reciprocal rank fusion of vanilla and BM25."""
        fused = []
        for query, (_, dense) in zip(queries, self._dense(queries), strict=True):
            lexical = self._index_of_hybrid.search(query, CANDIDATES, ties=True)
            groups = [tuple(hit.id for hit in group) for group in tied(self._hits(lexical, len(lexical)))]
            fused.append(self._hits(reciprocal_rank_scores([dense.ties, groups]), k))
        return fused

    def convex(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """Rank by cosine plus weighted BM25."""
        store, fused = self._store, []
        for query, (vector, dense) in zip(queries, self._dense(queries), strict=True):
            lexical = self._index.search(query, CANDIDATES, ties=True)
            cosines = {hit.id: hit.cosine for hit in dense.hits}
            missing = [id for id in lexical if id not in cosines]
            if missing:
                cosines.update(zip(missing, (store.vectors(missing) @ vector).tolist(), strict=True))
            fused.append(self._hits(convex_scores(cosines, lexical), k))
        return fused

    def _dense(self, queries: Sequence[str]) -> list[tuple[Matrix, Ranking]]:
        """Return the vector of each query, and the candidates it finds."""
        vectors = self._store.encoder.embed_query(queries)
        of_text = dict(zip(queries, vectors, strict=True))

        def search(texts: Sequence[str], k: int) -> list[list[Hit]]:
            return [self._store.query(of_text[text], k) for text in texts]

        return list(zip(vectors, rank(search, queries, CANDIDATES, self._passages), strict=True))


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
