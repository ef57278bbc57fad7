from __future__ import annotations

import json

import pytest

from lsb_rag import Hit, Passage
from lsb_rag.errors import InvalidInputError, InvalidTypeError


@pytest.mark.parametrize("name", ["text", "id", "title"])
def test_a_passage_is_made_of_strings(name: str) -> None:
    with pytest.raises(InvalidTypeError, match=f"The {name} of a passage"):
        Passage(**{"text": "fine", name: 5})  # type: ignore[arg-type]


def test_an_id_is_made_from_the_content_title_included() -> None:
    plain, titled = Passage("The inlet is blocked."), Passage("The inlet is blocked.", title="E-4012")
    assert titled.content == "E-4012\nThe inlet is blocked."
    assert plain.id == Passage("The inlet is blocked.").id != titled.id
    assert Passage("The inlet is blocked.", id="own").id == "own"


def test_the_body_is_the_text_without_the_title_that_heads_it() -> None:
    assert Hit("a", 0.5, "E-4012\nThe inlet is blocked.", "E-4012").body == "The inlet is blocked."
    assert Hit("a", 0.5, "The inlet is blocked.", "E-4012").body == "The inlet is blocked."


def test_passage_and_hit_know_the_text_that_llama_index_embeds() -> None:
    node = json.dumps({"metadata": {"part": "ZX81", "page": 3}, "excluded_embed_metadata_keys": ["page"]})
    embedded = "part: ZX81\n\nThe inlet is blocked."
    assert Passage("The inlet is blocked.", metadata={"_node_content": node}).embedded_text == embedded
    assert Hit("a", 0.5, "The inlet is blocked.", metadata={"_node_content": node}).embedded_text == embedded
    assert Passage("The inlet is blocked.", title="E-4012").embedded_text == "E-4012\nThe inlet is blocked."


def test_a_title_in_the_metadata_is_not_lost() -> None:
    with pytest.raises(InvalidInputError, match="'T' and the metadata 'title': 'other' are stored under one name"):
        Passage("text", title="T", metadata={"title": "other"})
    with pytest.raises(InvalidInputError, match="stored under one name"):
        Passage("text", title="T", metadata={"title": ["T"]})
    assert Passage("text", title="T", metadata={"title": "T"}).metadata == {"title": "T"}
    assert Passage("text", metadata={"title": "other"}).title == ""
