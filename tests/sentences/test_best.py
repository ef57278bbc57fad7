from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsb_rag import Hit
from lsb_rag.passage import SENTENCE_SHARE
from lsb_rag.sentences.best import CONSIDERED, best_by_sentences, best_sentence
from lsb_rag.sentences.table import SentenceFile, SentenceTable

QUERY = np.array([1.0, 0.0], np.float32)


def embed(texts: list[str]) -> np.ndarray:
    """A sentence that says "blocked" lies towards the query, any other across."""
    return np.array([[1.0, 0.0] if "blocked" in text else [0.0, 1.0] for text in texts], np.float32)


@pytest.fixture
def table() -> SentenceTable:
    return SentenceTable(SentenceFile(None, 2, {}), embed)


def hit(id: str, text: str, score: float) -> Hit:
    return Hit(id, score, text, cosine=score - 0.1, lexical=0.2)


def test_the_best_sentence_counts(table: SentenceTable) -> None:
    hits = [hit("a", "It stopped. It is late.", 0.6), hit("b", "It stopped. The inlet is blocked.", 0.5)]
    found = best_by_sentences(table, hits, QUERY, 2)
    assert [one.id for one in found] == ["b", "a"]
    first = found[0]
    assert first.sentence == "The inlet is blocked."
    assert first.sentence_cosine == pytest.approx(1, abs=1e-6)
    assert first.dense == pytest.approx(0.4 + SENTENCE_SHARE * 0.6)
    assert first.score == pytest.approx(first.dense + 0.1)
    assert best_sentence(table, hits[1], QUERY)[0] == "The inlet is blocked."  # type: ignore[index]


def test_the_only_sentence_of_a_passage_does_not_count(table: SentenceTable) -> None:
    alone = hit("a", "The inlet is blocked.", 0.6)
    (found,) = best_by_sentences(table, [alone], QUERY, 1)
    assert found == replace(alone, sentence="The inlet is blocked.")
    assert best_sentence(table, alone, QUERY) is None


def test_fewer_hits_are_the_first_of_more(table: SentenceTable) -> None:
    hits = [hit(f"{n:02}", "blocked" if n % 3 else "It stopped.", 0.9 - n / 100) for n in range(30)]
    every = best_by_sentences(table, hits, QUERY, 30)
    assert len(table) == CONSIDERED
    assert sum(one.sentence != "" for one in every) == CONSIDERED
    for k in (1, 5, 12):
        assert best_by_sentences(table, hits, QUERY, k) == every[:k]
    assert every == sorted(every, key=lambda one: (-one.score, one.id))


def test_a_passage_without_sentences_keeps_its_score(table: SentenceTable) -> None:
    bare = Hit("bare", 0.5, "", cosine=0.5)
    assert best_by_sentences(table, [bare], QUERY, 1) == [bare]
    assert best_sentence(table, bare, QUERY) is None
    assert best_by_sentences(table, [], QUERY, 1) == []
    assert replace(bare, sentence_cosine=None).dense == 0.5
