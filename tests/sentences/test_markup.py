from __future__ import annotations

import pytest

from lsb_rag.sentences.markup import bare, traced


def cleaned(text: str) -> str:
    return bare(traced([(text, 0)])).text


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("**Bold***i*, ***both***, **a *b* c** and **.5**", "Boldi, both, a b c and .5"),
        ("*git diff* [<options>] *`name`*, **`x`**:", "git diff [<options>] name, x:"),
        ("_Never do this, ever!_ Ok.", "Never do this, ever! Ok."),
        ('See [diff(1)](diff.html "title") and ![alt](a.png).', "See diff(1) and alt."),
        ("[![badge](a.svg)](https://b)", "badge"),
        ("`` a|b `x` `` and `Foo`s", "a|b `x` and Foos"),
        ("<p>one<br>two <b>x</b> <a href='y'>z</a></p> <!-- w -->", "one two x z"),
        ("a &lt;b&gt; &amp;&nbsp;c&#39;s", "a <b> & c's"),
        (r"snake\_case \*a a \| b", "snake_case *a a | b"),
        ("word[^1] ends", "word ends"),
        (":func:`~os.path` ``lit`` :ref:`text <target>` `site <http://x>`_", "os.path lit text site"),
        ("<https://x.y/z>", "https://x.y/z"),
        ("two\n  lines", "two lines"),
        ("", ""),
    ],
)
def test_markup_goes(text: str, without: str) -> None:
    assert cleaned(text) == without


@pytest.mark.parametrize(
    "text",
    [
        "__init__ __all__ _private class_ _missing_ _private replaces class_",
        "*args and **kwargs, f(*args, **kwargs) and *args*2",
        "a * b, x**2 + y**2, 2*a*b and a*b*c",
        "*.py, lib* and src/**/*.py",
        "char *a, char *b; int* c, int* d",
        "List<String> #include <stdio.h> <placeholder> a < b > c <table> <b>",
        "a[i](x) handlers[key](event) [^a-z] [<path>]",
        r"C:\temp\_x \d+ \n",
        "`this' and `that'",
        "https://x.org/a_b_c?d=*e*&f=_g_",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert cleaned(text) == text


def test_the_source_of_each_character() -> None:
    text = "a  **b** &amp; `c`\n[d](e)"
    without = bare(traced([(text[:18], 0), (text[19:], 19)]))
    assert without.text == "a b & c d"
    assert [text[without.source(at)] for at in range(9) if without.text[at] in "abcd"] == [*"abcd"]
