from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsb_rag.lexical.units import LONGEST_UNIT, typed_words, word_spans, words


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("E-4012 means", ["e-4012", "e", "4012", "means"]),
        ("Open the valve.", ["open", "the", "valve"]),
        ("os.path.join()", ["os.path.join()", "os.path.join", "os", "path", "join"]),
        ("snake_case", ["snake_case", "snake", "case"]),
        ("__init__", ["__init__", "init"]),
        ("v1.2.3, v1.2.3", ["v1.2.3", "1.2.3", "v1", "v", "1", "2", "3"] * 2),
        ("e - 4012", ["e", "-", "4012"]),
        ("E\u20114012 E\u20134012", ["e-4012", "e", "4012"] * 2),  # other hyphens
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),  # decomposed and composed
        ("\u0939\u093f\u0928\u094d\u0926\u0940", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),  # vowel signs
        ("don't O\u2019Brien", ["don", "t", "O'Brien", "o", "brien"]),
        ("", []),
    ],
)
def test_words(text: str, units: list[str]) -> None:
    assert words(text) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("C++ C# C", ["c++", "c", "c#", "c", "c"]),
        (".NET NET", [".NET", ".net", "net", "NET", "net"]),
        ("--exist_ok=True.", ["--exist_ok=True", "--exist_ok=true", "exist_ok", "exist", "ok", "true"]),
        ("-v -V", ["-v", "v", "-V", "-v", "v"]),
        ("\u22125 \u00b0C", ["-5", "5", "\u00b0C", "\u00b0c", "\u00b0", "c"]),
        ("\u20ac1,250.00", ["\u20ac1,250.00", "\u20ac", "1", "250.00", "250", "00"]),
        ("== => ?. && ...", ["==", "=>", "?.", "&&", "..."]),
        ("-------- \u3002", []),  # a ruler, and punctuation
        ("\u2705ok \U0001f44d\U0001f3fd \u26a0\ufe0f", ["\u2705", "ok", "\U0001f44d\U0001f3fd", "\u26a0"]),
        ("\U0001f1e9\U0001f1ea", ["\U0001f1e9\U0001f1ea"]),
    ],
)
def test_signs_are_kept(text: str, units: list[str]) -> None:
    assert words(text) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("STRASSE Stra\u00dfe", ["STRASSE", "strasse", "Stra\u00dfe", "strasse"]),
        ("mS MS CO Co", ["mS", "ms", "m", "s", "MS", "ms", "CO", "co", "co"]),
        ("setUserName()", ["setUserName()", "setusername()", "setusername", "set", "user", "name"]),
        ("parseHTMLDocument", ["parseHTMLDocument", "parsehtmldocument", "parse", "html", "document"]),
        ("URLs", ["URLs", "urls"]),
        ("E4012 4k7", ["e4012", "e", "4012", "4k7", "4", "k", "7"]),
    ],
)
def test_case_is_kept_where_it_tells_something(text: str, units: list[str]) -> None:
    assert words(text) == units


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("CO\u2082", ["CO2", "co2", "co", "2"]),
        ("m\u00b2", ["m2", "m", "2"]),
        ("\uff25\uff0d\uff14", ["e-4", "e", "4"]),
        ("\u30a8\u30e9\u30fcE-92", ["\u30a8\u30e9", "\u30e9\u30fc", "e-92", "e", "92"]),
        ("\uff93\uff70\uff80\uff70", ["\u30e2\u30fc", "\u30fc\u30bf", "\u30bf\u30fc"]),  # half width
        ("\u5b89\u5168\u9600\u3002", ["\u5b89\u5168", "\u5168\u9600"]),
        ("\ubc38\ube0c\uac00", ["\ubc38\ube0c", "\ube0c\uac00"]),
        ("\u5b89", ["\u5b89"]),
        ("\u200fE-501\u200f", ["e-501", "e", "501"]),  # marks of direction
        ("\u0645\u06cc\u200c\u062e", ["\u0645\u06cc\u200c\u062e"]),  # joined by a mark within
        ("geht\u00b4s", ["geht\u0301s"]),  # NFKC would put a space into it
    ],
)
def test_scripts_are_separated_and_normalised_first(text: str, units: list[str]) -> None:
    assert words(text) == units


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("Use `-v`, \u201c--verbose\u201d or (E-4012).", ["Use", "-v", "--verbose", "or", "E-4012"]),
        ("**E-4012:** CO\u2082?", ["E-4012", "CO\u2082"]),
        ("3.10.2+build7 3.10.2.", ["3.10.2+build7", "3.10.2"]),
        ("Fe(II) arr[-1] f(x) List<String>", ["Fe(II)", "arr[-1]", "f(x)", "List<String>"]),
        ("-v,--verbose", ["-v,--verbose", "-v", "--verbose"]),
        ("$1,250.00;", ["$1,250.00"]),
        ("|E-4012|inlet|", ["E-4012|inlet", "E-4012", "inlet"]),
        ('{"code":"E-4012"}', ['code":"E-4012', "code", "E-4012"]),
        ("*args **kwargs _private", ["*args", "**kwargs", "_private"]),
        ("\u201c==\u201d, `!=` ?.", ["==", "!=", "?."]),
        ("<li>E-4012</li><li>pump</li> <code>-v</code>", ["E-4012", "pump", "-v"]),
        ('{"code":4012,"x":1}', ['code":4012,"x":1', "code", "4012", "x", "1"]),
        ("\u300cE-92\u300d\u306eE-93 E-4\u3001E-5", ["E-92", "\u306e", "E-93", "E-4\u3001E-5", "E-4", "E-5"]),
        ("\u2022E-4012 \u2014E-4\u2014 E-5\u060c E-6\u0964", ["E-4012", "E-4", "E-5", "E-6"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("\u5b89\u5168\u9600E-92", ["\u5b89\u5168\u9600", "E-92"]),
    ],
)
def test_words_as_typed_are_bounded_and_keep_case_and_signs(text: str, typed: list[str]) -> None:
    assert typed_words(text) == typed


@given(st.text() | st.text("aAbE4-._+#,;:()[]<>*|`\"'/\u00df\u5b89\u30fc\u0301\u200d\u2705 "))
def test_spans_lie_in_the_text_and_name_the_units(text: str) -> None:
    spans = word_spans(text)
    assert [unit for unit, _, _ in spans] == words(text)
    assert all(0 <= start < end <= len(text) for _, start, end in spans)
    assert all(unit and not unit.isspace() and "\n" not in unit for unit, _, _ in spans)
    assert all(typed_words(text))


def test_spans_of_a_word_and_its_parts() -> None:
    assert word_spans("an E-4012!") == [("an", 0, 2), ("e-4012", 3, 9), ("e", 3, 4), ("4012", 5, 9)]
    assert word_spans("\uff25\uff0d\uff14") == [("e-4", 0, 3), ("e", 0, 1), ("4", 2, 3)]
    assert ("strasse-1", 0, 8) in word_spans("Stra\u00dfe-1")
    assert ("ss", 4, 5) not in word_spans("Stra\u00dfe-1")
    assert word_spans("\u00bd") == [("1/2", 0, 1), ("1", 0, 1), ("2", 0, 1)]


def test_encoded_data_is_no_unit_as_a_whole() -> None:
    blob = "Zm9vYmFy+/" * 50
    assert all(len(unit) <= LONGEST_UNIT for unit in words(blob))
    assert len(words("a" * 100_000)) == 1  # letters alone are a word, however many


@given(st.lists(st.text("abcE4-._+#$@", min_size=1), max_size=4))
def test_a_word_has_the_same_units_wherever_it_stands(parts: list[str]) -> None:
    assert words(" ".join(parts)) == [unit for part in parts for unit in words(part)]


@pytest.mark.parametrize("part", ["(", '"', "\U0001f1e9\U0001f1ea", "<a>b</a>", "a1,", "a\0", "e\u0301", "\u5b89"])
def test_any_text_is_cut_in_linear_time(part: str) -> None:
    assert len(words(part * 100_000)) <= 1_000_000  # quadratic time would take minutes
