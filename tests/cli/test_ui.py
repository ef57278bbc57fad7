"""``lsb-rag ui`` up to the point where it serves; tests/ui has the page."""

from __future__ import annotations

from pathlib import Path

import chromadb
import numpy as np
import pytest

from lsb_rag.cli.ui import _is_loopback

from .terminal import call


@pytest.fixture
def not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lsb_rag.ui.serve", lambda app, listening: None)


@pytest.mark.usefixtures("not_served")
def test_the_address_is_said(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, "ui", "--db", db, "--port", "0")
    assert (code, out) == (0, "")
    assert "Open http://127.0.0.1:" in err
    assert "Whoever reaches this port" not in err


@pytest.mark.usefixtures("not_served")
def test_serving_other_machines_is_said(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "ui", "--db", db, "--port", "0", "--host", "0.0.0.0")  # noqa: S104
    assert code == 0
    assert "Whoever reaches this port can read what the database holds." in err


@pytest.mark.usefixtures("not_served")
def test_a_collection_of_another_backbone_stops_it_only_where_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = chromadb.PersistentClient(tmp_path).create_collection("another", embedding_function=None)
    other.add(ids=["a"], documents=["text"], embeddings=np.ones((1, 384)))
    code, _, err = call(capsys, "ui", "--db", str(tmp_path), "--port", "0")
    assert code == 0
    assert "The page is served for the others." in err
    code, _, err = call(capsys, "ui", "--db", str(tmp_path), "--port", "0", "-c", "another")
    assert code == 1
    assert "Open http" not in err


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("page.example", False)],  # noqa: S104
)
def test_loopback(host: str, expected: bool) -> None:
    assert _is_loopback(host) is expected
