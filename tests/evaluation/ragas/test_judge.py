from __future__ import annotations

import pytest

from lsb_rag.errors import EndpointError, InvalidInputError
from lsb_rag.evaluation.ragas.judge import Judge, Usage, _tokens, failure, make_judge, unreachable
from lsb_rag.generation import OpenAIGenerator, checked_choice
from lsb_rag.generation.openai_endpoint import shown_url

from ...chat_server import chat_server


def test_a_judge_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    judge = make_judge("qwen@4bit@http://localhost:11434/v1", max_requests=9)
    assert (judge.model, judge.base_url, judge.max_requests) == ("qwen@4bit", "http://localhost:11434/v1", 9)
    assert make_judge("openai:m@http://localhost/v1") == make_judge("m@http://localhost/v1")
    with pytest.raises(EndpointError, match="Set OPENAI_API_KEY, or name a local endpoint"):
        make_judge("gpt-5-mini")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert make_judge("gpt-5-mini") == Judge("gpt-5-mini")
    with pytest.raises(InvalidInputError, match="Unknown judge"):
        make_judge("@http://localhost/v1")


def test_limits_are_checked() -> None:
    for wrong in ({"max_requests": -1}, {"max_tokens": -1}, {"concurrency": 0}, {"retries": -1}):
        with pytest.raises(InvalidInputError, match=f"{next(iter(wrong))} must be at least"):
            Judge("m", **wrong)
    judge = Judge("m", max_requests=2, max_tokens=100)
    assert not Usage(1, 99).spent(judge)
    assert Usage(2, 0).spent(judge)
    assert Usage(0, 100).spent(judge)
    assert not Usage(10**9, 10**9).spent(Judge("m"))


def test_credentials_in_an_address_are_not_shown() -> None:
    judge = Judge("m", "https://user:password@example.org:8443/v1?token=secret")
    assert judge.name == "m@https://example.org:8443/v1"
    assert "password" not in repr(judge)
    assert "secret" not in repr(judge)


def test_whether_anything_answers() -> None:
    with chat_server("x") as server:
        judge = Judge("m", server.url)
        assert unreachable(judge) == ""  # it has no page there, but it speaks
    assert f"Nothing answers at the judge's endpoint {server.url} (ConnectError)" in unreachable(judge)


def test_a_failure_of_another_kind_is_an_answer_that_cannot_be_read() -> None:
    assert failure(ValueError("x")) == ("the judge's answer could not be read", False)


def test_the_endpoint_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert make_judge("m").name == "m@http://localhost:1234/v1"
    assert OpenAIGenerator("m").name == "openai:m@http://localhost:1234/v1"


@pytest.mark.parametrize("choice", ["m@http://user:pw@localhost:1/v1", "qwen@4bit@http://user:p%40w@localhost:1/v1"])
def test_credentials_in_an_address_do_not_send_it_elsewhere(choice: str) -> None:
    model, _, url = choice.partition("@http")
    judge = make_judge(choice)
    assert (judge.model, judge.base_url) == (model, f"http{url}")
    assert judge.name == f"{model}@http://localhost:1/v1"
    assert checked_choice(f"openai:{choice}") == (model, f"http{url}")


@pytest.mark.parametrize(
    "url", ["http://u:pw/SECRET@h:1/v1", "http://h:port/v1", "ftp://h/v1", "http:///v1", "http://[/v1"]
)
def test_an_address_that_cannot_be_read_is_refused_without_showing_it(url: str) -> None:
    for made in (lambda: make_judge(f"m@{url}"), lambda: Judge("m", url), lambda: OpenAIGenerator("m", url)):
        with pytest.raises(InvalidInputError, match="address cannot be read") as caught:
            made()
        assert "SECRET" not in str(caught.value)
    assert "SECRET" not in shown_url("http://u:pw/SECRET@h:1/v1")


@pytest.mark.parametrize("choice", ["http://user:pw@localhost/v1", "m@://x", "m n@http://x/v1", ""])
def test_a_judge_that_cannot_be_read_is_refused_without_showing_it(choice: str) -> None:
    with pytest.raises(InvalidInputError, match="Unknown judge") as caught:
        make_judge(choice)
    assert "pw" not in str(caught.value)
    with pytest.raises(InvalidInputError, match="Unknown generator") as caught:
        checked_choice(f"openai:{choice}")
    assert "user:pw" not in str(caught.value)


@pytest.mark.parametrize(
    "usage", ['{"total_tokens": -5}', '{"total_tokens": 1e999}', '{"total_tokens": "9"}', "[]", "7"]
)
def test_tokens_that_make_no_sense_are_estimated(usage: str) -> None:
    assert _tokens(b"x" * 30, f'{{"usage": {usage}}}'.encode()) == (30 + len(usage) + 11) // 4
    assert _tokens(b"", b'{"usage": {"total_tokens": 123}}') == 123
