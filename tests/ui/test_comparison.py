"""What the page shows is what the retrievers find."""

from __future__ import annotations

import pytest

from lsb_rag import Passage, Retriever
from lsb_rag.generation import Answer, Quote
from lsb_rag.generation.answer import answer_from_quotes, with_citations
from lsb_rag.passage import Hit
from lsb_rag.ui import Catalog
from lsb_rag.ui.comparison import (
    MAX_WHOLE_CHARACTERS,
    AnswerPart,
    compare,
    default_strength,
    max_strength,
    shown_answer,
)
from lsb_rag.ui.question import Question

QUERY = "the outlet with E-4013"


@pytest.mark.parametrize("options", [{}, {"strength": 0.3, "rerank": 0.0}, {"strength": 0.0}])
def test_the_columns_are_the_retrievers(catalog: Catalog, options: dict[str, float]) -> None:
    store = catalog.store("manual")
    shown = compare(store, Question(QUERY, k=3, **options))  # type: ignore[arg-type]
    assert [one.hit for one in shown.vanilla] == Retriever(store, vanilla=True).search(QUERY, 3)
    found = Retriever(store, **options).search(QUERY, 3)  # type: ignore[arg-type]
    assert [one.hit for one in shown.lsb] == found
    assert (shown.explanation is None) == (options.get("strength") == 0.0)


def test_the_sentence_that_counts_is_shown(catalog: Catalog) -> None:
    store = catalog.store("manual")
    store.add([Passage("It is new. The outlet is closed by a bolt.", id="bolt", title="Bolts")])
    shown = compare(store, Question("which bolt closes the outlet", k=3))
    store.delete(["bolt"])
    one = next(one for one in shown.lsb if one.hit.id == "bolt")
    assert "".join(piece.text for piece in one.sentence) == "The outlet is closed by a bolt."
    assert any(piece.marked for piece in one.sentence)
    assert not any(one.sentence for one in shown.vanilla)


def test_ranks_in_the_other_column(catalog: Catalog) -> None:
    store = catalog.store("manual")
    shown = compare(store, Question(QUERY, k=2))
    everything = [hit.id for hit in Retriever(store, vanilla=True).search(QUERY, 7)]
    assert [one.rank for one in shown.lsb] == [1, 2]
    assert [one.other_rank for one in shown.lsb] == [everything.index(one.hit.id) + 1 for one in shown.lsb]


def test_words_that_few_passages_hold_are_marked(catalog: Catalog) -> None:
    (first, *_) = compare(catalog.store("manual"), Question("the outlet with ZX81", k=1)).lsb
    marked = {piece.text for piece in first.pieces if piece.marked}
    assert marked
    assert "the" not in marked


def test_a_long_passage_is_cut_and_there_at_length(catalog: Catalog) -> None:
    shown = {one.hit.id: one for one in compare(catalog.store("hostile"), Question("E-4013")).lsb}["long"]
    assert sum(len(piece.text) for piece in shown.pieces) < 800 < sum(len(piece.text) for piece in shown.whole)
    assert sum(len(piece.text) for piece in shown.whole) <= MAX_WHOLE_CHARACTERS + 4


def test_why_a_passage_was_found(catalog: Catalog) -> None:
    store = catalog.store("manual")
    explained = compare(store, Question(QUERY, passage="drain")).explanation
    assert explained == Retriever(store).explain(QUERY, "drain")


def test_the_slider_ends_at_twice_the_usual_strength(catalog: Catalog) -> None:
    store = catalog.store("manual")
    assert default_strength(store) == 0.8
    assert max_strength(store) == 1.6


HITS = [Hit(id, 1.0, id) for id in ("a", "b", "c")]


def test_citations_lead_to_the_ranks_of_their_passages() -> None:
    parts = shown_answer(Answer("It is blocked [1, 2]. See [7] \x1b", ("c", "a")), HITS).parts
    assert parts == [
        AnswerPart("It is blocked "),
        AnswerPart("[3]", 3),
        AnswerPart("[1]", 1),
        AnswerPart(". See [7] \ufffd"),
    ]


def test_brackets_of_a_quote_are_no_citations() -> None:
    quoted = answer_from_quotes([Quote("argv[1] is the file", "c"), Quote("see [2]", "a")], 0.9)
    shown = shown_answer(quoted, HITS)
    assert shown.confidence == 0.9
    assert shown.parts == [
        AnswerPart("argv[1] is the file "),
        AnswerPart("[3]", 3),
        AnswerPart(" see [2] "),
        AnswerPart("[1]", 1),
    ]
    long = f"[{'9' * 5000}]"
    assert shown_answer(with_citations(f"It is {long}", ["a"]), HITS).parts == [AnswerPart(f"It is {long}")]


def test_what_is_nearest_leads_to_its_passage() -> None:
    shown = shown_answer(Answer("Nothing here mentions E-4999.", nearest=Quote("E-4012: blocked \x1b", "b")), HITS)
    assert shown.parts == [AnswerPart("Nothing here mentions E-4999.")]
    assert shown.nearest == [AnswerPart("E-4012: blocked \ufffd "), AnswerPart("[2]", 2)]


def test_what_is_known_of_a_passage(catalog: Catalog) -> None:
    shown = {one.hit.id: one for one in compare(catalog.store("manual"), Question("public holidays", k=7)).lsb}
    assert shown["office"].source == "kind: notice · year: 2024"
    assert shown["pump"].source == ""
