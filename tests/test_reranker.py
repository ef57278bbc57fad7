"""Passages of any retriever, in the order of LexSemBridge's score."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Reranker, Retriever
from lsb_rag.errors import InvalidInputError, InvalidTypeError

from .conftest import MANUAL

QUERIES = ["what does E-4012 mean", "when is lunch", "how to calibrate TMP_117"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("sentences", [True, False])
def test_over_a_store_it_scores_as_the_retriever(store: PassageStore, query: str, sentences: bool) -> None:
    expected = Retriever(store, sentences=sentences).search(query, len(MANUAL))
    found = Reranker(store, sentences=sentences).rank(query, reversed(MANUAL))
    assert [hit.id for hit in found] == [hit.id for hit in expected]
    for attribute in ("score", "cosine", "lexical", "confidence", "sentence"):
        of_found, of_expected = ([getattr(hit, attribute) for hit in hits] for hits in (found, expected))
        assert of_found == (pytest.approx(of_expected, abs=1e-6) if attribute != "sentence" else of_expected)


def test_what_is_stored_is_not_embedded(
    store: PassageStore, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranker = Reranker(store, sentences=False)
    reranker.rank(QUERIES[0], MANUAL)
    embedded: list[str] = []
    real = encoder.encode_document

    def counted(texts: list[str], **options: object) -> np.ndarray:
        embedded.extend(texts)
        return real(texts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder, "encode_document", counted)
    unknown, changed = Passage("E-4012 is on page 7.", id="web"), Passage("E-4012 was changed.", id=MANUAL[0].id)
    for _ in range(2):  # the second time it is cached
        assert reranker.rank(QUERIES[0], [*MANUAL[1:], unknown, changed])
    assert embedded == [unknown.content, changed.content]


def test_over_an_encoder_the_passages_are_all_that_is_known(encoder: LexSemBridgeEncoder) -> None:
    reranker = Reranker(encoder)
    best = reranker.rank("what does E-4012 mean", MANUAL, 3)
    assert best[0].id == "pump"
    assert len(best) == 3
    assert [hit.score for hit in best] == sorted((hit.score for hit in best), reverse=True)
    assert reranker.rank("what does E-4012 mean", reversed(MANUAL), 3) == best
    assert Reranker(encoder, rerank=False).rank("lunch", MANUAL)[0].lexical == 0
    assert Reranker(encoder, min_confidence=1).rank("lunch", MANUAL) == []


async def test_texts_copies_blanks_and_nothing(encoder: LexSemBridgeEncoder, store: PassageStore) -> None:
    for reranker in (Reranker(encoder), Reranker(store)):
        assert reranker.rank("lunch", []) == []
        assert [hit.text for hit in reranker.rank("lunch", ["lunch at noon", " ", "lunch at noon"])] == [
            "lunch at noon"
        ]
        assert await reranker.arank("lunch", MANUAL, 2) == reranker.rank("lunch", MANUAL, 2)
        with pytest.raises(InvalidInputError):
            reranker.rank(" ", MANUAL)
        with pytest.raises(InvalidTypeError):
            reranker.rank("lunch", [7])  # type: ignore[list-item]
        with pytest.raises(InvalidTypeError):
            reranker.rank("lunch", "a text")  # type: ignore[arg-type]


def test_it_is_quiet(store: PassageStore, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "lsb_rag"), Reranker(store) as reranker:
        reranker.rank("lunch", MANUAL)
    assert not caplog.records
