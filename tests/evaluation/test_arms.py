from __future__ import annotations

import numpy as np

from lsb_rag import PassageStore, Retriever
from lsb_rag.evaluation import ARMS, Bm25, build_arms, convex_fusion, reciprocal_rank_fusion

from ..conftest import MANUAL

QUERIES = ["what does E-5101 mean", "the pump is blocked", "canteen"]


def test_every_arm_ranks_by_its_own_rule(store: PassageStore) -> None:
    arms = build_arms(store)
    assert list(arms) == list(ARMS)
    ranked = {name: arm(QUERIES, 4) for name, arm in arms.items()}
    by_retriever = {
        "vanilla": Retriever(store, vanilla=True),
        "vanilla+rerank": Retriever(store, strength=0),
        "lsb-vector": Retriever(store, rerank=0),
        "lsb": Retriever(store),
    }
    bm25 = Bm25([p.id for p in MANUAL], [p.content for p in MANUAL])
    for position, query in enumerate(QUERIES):
        for name, retriever in by_retriever.items():
            assert ranked[name][position] == [hit.id for hit in retriever.search(query, 4)], name
        lexical = bm25.search(query, 100)
        assert ranked["bm25"][position] == list(lexical)[:4]
        vector = store.encoder.embed_query(query)
        dense = {p.id: float(store.vectors([p.id])[0] @ vector) for p in MANUAL}
        order = sorted(dense, key=lambda id: -dense[id])
        assert ranked["hybrid"][position] == reciprocal_rank_fusion([order, list(lexical)])[:4]
        assert ranked["hybrid-convex"][position] == convex_fusion(dense, lexical)[:4]


def test_only_what_is_asked_for_is_built(store: PassageStore) -> None:
    assert list(build_arms(store, ["lsb", "vanilla"])) == ["lsb", "vanilla"]


def test_convex_measures_the_cosine_of_what_only_bm25_found(store: PassageStore) -> None:
    store.add([f"filler number {n} about lunch and holidays" for n in range(120)])
    query = "when is lunch on holidays, E-4012"
    ranking = build_arms(store, ["hybrid-convex"])["hybrid-convex"]([query], 10)[0]
    vector = store.encoder.embed_query(query)
    ids = store.ids()
    cosines = dict(zip(ids, np.asarray(store.vectors(ids) @ vector).tolist(), strict=True))
    stored = store.collection.get()
    lexical = Bm25(stored["ids"], stored["documents"] or []).search(query, 100)
    assert ranking == convex_fusion(cosines, lexical)[:10]
