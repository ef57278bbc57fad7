from __future__ import annotations

import json

import pytest

from ..chat_server import chat_server
from .terminal import call


def test_search_vanilla_and_tables(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "search", "E-4013", "--db", db, "-k", "2")
    assert code == 0
    assert "E-4013" in out
    assert len(json.loads(call(capsys, "search", "E-4013", "--db", db, "--k", "2", "--json")[1])["hits"]) == 2
    vanilla = json.loads(call(capsys, "search", "E-4013", "--db", db, "--vanilla", "--json")[1])
    lsb = json.loads(call(capsys, "search", "E-4013", "--db", db, "--json")[1])
    assert lsb["hits"][0]["id"] == "drain"
    assert [hit["score"] for hit in vanilla["hits"]] != [hit["score"] for hit in lsb["hits"]]


def test_ask(db: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = json.loads(call(capsys, "ask", "which part is replaced at E-5100?", "--db", db, "--json")[1])
    assert set(found) == {"query", "collection", "hits", "answer", "citations", "confidence", "nearest"}
    assert "ZX81" in found["answer"]
    assert "valve" in found["citations"]
    code, out, _ = call(capsys, "ask", "which part is replaced at E-5100?", "--db", db)
    assert code == 0
    assert "[1]" in out
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with chat_server("Replace ZX81 [1].") as server:
        arguments = ("ask", "E-5100?", "--db", db, "--json", "-k", "2", "-g", f"openai:m@{server.url}")
        code, out, err = call(capsys, *arguments)
    assert json.loads(out)["citations"] == [json.loads(out)["hits"][0]["id"]]
    assert "sk-secret" not in out + err
    with chat_server("Replace ZX81 [2].") as server:
        arguments = ("ask", "E-5100?", "--db", db, "-k", "2", "-g", f"openai:m@{server.url}")
        hits = json.loads(call(capsys, *arguments, "--json")[1])["hits"]
        out = call(capsys, *arguments)[1]
    assert out.startswith(f"Replace ZX81 [1].\n[1] {hits[1]['id']}\n")


def test_explain(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("explain", "what does E-4012 mean", "--db", db)
    found = json.loads(call(capsys, *arguments, "--passage", "pump", "--json")[1])
    assert found["collection"] == "manual"
    assert found["passage"] == "pump"
    assert found["score"] > found["vanilla_score"]
    assert {"unit", "weight", "degrees", "cosine", "lexical"} == set(found["effects"][0])
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "turns the query vector by" in out
    assert "e-4012" in out
    assert call(capsys, *arguments, "--passage", "nope")[0] == 1
    assert "stays as it is" in call(capsys, "explain", "zzyzx", "--db", db)[1]
