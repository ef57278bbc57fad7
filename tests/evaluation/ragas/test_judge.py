from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from lsb_rag.errors import EndpointError, InvalidInputError
from lsb_rag.evaluation.metric_names import JUDGED
from lsb_rag.evaluation.ragas.judge import BUDGET, Judge, Usage, _count_tokens, failure, make_judge, unreachable
from lsb_rag.evaluation.scores import Sample
from lsb_rag.generation import OpenAIGenerator, checked_choice
from lsb_rag.utils.endpoints import shown_url

from ...chat_server import CUT, chat_server
from ...judgements import judgement
from .judging import PUMP, REQUESTS, judged

KEY = "sk-very-secret-0123456789"


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
    assert _count_tokens(b"x" * 30, f'{{"usage": {usage}}}'.encode()) == (30 + len(usage) + 11) // 4
    assert _count_tokens(b"", b'{"usage": {"total_tokens": 123}}') == 123


@pytest.mark.parametrize("fault", ["not JSON", (500, {}, "{}"), (429, {"Retry-After": "1"}, "{}"), CUT])
def test_a_fault_that_passes_is_overcome_by_repeating(fault: Any) -> None:
    with chat_server(fault, judgement) as server:
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url, concurrency=1)
        assert scores["lsb"].reasons == {}
        assert usage.requests == len(server.requests) == REQUESTS + 2  # nothing kept: statements are asked for twice


def test_the_budget_counts_every_request_and_leaves_whole_questions(tmp_path: Path) -> None:
    changed = {"question": "And E-4013?", "answer": "That an outlet is blocked.", "contexts": ("x", "y")}
    other = Sample(**{**vars(PUMP), **changed})
    samples = {"lsb": {"q1": PUMP, "q2": other}}
    with chat_server(judgement) as server:
        scores, usage = judged(samples, server.url, tmp_path, max_requests=REQUESTS + 1, concurrency=1)
        assert usage.requests == len(server.requests) == REQUESTS + 1
        assert not any(math.isnan(scores["lsb"].values[measure]["q1"]) for measure in JUDGED)
        assert scores["lsb"].reasons == {measure: {"q2": BUDGET} for measure in JUDGED}
        scores, usage = judged(samples, server.url, tmp_path, concurrency=1)
        assert usage.requests == REQUESTS - 1
        assert scores["lsb"].reasons == {}
    with chat_server((500, {}, "{}")) as server:
        _, usage = judged(samples, server.url, max_requests=3, retries=5)
        assert usage.requests == len(server.requests) == 3
    with chat_server(judgement) as server:
        _, usage = judged(samples, server.url, max_tokens=350, concurrency=1)
        assert usage == Usage(4, 400)


def test_tokens_are_estimated_where_the_endpoint_does_not_count_them() -> None:
    def reply(body: dict[str, Any]) -> tuple[int, dict[str, str], str]:
        message = {"role": "assistant", "content": judgement(body)}
        completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [
            {"index": 0, "message": message, "finish_reason": "stop"}
        ]}  # fmt: skip
        return 200, {"Content-Type": "application/json"}, json.dumps(completion)

    with chat_server(reply) as server:
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url)
    assert scores["lsb"].reasons == {}
    assert usage.tokens > 100 * usage.requests


def test_redirects_are_not_followed_past_the_limit() -> None:
    with chat_server((307, {"Location": "/v1/elsewhere"}, "")) as server:
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url, max_requests=3)
        assert usage.requests == len(server.requests) == 3
    assert "HTTP 307 from the judge" in scores["lsb"].reasons["answer_correctness"].values()


def test_the_key_goes_to_the_endpoint_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(judgement) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert KEY not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert KEY not in repr(scores)
