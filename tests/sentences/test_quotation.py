from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsb_rag.lexical.units import typed_words
from lsb_rag.sentences.quotation import LONGEST, Kind, quotations


def texts(text: str) -> list[str]:
    return [unit.text for unit in quotations(text)]


def kinds(text: str) -> list[tuple[Kind, str]]:
    return [(unit.kind, unit.text) for unit in quotations(text)]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Use a!==b here. Use !== to compare.", ["Use a!==b here.", "Use !== to compare."]),
        ("The .NET runtime is old. Use .NET 8 now.", ["The .NET runtime is old.", "Use .NET 8 now."]),
        ("What does ! do? It negates.", ["What does ! do?", "It negates."]),
        (
            "Pass --no-verify! Then push. See e.g. X for that.",
            ["Pass --no-verify!", "Then push.", "See e.g. X for that."],
        ),
        ("the wing . an experimental study .", ["the wing .", "an experimental study ."]),
        ("The default is '/'. The sign is kept.", ["The default is '/'.", "The sign is kept."]),
        ("Wrapped over\r\ntwo lines. Next.", ["Wrapped over two lines.", "Next."]),
        ("\u7b2c\u4e00\u53e5\u3002\u7b2c\u4e8c\u53e5\uff01", ["\u7b2c\u4e00\u53e5\u3002", "\u7b2c\u4e8c\u53e5\uff01"]),
        ("no punctuation at all", ["no punctuation at all"]),
        ("> A quoted line\n> goes on. Two.", ["A quoted line goes on.", "Two."]),
        (" \n\t\n", []),
    ],
)
def test_sentences(text: str, units: list[str]) -> None:
    assert texts(text) == units


@pytest.mark.parametrize(
    "text",
    [
        "E-4012: the inlet is blocked. Switch the machine off and call service level 1.",
        "MAX_RETRIES = 5",
        "`--force`: overwrites what is there. Use it with care.",
    ],
)
def test_an_entry_is_one_unit_with_its_term(text: str) -> None:
    assert kinds(text) == [("definition", text.replace("`", ""))]


@pytest.mark.parametrize(
    ("terms", "shown"),
    [
        ("`GIT_SSH`\n`GIT_SSH_COMMAND`", "GIT_SSH, GIT_SSH_COMMAND"),
        ("wal level\nlevel of the log", "wal level, level of the log"),
        ("--all\n    inner", "--all, inner"),
        ("-a\n--all", "-a, --all"),
    ],
)
def test_several_terms_of_a_definition(terms: str, shown: str) -> None:
    assert kinds(f"{terms}\n:   What it means.") == [("definition", f"{shown}: What it means.")]
    assert kinds(f"Before.\n\n{terms}\n:   What it means.")[1] == ("definition", f"{shown}: What it means.")


def test_each_term_begins_a_unit() -> None:
    expected = ["E-4012: the inlet is blocked.", "E-4013: the outlet is blocked. Call service."]
    assert texts(" ".join(expected)) == expected
    lines = ["E1: the pump", "E2: the valve. Call.", "E3: the\nfilter"]
    assert texts("\n".join(lines)) == [line.replace("\n", " ") for line in lines]
    assert texts("A1 \u2013 one\nB2 \u2013 two") == ["A1 \u2013 one", "B2 \u2013 two"]
    log = ["2024-01-02 10:00:00 pump starts", "2024-01-02 10:00:01 pump stops"]
    assert texts("\n".join(log)) == log


def test_a_long_entry_repeats_its_term() -> None:
    units = quotations("E-1: " + "The pump has stopped for good. " * 15)
    assert len(units) > 2
    assert all(unit.text.startswith("E-1: The pump") and unit.kind == "definition" for unit in units)


def test_list_items() -> None:
    text = (
        "Here is the list:\n- one\n- two\n  goes on\n  * nested `x`\n1. first\na) second\n\u2022 `--all`: all of them\n"
    )
    assert kinds(text) == [
        ("sentence", "Here is the list:"),
        ("list item", "one"),
        ("list item", "two goes on"),
        ("list item", "nested x"),
        ("list item", "first"),
        ("list item", "second"),
        ("definition", "--all: all of them"),
    ]
    assert kinds("- **term** - what it means") == [("definition", "term - what it means")]
    assert len(texts("- " + "A sentence of some words. " * 20)) == 20


@pytest.mark.parametrize(
    ("text", "units"),
    [
        (
            "| Code | Meaning | Action |\n|---|:-:|---|\n| E-1 | in\\|out | call |\n| E-2 | worn |\n| `a|b` | c | |",
            ["Code: E-1; Meaning: in|out; Action: call", "Code: E-2; Meaning: worn", "Code: a|b; Meaning: c"],
        ),
        ("| E-1 | worn |\n| E-2 | open |", ["E-1; worn", "E-2; open"]),
        ("| --- | --- |\n| E-1 | worn |", ["E-1; worn"]),
        (
            "| Code | Meaning |\n|---|---|\n| E-1 | x |\n| Code | Meaning |\n| E-2 | y |",
            ["Code: E-1; Meaning: x", "Code: E-2; Meaning: y"],
        ),
        ("|  |  |\n| --- | --- |\n| Code | Meaning |\n| E-1 | worn |", ["Code: E-1; Meaning: worn"]),
        ("|  |  |\n| --- | --- |\n| E-1 | worn |\n| E-2 | open |", ["E-1; worn", "E-2; open"]),
        ("a | b\n--- | ---\n1 | 2", ["a: 1; b: 2"]),
        (" id | name\n----+------\n  1 | foo", ["id: 1; name: foo"]),
        ("+---+-----+\n| A | B   |\n+===+=====+\n| 1 | foo |\n|   | bar |\n+---+-----+", ["A: 1; B: foo bar"]),
        ("Code\tMeaning\nE-1\tworn\nE-2\topen", ["Code: E-1; Meaning: worn", "Code: E-2; Meaning: open"]),
        ("Name   Size\n-----  ----\npump   12\nvalve  7", ["Name: pump; Size: 12", "Name: valve; Size: 7"]),
    ],
)
def test_table_rows(text: str, units: list[str]) -> None:
    assert kinds(text) == [("table row", unit) for unit in units]


def test_a_long_row_repeats_its_key() -> None:
    cell = "The pump has stopped. " * 10
    units = quotations(f"| Code | Meaning | Action |\n|---|---|---|\n| E-1 | {cell} | {cell} |")
    assert len(units) == 2
    assert [unit.text[:24] for unit in units] == ["Code: E-1; Meaning: The ", "Code: E-1; Action: The p"]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("-f\n\n--force\n:   Force it. Second.\n\n    More.", ["-f, --force: Force it. Second.", "More."]),
        (
            "name\n    The name of\n    the pump.\nsize\n    Its size.",
            ["name: The name of the pump.", "size: Its size."],
        ),
        (
            "Does it.\n\nArgs:\n    x (int): the x\n        value.\n    y: the y.",
            ["Does it.", "Args:", "x (int): the x value.", "y: the y."],
        ),
        ("Returns:\n    The sum.", ["Returns: The sum."]),
        ("add     Add a file\nremove  Remove a file", ["add: Add a file", "remove: Remove a file"]),
        (":   Force it.", ["Force it."]),
    ],
)
def test_definitions(text: str, units: list[str]) -> None:
    assert texts(text) == units


def test_a_signature_comes_with_its_first_sentence() -> None:
    text = "subprocess.run(args, *, stdin=None)\n\nRun command with arguments. Then return."
    assert kinds(text) == [
        ("signature", "subprocess.run(args, *, stdin=None): Run command with arguments."),
        ("sentence", "Then return."),
    ]
    assert texts("TarInfo.linkpath\n\nThe path.") == ["TarInfo.linkpath: The path."]
    assert kinds("f(a: int) -> str") == [("signature", "f(a: int) -> str")]
    arguments = ", ".join(f"argument_{number}=None" for number in range(20))
    assert texts(f"f({arguments})\n\nDo it.")[-1] == "f(\u2026): Do it."
    assert texts("A call (of a kind)\ngoes on.") == ["A call (of a kind) goes on."]


def test_headings_stand_alone() -> None:
    text = "# One #\nText.\n\nTwo\n---\ntext\n\n**Three**\n\nMore.\n\n---\n"
    assert kinds(text) == [
        ("heading", "One"),
        ("sentence", "Text."),
        ("heading", "Two"),
        ("sentence", "text"),
        ("heading", "Three"),
        ("sentence", "More."),
    ]


def test_code_is_kept_and_indented_prose_is_none() -> None:
    assert kinds("```python\nx = *args  # __a__\n```\nText.") == [("code", "x = *args # __a__"), ("sentence", "Text.")]
    assert kinds("Try:\n\n    $ git log\n\nDone.")[1] == ("code", "$ git log")
    assert kinds(">>> f(1)\n2") == [("code", ">>> f(1) 2")]
    assert kinds("x = 1;\n```\n\nHere the prose goes on as it was.")[0] == ("code", "x = 1;")
    assert kinds("One.\n\n    An indented paragraph is prose.")[1] == ("sentence", "An indented paragraph is prose.")
    assert all(len(unit.text) <= LONGEST for unit in quotations("```\n" + "call(1)\n" * 200 + "```"))


def test_a_long_sentence_is_cut_between_clauses() -> None:
    units = texts("The pump has stopped and the valve is open, " * 20)
    assert len(units) > 2
    assert all(unit.endswith(", \u2026") for unit in units[:-1])
    assert all(unit.startswith("\u2026 The pump") for unit in units[1:])


def test_the_source_of_a_unit() -> None:
    text = "# A\n\n> See [the **pump**](x.html) &amp; *valve*. E-1: worn.\n"
    assert [text[unit.start : unit.end] for unit in quotations(text)] == [
        "A",
        "See [the **pump**](x.html) &amp; *valve*.",
        "E-1: worn.",
    ]


@given(
    st.text(alphabet=st.sampled_from("ab A1.:-=|*_`[]()<>#&\\\n\r\t\x00\u3002\ud800!?;\u2026+~\"'"), max_size=200)
    | st.text()
)
@settings(max_examples=200, deadline=None)
def test_any_text_gives_units_in_order_that_fit(text: str) -> None:
    units = quotations(text)
    assert all(unit.text and len(unit.text) <= LONGEST for unit in units)
    assert all(0 <= unit.start <= unit.end <= len(text) for unit in units)
    assert [unit.start for unit in units] == sorted(unit.start for unit in units)


IDENTIFIERS = r"""
    E-4012 --no-verify __init__ _private class_ *args **kwargs snake_case __all__ C++ C# .NET *.py src/**/*.py a[i]
    f(x) List<String> <placeholder> $HOME @{upstream} v1.2.3 10.0.0.1 std::vector core.autocrlf 40P01 a/b.c R&D I/O
    maxRetries UTF-8 http://x.org/a_b_c?d=*e* [<path>] --a[=<b>] ~/.ssh %s {name} \d+ C:\temp\_x
"""

SHAPES = st.sampled_from(IDENTIFIERS.split()) | st.from_regex(
    r"[A-Za-z_$.\-]{0,2}[A-Za-z0-9]+[_.\-:/][A-Za-z0-9]+", fullmatch=True
)


@given(st.lists(SHAPES, min_size=3, max_size=3))
@settings(max_examples=100, deadline=None)
def test_no_identifier_is_changed(names: list[str]) -> None:
    a, b, c = names
    for text in (
        f"The name {a} replaces {b} here. Then {c} follows.",
        f"Some items:\n\n- first {a} or {b}\n- then {c} is one\n",
        f"| one | two |\n|---|---|\n| the {a} | {b} and {c} |\n",
        f"term\n:   It takes {a} and {b}, but {c} not.\n",
        f"E-1: it takes {a} and {b}\nE-2: it takes {c} alone\n",
    ):
        if "|" not in "".join(names):
            quoted = typed_words(" ".join(texts(text)))
            assert all(word in quoted for name in names for word in typed_words(f"x {name} y")[1:-1]), (
                text,
                texts(text),
            )


@pytest.mark.parametrize(
    "part", ["|", "*", "[", "`", "<", "\n", "](", "*a ", "<!--", "`a``b```c", "- a\n", "a\n\n  b ", ">"]
)
def test_its_time_grows_with_the_text_alone(part: str) -> None:
    text = part * (50_000 // len(part))
    started = time.process_time()
    quotations(text)
    assert time.process_time() - started < 20  # a part of a second; a quadratic one takes minutes
