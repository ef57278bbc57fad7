from __future__ import annotations

import json

import pytest

from lsb_rag import __version__

from ..conftest import MANUAL
from .terminal import call


def test_info(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(call(capsys, "info", "--db", db, "--json")[1])
    assert found["version"] == __version__
    assert found["collections"][0]["name"] == "manual"
    assert found["collections"][0]["passages"] == len(MANUAL)
    assert found["collections"][0]["fingerprint"]["dimension"] == 384
    assert "manual: 7 passages, all-MiniLM-L6-v2, 384-d" in call(capsys, "info", "--db", db)[1]
    assert json.loads(call(capsys, "info", "--db", f"{db}/none", "--json")[1])["collections"] == []
