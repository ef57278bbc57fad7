from __future__ import annotations

import pytest

from lsb_rag.utils.text import without_controls, without_surrogates


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00fc\ttext\n", "plain \u00fc\ttext\n"),
        ("\x1b[31mred", "\ufffd[31mred"),
        ("a\x00b\x7fc\x9bd\re", "a\ufffdb\ufffdc\ufffdd\ufffde"),
        ("file\u202etxt.exe\u2069", "file\ufffdtxt.exe\ufffd"),
    ],
)
def test_what_steers_a_terminal_is_replaced_one_for_one(text: str, shown: str) -> None:
    assert without_controls(text) == shown
    assert len(without_controls(text)) == len(text)


def test_lone_surrogates_are_replaced() -> None:
    assert without_surrogates("a \ud800 \u00fc \U0001f600") == "a ? \u00fc \U0001f600"
