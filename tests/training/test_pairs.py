from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsb_rag.errors import InvalidInputError, InvalidTypeError, ReadError
from lsb_rag.training import Pair, read_pairs, split_by_passage
from lsb_rag.training.pairs import checked_pairs, with_equal_negatives

PAIRS = [Pair(f"query {n}", f"passage {n}") for n in range(10)]


def written(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_pairs_come_with_one_text_or_several(tmp_path: Path) -> None:
    file = written(
        tmp_path / "pairs.jsonl",
        {"query": "inlet", "pos": "The inlet.", "neg": ["The outlet.", "The valve."]},
        "",
        {"query": "valve", "pos": ["The valve.", "A valve."], "neg": "Lunch."},
    )
    assert read_pairs(file) == [
        Pair("inlet", "The inlet.", ("The outlet.", "The valve.")),
        Pair("valve", "The valve.", ("Lunch.",)),
        Pair("valve", "A valve.", ("Lunch.",)),
    ]


@pytest.mark.parametrize(
    "row",
    ["nonsense", "[]", {"query": "x"}, {"query": 3, "pos": "p"}, {"query": "x", "pos": [1]}, {"query": "x", "pos": []}],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, row: object) -> None:
    file = written(tmp_path / "pairs.jsonl", {"query": "a", "pos": "b"}, row)
    with pytest.raises(ReadError, match=r'line 2 is no pair .* write {"query"'):
        read_pairs(file)


def test_files_without_pairs(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="Cannot read the pairs"):
        read_pairs(tmp_path / "missing.jsonl")
    with pytest.raises(InvalidInputError, match="holds no pairs; write one a line"):
        read_pairs(written(tmp_path / "empty.jsonl", ""))


def test_pairs_that_cannot_be_trained_on() -> None:
    same = [PAIRS[0], Pair("another", PAIRS[0].positive)]
    for few, message in (([], "are no pairs"), (PAIRS[:1], "is 1 passage"), (same, "is 1 passage")):
        with pytest.raises(InvalidInputError, match=message):
            checked_pairs(few)
    with pytest.raises(InvalidInputError, match="Pair 2 has a blank"):
        checked_pairs([PAIRS[0], Pair(" ", "passage")])
    with pytest.raises(InvalidInputError, match="a passage that answers it among its negatives"):
        checked_pairs([PAIRS[0], Pair("query", "passage", ("other", "passage"))])
    with pytest.raises(InvalidInputError, match="a passage that answers it among its negatives"):
        checked_pairs([Pair("query", "one", ("two",)), Pair("query", "two")])
    for wrong in (Pair("a", "b", "a text"), Pair("a", "b", [1]), Pair(1, "b")):  # type: ignore[arg-type]
        with pytest.raises(InvalidTypeError):
            checked_pairs([PAIRS[0], wrong])
    assert checked_pairs([PAIRS[0], Pair("a", "\ud800", ["c"])])[1] == Pair("a", "?", ("c",))  # type: ignore[arg-type]
    with pytest.raises(InvalidTypeError, match="not tuple"):
        checked_pairs([("query", "passage")])  # type: ignore[list-item]


def test_missing_negatives_are_passages_of_other_pairs() -> None:
    pairs = [Pair("a", "A", ("x", "y")), Pair("b", "B"), Pair("b", "C"), Pair("d", "D")]
    filled = with_equal_negatives(pairs)
    assert filled[0] == pairs[0]
    for before, after in zip(pairs, filled, strict=True):
        assert len(after.negatives) == 2
        assert (after.query, after.positive) == (before.query, before.positive)
    # What answers the same query is no negative of it.
    assert {text for pair in filled[1:3] for text in pair.negatives} <= {"A", "D"}
    assert with_equal_negatives(PAIRS) == PAIRS
    with pytest.raises(InvalidInputError, match="There is no negative for"):
        with_equal_negatives([Pair("a", "A", ("x",)), Pair("a", "B")])


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("ABCDEFGH")), min_size=2, max_size=30),
    st.floats(0, 0.9),
    st.integers(0, 5),
)
def test_no_passage_and_no_query_is_on_both_sides(rows: list[tuple[str, str]], share: float, seed: int) -> None:
    pairs = [Pair(query, passage) for query, passage in rows]
    teaching, held = split_by_passage(pairs, share, seed)
    assert not {pair.positive for pair in teaching} & {pair.positive for pair in held}
    assert not {pair.query for pair in teaching} & {pair.query for pair in held}
    assert {*teaching, *held} <= set(pairs)
    assert (teaching, held) == split_by_passage(pairs, share, seed)


def test_a_share_of_everything_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="below 1"):
        split_by_passage(PAIRS, 1.0)
