"""The arms of a comparison: rankings over the same passages, the dense ones over the same stored vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..embedded_text import embedded_text
from ..retriever import CANDIDATES, Retriever
from ..store import PassageStore
from .baselines import Bm25, convex_fusion, reciprocal_rank_fusion

Arm = Callable[[Sequence[str], int], list[list[str]]]
"""Queries and k to the ids of the k best passages of each, best first."""

ARMS: dict[str, str] = {
    "vanilla": "vanilla dense",
    "vanilla+rerank": "vanilla + rerank",
    "bm25": "BM25",
    "hybrid": "hybrid RRF",
    "hybrid-convex": "hybrid convex",
    "lsb-vector": "LSB, vector only",
    "lsb": "LexSemBridge",
}
"""Names of the arms, with what a table calls them.

``vanilla`` searches with the backbone's vector, ``vanilla+rerank`` adds the lexical rerank, ``hybrid`` fuses BM25 and
vanilla by RRF, ``hybrid-convex`` orders by cosine + 0.3 BM25/max, ``lsb-vector`` searches with the modulated vector and
``lsb``, the default retriever, adds the lexical rerank to that.
"""


def build_arms(store: PassageStore, names: Sequence[str] = tuple(ARMS)) -> dict[str, Arm]:
    """The arms called `names`, over the passages of `store`. BM25 is indexed once, when an arm needs it.

    :raises KeyError: For a name that is not in :data:`ARMS`.
    """
    vanilla = Retriever(store, vanilla=True)
    index: list[Bm25] = []

    def bm25() -> Bm25:
        if not index:
            found = store.collection.get(include=["documents", "metadatas"])
            pairs = zip(found["documents"] or [], found["metadatas"] or [], strict=True)
            texts = [embedded_text(document or "", metadata) for document, metadata in pairs]
            index.append(Bm25(found["ids"], texts, store.encoder.analyze))
        return index[0]

    def lexical(queries: Sequence[str], k: int) -> list[list[str]]:
        return [list(bm25().search(query, k)) for query in queries]

    def hybrid(queries: Sequence[str], k: int) -> list[list[str]]:
        dense = _ranker(vanilla)(queries, CANDIDATES)
        return [reciprocal_rank_fusion(pair)[:k] for pair in zip(dense, lexical(queries, CANDIDATES), strict=True)]

    def convex(queries: Sequence[str], k: int) -> list[list[str]]:
        vectors = store.encoder.embed_query(queries)
        rankings = []
        for query, vector in zip(queries, vectors, strict=True):
            scores = bm25().search(query, CANDIDATES)
            cosines = {hit.id: hit.cosine for hit in store.query(vector, CANDIDATES)}
            missing = [id for id in scores if id not in cosines]
            if missing:
                cosines.update(zip(missing, (store.vectors(missing) @ vector).tolist(), strict=True))
            rankings.append(convex_fusion(cosines, scores)[:k])
        return rankings

    builders: dict[str, Callable[[], Arm]] = {
        "vanilla": lambda: _ranker(vanilla),
        "vanilla+rerank": lambda: _ranker(Retriever(store, strength=0)),
        "bm25": lambda: lexical,
        "hybrid": lambda: hybrid,
        "hybrid-convex": lambda: convex,
        "lsb-vector": lambda: _ranker(Retriever(store, rerank=0)),
        "lsb": lambda: _ranker(Retriever(store)),
    }
    return {name: builders[name]() for name in names}


def _ranker(retriever: Retriever) -> Arm:
    return lambda queries, k: [[hit.id for hit in hits] for hits in retriever.search_batch(queries, k)]
