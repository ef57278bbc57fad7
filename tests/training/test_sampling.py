from __future__ import annotations

import pytest

from lsb_rag import Passage
from lsb_rag.errors import InvalidInputError
from lsb_rag.evaluation.tasks import SPANS, TERMS
from lsb_rag.training import draw_pairs

CORPUS = [Passage(" ".join(f"w{n}x{i}" for i in range(n)) + " the", id=str(n)) for n in (20, 40, 80, 150, 300)]


def test_keywords_are_salient_terms_in_the_order_of_the_passage() -> None:
    pairs = draw_pairs(CORPUS, 60, seed=3)["keyword"]
    assert len(set(pairs)) == len(pairs) == 60
    for pair in pairs:
        words, terms = pair.positive.split(), pair.query.split()
        assert TERMS[0] <= len(terms) <= TERMS[1]
        assert "the" not in terms  # in every passage
        assert [words.index(term) for term in terms] == sorted(words.index(term) for term in terms)
    assert len({len(pair.query.split()) for pair in pairs}) == 4


def test_parts_are_spans_of_the_five_lengths() -> None:
    pairs = draw_pairs(CORPUS, 200, seed=3)["part_of_passage"]
    assert {len(pair.query.split()) for pair in pairs} == set(SPANS)
    for pair in pairs:
        assert pair.query in pair.positive
        assert pair.query != pair.positive


def test_a_seed_draws_the_same_and_another_other_ones() -> None:
    assert draw_pairs(CORPUS, 30, seed=1) == draw_pairs(CORPUS, 30, seed=1) != draw_pairs(CORPUS, 30, seed=2)


def test_a_small_corpus_runs_out_of_queries() -> None:
    few = draw_pairs([Passage("alpha beta gamma"), Passage("delta epsilon")], 500)
    assert 0 < len(few["keyword"]) < 10
    assert few["part_of_passage"] == []


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(InvalidInputError, match="too short"):
        draw_pairs([Passage("one")], 5)
    with pytest.raises(InvalidInputError, match="Unknown kinds"):
        draw_pairs(CORPUS, 5, kinds=("questions",))
    with pytest.raises(InvalidInputError, match="at least 1"):
        draw_pairs(CORPUS, 0)
