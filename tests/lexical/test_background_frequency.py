from __future__ import annotations

import random
import string

import pytest
from tokenizers import Tokenizer, models

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.lexical.background_frequency import COMMONEST, LETTER, BackgroundFrequency


def vocabulary(words: list[str], mark: str = "") -> Tokenizer:
    pieces = ["[UNK]", *(f"{mark}{word}" for word in words), "##ing", "4012", "-"]
    return Tokenizer(models.WordPiece({piece: id for id, piece in enumerate(pieces)}, unk_token="[UNK]"))  # noqa: S106


def made_up(n: int = 6000) -> list[str]:
    """Words in order of frequency, which grow longer."""
    draw = random.Random(0)
    found: dict[str, None] = {}
    while len(found) < n:
        found["".join(draw.choices(string.ascii_lowercase, k=4 + len(found) // 1500))] = None
    return list(found)


def test_common_words_by_the_order_of_the_embedded_backbone(encoder: LexSemBridgeEncoder) -> None:
    background = BackgroundFrequency(encoder.tokenizer)
    assert background("the") == COMMONEST
    assert 0.1 < background("what") < COMMONEST
    assert 0 < background("nitrate") < background("morning") < background("what")
    assert background("a") == background("c") == LETTER
    for unit in ("kowalczyk", "4012", "e-4012", "C++", "##ing", "=="):
        assert background(unit) == 0


@pytest.mark.parametrize("mark", ["", "\u2581", "\u0120"])
def test_vocabularies_of_every_sort(mark: str) -> None:
    words = made_up()
    background = BackgroundFrequency(vocabulary([word.title() for word in words], mark))
    assert background.ranks == {word: rank for rank, word in enumerate(words, start=1)}
    assert background(words[0]) > background(words[100]) > background(words[5000]) > 0


def test_an_order_that_tells_nothing_makes_no_word_common() -> None:
    assert not BackgroundFrequency(vocabulary(sorted(made_up()))).ranks
    assert not BackgroundFrequency(vocabulary(made_up(500))).ranks
    without = BackgroundFrequency()
    assert without("the") == without("a") == 0
