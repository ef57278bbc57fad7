from __future__ import annotations

import csv

import pytest

from lsb_rag.reading.formats.csv import read_csv, read_tsv


def rows(text: str) -> list[str]:
    return [block.text for block in read_csv(text).blocks]


def test_a_header_stands_above_each_row() -> None:
    blocks = read_csv("part,price\nZX-81,1.50\nZX-82,2.00\n").blocks
    assert [block.text for block in blocks] == ["| ZX-81 | 1.50 |", "| ZX-82 | 2.00 |"]
    assert {block.header for block in blocks} == {"| part | price |\n| --- | --- |"}
    assert {block.kind for block in blocks} == {"table"}


def test_values_are_no_header_but_years_are() -> None:
    assert [block.header for block in read_csv("ZX-81,1.50\nZX-82,2.00\n").blocks] == ["", ""]
    assert read_csv("country,2019,2020\nNorway,5,6\n").blocks[0].header.startswith("| country | 2019 | 2020 |")
    assert read_csv("only,one,line\n").blocks[0].header == ""


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    lines = ["name", "note"], ["a", "one, two; three"], ["b", "four"]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
    assert rows(text) == ["| a | one, two; three |", "| b | four |"]
    assert rows(f"sep={delimiter}\nname{delimiter}note\na{delimiter}b\n") == ["| a | b |"]


def test_cells_of_several_lines_bars_and_ragged_rows() -> None:
    text = 'code,text\nE-1,"first\n\nsecond | third"\nE-2\nE-3,a,b\n\n , \n'
    assert rows(text) == ["| E-1 | first second \\| third |  |", "| E-2 |  |  |", "| E-3 | a | b |"]
    assert read_csv(text).blocks[0].header == "| code | text |  |\n| --- | --- | --- |"


def test_a_quotation_mark_that_is_none_does_not_swallow_the_rest() -> None:
    assert read_tsv('size\tname\n5"\tpump\n"x\tvalve\n').blocks[1].text == '| "x | valve |'
    assert rows('a,b\n1,"open\n2,c\n') == ['| 1 | "open |', "| 2 | c |"]


def test_huge_cells_are_read_and_the_limit_is_left_as_it_was() -> None:
    limit = csv.field_size_limit()
    assert len(rows(f"a,b\n{'x' * 1_000_000},2\n")[0]) > 1_000_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize("text", ["", "\n\n", ",,,\n" * 10, '"' * 1001, "a" * 100_000])
def test_odd_files(text: str) -> None:
    assert len(read_csv(text).blocks) <= 1
