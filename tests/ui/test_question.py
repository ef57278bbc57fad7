from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsb_rag.errors import InvalidInputError
from lsb_rag.ui.question import MAX_K, MAX_QUERY_CHARACTERS, Question


def parameters(address: str) -> dict[str, str]:
    return dict(parse_qsl(address.partition("?")[2], keep_blank_values=True))


@given(
    st.builds(
        Question,
        query=st.text(max_size=40).map(str.strip),
        collection=st.text(max_size=9),
        k=st.integers(1, MAX_K),
        strength=st.none() | st.sampled_from([0.0, 0.05, 0.8, 28.0]),
        rerank=st.sampled_from([0.0, 0.35, 1.0]),
        passage=st.text(max_size=9),
    )
)
def test_an_address_asks_what_it_was_made_from(question: Question) -> None:
    assert Question.from_parameters(parameters(question.address())) == question


def test_what_is_left_out_is_the_default() -> None:
    assert Question.from_parameters({}) == Question()
    assert Question.from_parameters({"q": "  E-4012 ", "k": "", "strength": ""}) == Question(query="E-4012")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": "0"}, "k must be a number from 1 to 20, not '0'"),
        ({"k": str(MAX_K + 1)}, "from 1 to 20"),
        ({"k": "many"}, "not 'many'"),
        ({"strength": "-1"}, "strength must be a number of at least 0"),
        ({"strength": "nan"}, "strength"),
        ({"rerank": "inf"}, "rerank"),
        ({"q": "x" * (MAX_QUERY_CHARACTERS + 1)}, "at most 2000 characters here, not 2001"),
    ],
)
def test_what_cannot_be_asked_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Question.from_parameters(given)
