from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError
from lsb_rag.evaluation import ALL_ARMS, ARMS, Bm25, build_arms, convex_fusion, reciprocal_rank_fusion
from lsb_rag.evaluation.baselines import stems, stems_and_names
from lsb_rag.lexical.units import words
from lsb_rag.passage import Hit

from ..conftest import MANUAL

QUERIES = ["what does E-5101 mean", "the pump is blocked", "canteen"]


def ids(found: list[list[Hit]]) -> list[list[str]]:
    return [[hit.id for hit in hits] for hits in found]


def test_every_arm_ranks_by_its_own_rule(store: PassageStore) -> None:
    arms = build_arms(store)
    assert list(arms) == list(ARMS)
    ranked = {name: ids(arm(QUERIES, 4)) for name, arm in arms.items()}
    by_retriever = {
        "vanilla": Retriever(store, vanilla=True),
        "vanilla+rerank": Retriever(store, strength=0, rerank=1.0),
        "lsb-vector": Retriever(store, rerank=0),
        "lsb": Retriever(store),
    }
    passages = [p.id for p in MANUAL], [p.content for p in MANUAL]
    bm25, of_hybrid = Bm25(*passages, [words, stems]), Bm25(*passages, stems_and_names)
    for position, query in enumerate(QUERIES):
        for name, retriever in by_retriever.items():
            assert ranked[name][position] == [hit.id for hit in retriever.search(query, 4)], name
        lexical = bm25.search(query, 100)
        assert ranked["bm25"][position] == sorted(lexical, key=lambda id: (-lexical[id], id))[:4]
        by_score: dict[float, list[str]] = {}
        for id, score in of_hybrid.search(query, 100).items():
            by_score.setdefault(score, []).append(id)
        groups = [tuple(by_score[score]) for score in sorted(by_score, reverse=True)]
        vector = store.encoder.embed_query(query)
        dense = {p.id: float(store.vectors([p.id])[0] @ vector) for p in MANUAL}
        order = sorted(dense, key=lambda id: -dense[id])
        assert ranked["hybrid"][position] == reciprocal_rank_fusion([order, groups])[:4]
        assert ranked["hybrid-convex"][position] == convex_fusion(dense, lexical)[:4]


def test_only_what_is_asked_for_is_built(store: PassageStore) -> None:
    assert list(build_arms(store, ["lsb", "vanilla"])) == ["lsb", "vanilla"]


def test_convex_measures_the_cosine_of_what_only_bm25_found(store: PassageStore) -> None:
    store.add([f"filler number {n} about lunch and holidays" for n in range(120)])
    query = "when is lunch on holidays, E-4012"
    (ranking,) = ids(build_arms(store, ["hybrid-convex"])["hybrid-convex"]([query], 10))
    vector = store.encoder.embed_query(query)
    stored_ids = store.ids()
    cosines = dict(zip(stored_ids, np.asarray(store.vectors(stored_ids) @ vector).tolist(), strict=True))
    stored = store.collection.get()
    lexical = Bm25(stored["ids"], stored["documents"] or [], [words, stems]).search(query, 100)
    assert ranking == convex_fusion(cosines, lexical)[:10]


def test_the_hits_of_lexical_arms_carry_their_passages(store: PassageStore) -> None:
    for name in ("bm25", "hybrid", "hybrid-convex"):
        (hits,) = build_arms(store, [name])[name](["E-4012"], 2)
        assert hits[0].text == store.text("pump")
        assert hits[0].title == "E-4012"


def test_variants_search_with_their_own_vector_alone(store: PassageStore) -> None:
    encoder = store.encoder
    residual = ids(build_arms(store, ["lsb-vector"])["lsb-vector"](QUERIES, 7))
    arms = build_arms(store, ["lsb-residual", "lsb-slr", "lsb-llr", "lsb-signed-product", "lsb-clr"])
    for same in ("lsb-residual", "lsb-slr", "lsb-llr"):  # an untrained LLR head is SLR
        assert ids(arms[same](QUERIES, 7)) == residual
    signed = LexSemBridgeEncoder(encoder.model, fusion="signed_product")
    vectors = signed.encode_query(QUERIES, bridge=store.bridge)
    assert ids(arms["lsb-signed-product"](QUERIES, 7)) == ids([store.query(vector, 7) for vector in vectors])
    assert len(arms["lsb-clr"](QUERIES, 3)) == 3
    assert encoder.bridge is None
    assert encoder.fusion == "residual"


def test_the_papers_product_needs_a_learned_bridge(store: PassageStore) -> None:
    with pytest.raises(InvalidInputError, match="'lsb-product' is the paper's: it needs a learned bridge"):
        build_arms(store, ["lsb-product"])
    learned = LexSemBridgeEncoder(device="cpu", units="wordpieces", fusion="product")
    learned.bridge = LearnedBridge(learned.modulation.vocabulary_size, learned.dimension)
    learned.bridge.weight.data.normal_(std=3.0)
    own = PassageStore.from_collection(store.collection, learned)
    (vector,) = learned.encode_query(["E-4012"])
    assert ids(build_arms(own, ["lsb-product"])["lsb-product"](["E-4012"], 7)) == ids([own.query(vector, 7)])


def test_unknown_arms_are_refused(store: PassageStore) -> None:
    with pytest.raises(InvalidInputError, match="no arm 'splade'"):
        build_arms(store, ["lsb", "splade"])
    assert set(ARMS) < set(ALL_ARMS)
