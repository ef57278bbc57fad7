from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lsb_rag import PassageStore
from lsb_rag.store import calls

from ..chroma_server import chroma_server, url_of
from .terminal import call, run


def test_which_collection_is_asked_for_when_there_are_several(store: PassageStore, capsys: Any) -> None:
    PassageStore(store.path, "second", store.encoder).add(["text"])
    code, _, err = call(capsys, "search", "x", "--db", str(store.path))
    assert code == 1
    assert "holds 2: manual, second" in err


def test_a_server_as_the_database(
    tmp_path: Path, store: PassageStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "pump.txt").write_text("The error E-4012 means that the inlet is blocked.")
    with chroma_server(tmp_path / "served") as (client, _):
        url = url_of(client)
        assert call(capsys, "index", str(tmp_path / "pump.txt"), "-c", "manuals", "--db", url)[0] == 0
        code, out, _ = call(capsys, "search", "E-4012", "--db", url, "--json")
        assert json.loads(out)["hits"][0]["title"] == "pump"
        code, out, _ = call(capsys, "info", "--db", url)
        assert f"{url}: 1 collection" in out
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.2)
    code, out, err = call(capsys, "search", "E-4012", "--db", url)
    assert (code, out) == (1, "")
    assert "does not answer" in err
    assert "Traceback" not in err


def test_json_where_stdout_is_not_utf8(store: PassageStore) -> None:
    store.add(["日本語 E-9999"])
    done = run("search", "E-9999", "--json", db=store.path, PYTHONIOENCODING="cp1252")
    assert json.loads(done.stdout)["hits"][0]["text"] == "日本語 E-9999"
