from __future__ import annotations

import json

import pytest

from lsb_rag.errors import ReadError
from lsb_rag.reading.formats.json_file import read_json


def shown(value: object) -> list[str]:
    return [f"{'#' * block.level} {block.text}".strip() for block in read_json(json.dumps(value)).blocks]


def test_a_record_of_a_list_is_a_block() -> None:
    records = [
        {"code": "E-4012", "cause": {"part": "inlet", "since": None}, "tags": ["pump", "filter"], "open": True},
        {"code": "E-4013", "steps": [{"do": "Open the drain."}, {"do": "Wait."}]},
    ]
    assert shown(records) == [
        "code: E-4012\ncause.part: inlet\ntags: pump, filter\nopen: true",
        "code: E-4013\nsteps[0].do: Open the drain.\nsteps[1].do: Wait.",
    ]


def test_a_long_text_stays_in_its_record() -> None:
    text = "The inlet is blocked. " * 500
    assert shown([{"title": "Pump", "body": text}]) == [f"title: Pump\nbody: {text.strip()}"]


def test_numbers_stay_as_they_are_written() -> None:
    raw = f'[{{"version": 1.10, "id": 1{"0" * 5000}, "x": 1e5, "n": NaN}}]'
    assert read_json(raw).blocks[0].text == f"version: 1.10\nid: 1{'0' * 5000}\nx: 1e5\nn: NaN"


def test_a_small_object_is_one_block_and_a_large_one_parts() -> None:
    assert shown({"name": "demo", "server": {"port": 80, "host": "a"}}) == [
        "name: demo\nserver.port: 80\nserver.host: a"
    ]
    large = {f"k{n}": {"note": "x" * 100} for n in range(20)}
    lines = shown({"name": "demo", "server": {"tls": {"cert": "c"}, "sites": large}})
    assert lines[0] == "name: demo"
    assert lines[1:3] == ["# server", "server.tls.cert: c"]
    assert lines[3] == "## server.sites"
    assert lines[4].startswith("server.sites.k0.note: x")


def test_a_record_that_is_taken_apart_has_its_name_above() -> None:
    sites = {f"k{n}": "x" * 100 for n in range(20)}
    lines = shown({"data": [{"name": "Pump", "sites": sites}, {"name": "Valve"}]})
    assert lines[:4] == ["# data", "## Pump", "name: Pump", "### sites"]
    assert lines[4].startswith("sites.k0: x")
    assert lines[5:] == ["name: Valve"]


def test_the_title_is_that_of_the_object() -> None:
    assert read_json('{"title": "Error\\n codes", "a": 1}').title == "Error codes"
    assert read_json('[{"title": "Error codes"}]').title == ""


def test_a_value_on_each_line() -> None:
    assert [block.text for block in read_json('{"a": 1}\n\n{"a": 2}\n').blocks] == ["a: 1", "a: 2"]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}\n{', "pump: 1", "[1,]"])
def test_what_is_not_json(text: str) -> None:
    with pytest.raises(ReadError, match=r"^The file is not JSON: .+\.$"):
        read_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_deep_nesting_is_a_sentence(text: str) -> None:
    with pytest.raises(ReadError, match=r"^The JSON is nested too deeply\.$"):
        read_json(text)


def test_nesting_that_a_parser_takes() -> None:
    assert len(read_json("[" * 500 + "1" + ', {"a": 2}]' * 500).blocks) == 501
    with pytest.raises(ReadError, match="nested too deeply"):
        read_json('{"a":' * 500 + "1" + "}" * 500)
    assert shown({"a" * 5000: {"b": 1}})[0].endswith("a.b: 1")
    assert len(shown({"a" * 5000: {"b": 1}})[0]) < 300


@pytest.mark.parametrize("value", [None, "text", 5, [], {}, [1, 2], [[1, 2], [3]], ["a", {"b": 1}], [None, {}]])
def test_odd_values(value: object) -> None:
    assert all(block.text for block in read_json(json.dumps(value)).blocks)
