"""Errors and wrong usage: what the command line says, and its exit codes."""

from __future__ import annotations

import json

import pytest

from .terminal import call


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "  "), "empty or blank"),
        (("search", "x", "-c", "nope"), "There is no collection 'nope'"),
        (("search", "x", "--backbone", "./no-model"), "'./no-model': there is no such folder"),
        (("ask", "x", "-g", "parrot"), "choose extractive or openai:MODEL[@URL]"),
        (("ask", "x", "-g", "openai:m@http://127.0.0.1:9/v1"), "gave no answer"),
        (("index", "/no/such/folder", "-c", "fresh"), "no file or folder"),
        (("index", ".", "-c", "fresh", "--backbone", "/no/model"), "Cannot load"),
        (("index", ".", "-c", "fresh", "--units", "letters"), "choose one of words, wordpieces"),
        (("evaluate", "no-such.jsonl"), "no-such.jsonl"),
        (("demo", "--questions", "100000"), "cannot be drawn"),
        (("demo", "-g", "parrot"), "choose extractive"),
    ],
)
def test_errors_are_one_clear_sentence_on_stderr(
    db: str,
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    small_demo: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("lsb_rag.generation.openai_endpoint.RETRIES", 0)
    code, out, err = call(capsys, *arguments, "--db", db)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err
    code, out, _ = call(capsys, "info", "--db", db, "--json")
    assert "fresh" not in [collection["name"] for collection in json.loads(out)["collections"]]


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "search")[0] == 2
    assert call(capsys, "search", "x", "-k", "0")[0] == 2
    assert call(capsys, "nonsense")[0] == 2
    assert call(capsys, "demo", "--questions", "-1")[0] == 2
    assert call(capsys, "make-tasks", ".", "-o", "tasks", "--seed", "-1")[0] == 2
    assert "Did you mean 'search'?" in call(capsys, "seach", "x")[2]
