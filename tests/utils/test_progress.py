from __future__ import annotations

import pytest

from lsb_rag.utils import progress
from lsb_rag.utils.progress import progress_bar


def test_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("Adding", show=True) as update:
        update(3, 10)
        update(10, 10)
    shown = capsys.readouterr().err
    assert "Adding" in shown
    assert "10/10" in shown


@pytest.mark.parametrize("show", [None, False])
def test_hidden_outside_a_terminal(capsys: pytest.CaptureFixture[str], show: bool | None) -> None:
    with progress_bar("Adding", show=show) as update:
        update(10, 10)
    assert capsys.readouterr().err == ""


def test_in_a_terminal_it_waits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress_bar("Quick") as update:
        update(1, 1)
    assert "Quick" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "DELAY_SECONDS", 1e-9)
    with progress_bar("Slow") as update:
        update(1, 2)
        update(2, 2)
    assert "Slow" in capsys.readouterr().err
