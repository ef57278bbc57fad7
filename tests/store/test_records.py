from __future__ import annotations

import pytest

from lsb_rag import Passage, PassageStore
from lsb_rag.errors import (
    InvalidInputError,
    InvalidTypeError,
)

from ..conftest import MANUAL


@pytest.mark.parametrize(
    ("passages", "error", "message"),
    [
        (["fine", "  "], InvalidInputError, "empty or blank"),
        (["fine", ""], InvalidInputError, "empty or blank"),
        ([Passage("one", id="x"), Passage("two", id="x")], InvalidInputError, "given twice with different content"),
        ([Passage("one", id="x"), Passage("one", id="x", metadata={"a": 1})], InvalidInputError, "different metadata"),
        (["fine", 3], InvalidTypeError, "not int"),
        (None, InvalidTypeError, "must be a list"),
        (["fine", Passage("x", metadata={"nested": {"a": 1}})], InvalidInputError, "cannot be stored"),  # type: ignore[dict-item]
        (["fine", Passage("x", metadata={"nan": float("nan")})], InvalidInputError, "cannot be stored"),
        (["fine", Passage("x", metadata={"none": None})], InvalidInputError, "cannot be stored"),  # type: ignore[dict-item]
        (["fine", Passage("x", metadata={"big": 10**30})], InvalidInputError, "cannot be stored"),
        (["fine", Passage("x", metadata={"chroma:document": "y"})], InvalidInputError, "cannot be stored"),
        (["fine", "lone \ud800"], InvalidInputError, "surrogate"),
        ("a string", InvalidTypeError, "in brackets"),
    ],
)
def test_bad_passages_are_refused_before_anything_is_stored(
    store: PassageStore, passages: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.add(passages)
    assert len(store) == len(MANUAL)


def test_metadata_of_every_kind_comes_back(store: PassageStore) -> None:
    metadata = {
        "text": "ü\n",
        "int": 2**62,
        "float": 0.1,
        "bool": False,
        "list": ["a", "b"],
        "title": "not the heading",
    }
    passage = Passage("A passage about metadata", id="meta", metadata=metadata)  # type: ignore[arg-type]
    titled = Passage("Text", id="titled", title="Heading", metadata={"x": 1})
    store.add([passage, titled])
    assert store.get(["meta", "titled"]) == [passage, titled]
    assert store.add([passage, titled]) == 0
