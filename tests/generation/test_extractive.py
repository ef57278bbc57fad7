from __future__ import annotations

from lsb_rag import Hit, LexSemBridgeEncoder, PassageStore, Retriever
from lsb_rag.generation import (
    NO_ANSWER,
    ExtractiveGenerator,
)
from lsb_rag.generation.extractive import best_sentences

from .conftest import HITS


def test_the_supporting_sentences_are_quoted_with_their_passages(encoder: LexSemBridgeEncoder) -> None:
    answer = ExtractiveGenerator(encoder).answer("what does the error E-4012 mean?", HITS)
    assert answer.text.startswith("The error E-4012 means that the inlet is blocked! [1]")
    assert answer.text.endswith("A blocked inlet is freed by cleaning the filter, see E-4012. [2]")
    assert answer.citations == ("pump", "filter")
    one = ExtractiveGenerator(encoder, sentences=1).answer("what does the error E-4012 mean?", HITS)
    assert one.citations == ("pump",)


def test_it_says_so_when_the_passages_do_not_answer(encoder: LexSemBridgeEncoder) -> None:
    generator = ExtractiveGenerator(encoder)
    for hits in (HITS, [], [Hit("blank", 0.5, " \n ")]):
        answer = generator.answer("who won the world cup in 1998?", hits)
        assert answer.text == NO_ANSWER
        assert answer.citations == ()


def test_the_selection_is_deterministic_and_counts_a_repeated_sentence_once(encoder: LexSemBridgeEncoder) -> None:
    doubled = [HITS[0], Hit("copy", 0.8, HITS[0].text, HITS[0].title), HITS[2]]
    best = best_sentences("error E-4012", doubled, encoder, 10)
    assert len({sentence.text for sentence in best}) == len(best)
    assert "copy" not in [doubled[sentence.hit].id for sentence in best]
    assert best == best_sentences("error E-4012", doubled, encoder, 10)
    assert [s.support for s in best] == sorted((s.support for s in best), reverse=True)


def test_answers_from_retrieved_passages(store: PassageStore, encoder: LexSemBridgeEncoder) -> None:
    question = "which part is replaced when E-5100 comes?"
    answer = ExtractiveGenerator(encoder).answer(question, Retriever(store).search(question, 3))
    assert "ZX81" in answer.text
    assert "valve" in answer.citations
