from __future__ import annotations

import pytest

from lsb_rag import PassageStore
from lsb_rag.cli.console import duration, shortened

from .terminal import call


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (125, "2 min 5 s"), (3600, "1 h 0 min"), (7325, "2 h 2 min")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_long_text_is_one_line_that_is_cut() -> None:
    assert shortened("a\n  b", 3) == "a b"
    assert shortened("a\n  b c", 4) == "a b…"


def test_hostile_text_does_not_reach_the_terminal(store: PassageStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.add(["E-9999 \x1b[2J\x1b]0;owned\x07 [bold red]markup[/] \u202egnp.exe"])
    for command in ("search", "ask"):
        code, out, _ = call(capsys, command, "E-9999", "--db", str(store.path))
        assert code == 0
        assert "\x1b[2J" not in out
        assert "\u202e" not in out
        assert "[bold red]" in out
