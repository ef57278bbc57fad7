from __future__ import annotations

import pytest

from lsb_rag.demo.questions import load_questions
from lsb_rag.demo.run import draw_questions
from lsb_rag.errors import InvalidInputError


def test_the_same_seed_draws_the_same_keyword_questions() -> None:
    drawn = draw_questions(5, seed=1)
    assert drawn == draw_questions(5, seed=1)
    assert drawn != draw_questions(5, seed=2)
    assert len({question.id for question in drawn}) == 5
    assert {question.kind for question in drawn} == {"keyword"}


def test_no_more_are_drawn_than_there_are() -> None:
    everything = load_questions("keyword")
    assert len(draw_questions(len(everything))) == len(everything)
    for n in (-1, len(everything) + 1):
        with pytest.raises(InvalidInputError, match=f"There are {len(everything)} keyword questions"):
            draw_questions(n)
