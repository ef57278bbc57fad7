"""Commands over a model behind an endpoint: a collection it indexed, and one of another program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import pytest

from lsb_rag.backbones import endpoint

from ..conftest import MANUAL
from ..embedding_server import EmbeddingServer, embedding_server, vector
from .terminal import call

KEY = "sk-top-secret"
QUESTIONS = [("what does E-4012 mean", "pump"), ("TMP_117", "sensor"), ("replace ZX81", "valve")]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with embedding_server() as running:
        yield running


@pytest.fixture
def attached(tmp_path: Path, server: EmbeddingServer, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The options that name a collection which another program filled, attached by an endpoint."""
    db = tmp_path / "db"
    made = chromadb.PersistentClient(db).create_collection("langchain", embedding_function=None)
    texts = [passage.content for passage in MANUAL]
    made.add(ids=[p.id for p in MANUAL], documents=texts, embeddings=[vector(text) for text in texts])
    code, out, err = call(
        capsys, "attach", "langchain", "--db", str(db), "--backbone", f"openai:small@{server.url}", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert (found["verified_by"], found["verified_texts"], found["records"]) == ("sample", 7, 7)
    return ["-c", "langchain", "--db", str(db)]


def test_index_and_search(tmp_path: Path, server: EmbeddingServer, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, db = tmp_path / "corpus.jsonl", ["-c", "manuals", "--db", str(tmp_path / "db")]
    rows = [{"_id": passage.id, "title": passage.title, "text": passage.text} for passage in MANUAL]
    corpus.write_text("\n".join(map(json.dumps, rows)))
    index = ["index", str(corpus), *db, "--backbone", f"openai:small@{server.url}?dimensions=32", "--json"]
    assert json.loads(call(capsys, *index)[1])["embedded"] == 7
    assert json.loads(call(capsys, *index)[1])["embedded"] == 0
    hits = json.loads(call(capsys, "search", "E-4012", *db, "--json")[1])["hits"]
    assert hits[0]["id"] == "pump"
    assert {body.get("dimensions") for _, body in server.requests} == {32}
    collections = json.loads(call(capsys, "info", "--db", str(tmp_path / "db"), "--json")[1])["collections"]
    assert collections[0]["fingerprint"]["backbone"] == f"openai:small@{server.url}?dimensions=32"
    assert not any(KEY.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_what_was_attached_is_opened_by_name(
    attached: list[str], server: EmbeddingServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.requests.clear()
    assert json.loads(call(capsys, "search", "E-4012", *attached, "--json")[1])["hits"][0]["id"] == "pump"
    assert len(server.requests) == 3  # a passage and a query for the fingerprint, and the query
    code, out, _ = call(capsys, "explain", "what does E-4012 mean", *attached, "--passage", "pump", "--json")
    assert code == 0
    assert {"e-4012", "4012"} <= {effect["unit"] for effect in json.loads(out)["effects"]}
    assert "E-4012" in call(capsys, "ask", "what does E-4012 mean", *attached)[1]
    assert "small" in call(capsys, "info", *attached[2:])[1]


def test_all_arms_of_an_evaluation_ask_each_question_once(
    attached: list[str], server: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows: list[Any] = [{"question": question, "reference_ids": [id]} for question, id in QUESTIONS]
    questions.write_text("\n".join(map(json.dumps, rows)))
    server.requests.clear()
    code, out, err = call(capsys, "evaluate", str(questions), *attached, "--json")
    assert code == 0, err
    assert json.loads(out)["arms"]["lsb"]["question"]["hit@1"] == 1.0
    texts = server.texts
    assert [texts.count(question) for question, _ in QUESTIONS] == [1, 1, 1]


def test_what_needs_a_model_here(
    attached: list[str], server: EmbeddingServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"_id": "a", "text": "The pump stopped because the inlet is blocked."}))
    backbone = ["--backbone", f"openai:small@{server.url}"]
    for command in (
        ["adapt", "langchain", *attached[2:]],
        ["train", str(corpus), *backbone, "--out", str(tmp_path / "out")],
        ["index", str(corpus), "-c", "pieces", "--db", str(tmp_path / "pieces"), *backbone, "--units", "wordpieces"],
    ):
        code, _, err = call(capsys, *command)
        assert code == 1
        assert "gives vectors alone" in err.replace("\n", " ")


def test_an_endpoint_that_is_away(
    attached: list[str],
    server: EmbeddingServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(endpoint, "AWAY_SECONDS", 0.05)
    server.shutdown()
    server.server_close()
    code, out, err = call(capsys, "search", "E-4012", *attached)
    assert (code, out) == (1, "")
    assert "does not answer" in err
    assert "Traceback" not in err
