from __future__ import annotations

from lsb_rag.lexical.excerpt import CHARACTERS, excerpt


def test_line_ends_of_other_systems_are_line_ends() -> None:
    assert [piece.text for piece in excerpt("one\r\ntwo\rthree", frozenset())] == ["one\ntwo\nthree"]


def test_passages_are_cut_around_the_words_of_the_question() -> None:
    long = "x " * 2000 + "error E-4012 here" + " y" * 2000
    found = excerpt(long, frozenset({"e-4012", "4012"}))
    assert "".join(piece.text for piece in found).strip("… ")[:1] == "x"
    assert [piece.text for piece in found if piece.marked] == ["E-4012"]
    assert sum(len(piece.text) for piece in found) <= CHARACTERS + 4
    assert [(piece.text, piece.marked) for piece in excerpt("short text", frozenset())] == [("short text", False)]
    assert excerpt("", frozenset({"x"})) == []
