from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError, InvalidTypeError, LsbRagError
from lsb_rag.retriever import RERANK_WEIGHT

from .conftest import MANUAL


def test_an_error_code_is_found(store: PassageStore) -> None:
    retriever = Retriever(store)
    for passage in MANUAL[:4]:
        assert retriever.search(f"what does {passage.title} mean", k=1)[0].id == passage.id
    assert retriever.search("TMP_117", k=1)[0].id == "sensor"
    assert retriever.search("zx81", k=1)[0].id == "valve"


def test_the_score_is_the_cosine_plus_the_weighted_lexical_score(
    store: PassageStore, encoder: LexSemBridgeEncoder
) -> None:
    query = "valve E-5101 defrost"
    hits = Retriever(store, rerank=0.4, sentences=False).search(query, k=7)
    vector = encoder.encode_query(query, bridge=store.bridge)
    cosines = store.vectors([hit.id for hit in hits]) @ vector
    lexical = store.rerank.scores(query, [hit.text for hit in hits])
    np.testing.assert_allclose([hit.cosine for hit in hits], cosines, atol=1e-5)
    np.testing.assert_allclose([hit.lexical for hit in hits], lexical)
    np.testing.assert_allclose([hit.score for hit in hits], cosines + 0.4 * lexical, atol=1e-5)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_without_rerank_the_score_is_the_cosine_of_the_modulated_vector(
    store: PassageStore, encoder: LexSemBridgeEncoder
) -> None:
    hits = Retriever(store, rerank=0).search("E-4012", k=3)
    vector = encoder.encode_query("E-4012", bridge=store.bridge)
    assert hits == store.query(vector, 3)


def test_vanilla_is_the_plain_dense_search(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    vanilla = Retriever(store, vanilla=True)
    assert vanilla.search("E-4012", k=4) == store.query(encoder.embed_query("E-4012"), 4)
    assert Retriever(store, strength=0, rerank=0).search("E-4012", k=4) == vanilla.search("E-4012", k=4)


def test_the_twin_with_the_rerank_differs_in_the_modulation_alone(store: PassageStore) -> None:
    twin = Retriever(store, vanilla=True, rerank=RERANK_WEIGHT).search("E-4012", k=4)
    assert twin == Retriever(store, strength=0).search("E-4012", k=4)
    assert twin != Retriever(store, vanilla=True).search("E-4012", k=4)


def test_a_vector_from_elsewhere(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    lunch = encoder.embed_query("lunch in the canteen")
    hits = Retriever(store, rerank=0).search("E-4012", k=2, vector=4 * lunch)  # which rounds nothing
    assert hits == store.query(lunch, 2)
    for wrong in (np.zeros(384), np.full(384, np.nan)):
        with pytest.raises(InvalidInputError, match="finite"):
            Retriever(store).search("E-4012", vector=wrong)  # type: ignore[arg-type]


def test_a_batch_gives_what_single_searches_give(store: PassageStore) -> None:
    retriever = Retriever(store)
    queries = ["E-4012", "when is lunch", "calib.offset"]
    for together, query in zip(retriever.search_batch(queries, 3), queries, strict=True):
        alone = retriever.search(query, 3)
        assert [hit.id for hit in together] == [hit.id for hit in alone]
        np.testing.assert_allclose([hit.score for hit in together], [hit.score for hit in alone], atol=1e-5)
    assert retriever.search_batch([]) == []


def test_k_beyond_the_candidates_and_filters(store: PassageStore) -> None:
    assert len(Retriever(store, candidates=2).search("valve", k=6)) == 6
    assert len(Retriever(store, candidates=2).search("valve", k=1)) == 1
    notices = Retriever(store).search("E-4012", k=5, where={"kind": "notice"})
    assert {hit.id for hit in notices} == {"office", "lunch"}


def test_metadata_is_a_copy(store: PassageStore) -> None:
    hit = Retriever(store).search("lunch", k=1)[0]
    hit.metadata["year"] = 0  # type: ignore[index]
    assert Retriever(store).search("lunch", k=1)[0].metadata["year"] == 2025


def test_new_passages_are_found_at_once(store: PassageStore) -> None:
    retriever = Retriever(store)
    retriever.search("anything")
    store.add([Passage("The gearbox broke a tooth.", id="gear", title="E-9001")])
    assert retriever.search("E-9001", k=1)[0].id == "gear"


def test_odd_queries_are_answered(store: PassageStore) -> None:
    retriever = Retriever(store)
    for query in ("a" * 100_000, "nul\x00byte", "\ud800", "مرحبا E-4012", "{}[]()$%", "\u202eabc"):
        assert len(retriever.search(query, k=2)) == 2


def test_bad_queries_and_options_are_refused(store: PassageStore) -> None:
    retriever = Retriever(store)
    with pytest.raises(InvalidInputError, match="empty or blank"):
        retriever.search("  ")
    with pytest.raises(InvalidTypeError, match="not int"):
        retriever.search_batch([3])  # type: ignore[list-item]
    with pytest.raises(InvalidTypeError, match="query must be a string, not list"):
        retriever.search(["fine"])  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="in brackets"):
        retriever.search_batch("fine")
    with pytest.raises(InvalidInputError, match="k must be"):
        retriever.search("fine", k=0)
    with pytest.raises(
        InvalidTypeError, match=r"not str. A folder, an address or a client goes to PassageStore\(database, name\)"
    ):
        Retriever("./db")  # type: ignore[arg-type]
    for options in ({"rerank": -1}, {"rerank": float("nan")}, {"candidates": 0}, {"strength": -0.1}):
        with pytest.raises(InvalidInputError):
            Retriever(store, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1e-300, 2.0**-149, 2.0**-130, 2.0**64, 2.0**127, 1e300])
def test_the_length_of_a_vector_is_nothing(store: PassageStore, encoder: LexSemBridgeEncoder, scale: float) -> None:
    lunch = encoder.embed_query("lunch in the canteen").astype(np.float64)
    found = store.query(scale * lunch, 4)  # type: ignore[arg-type]
    assert [hit.id for hit in found] == [hit.id for hit in store.query(lunch, 4)]  # type: ignore[arg-type]
    assert found[0].cosine == pytest.approx(store.query(lunch, 1)[0].cosine)  # type: ignore[arg-type]


def test_queries_from_a_generator_and_numbers_of_numpy(store: PassageStore) -> None:
    retriever = Retriever(store, candidates=np.int64(7))  # type: ignore[arg-type]
    queries = ["lunch", "valve"]
    assert retriever.search_batch((query for query in queries), np.int64(2)) == retriever.search_batch(queries, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"rerank": "x"}, {"rerank": -1}, {"candidates": float("nan")}, {"candidates": True}, {"min_confidence": 2}],
    ids=str,
)
def test_a_wrong_option_is_refused_when_the_retriever_is_made(store: PassageStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(LsbRagError, match=f"{next(iter(wrong))} must be"):
        Retriever(store, **wrong)
