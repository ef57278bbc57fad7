"""Sessions with a judge, against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from lsb_rag.errors import StoreError
from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.evaluation.metric_names import JUDGED
from lsb_rag.evaluation.ragas.judge import UNREADABLE, Judge
from lsb_rag.evaluation.ragas.judged import score_judged
from lsb_rag.evaluation.ragas.session import GIVE_UP, UNASKED
from lsb_rag.evaluation.scores import Sample

from ...chat_server import chat_server
from ...judgements import form, judgement
from .judging import PUMP, REQUESTS, Backbone, judged


def test_the_arms_share_judgements_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    samples = {"vanilla": {"q": PUMP}, "lsb": {"q": PUMP}}
    with chat_server(judgement) as server:
        scores, usage = judged(samples, server.url, tmp_path)
        assert usage.requests == len(server.requests) == REQUESTS
        assert scores["vanilla"].values == scores["lsb"].values
        again, usage = judged(samples, server.url, tmp_path)
        assert usage.requests == 0
        assert again == scores
        # Another model, and another endpoint, judge for themselves.
        judge = Judge("judge-2", server.url)
        asyncio.run(score_judged(samples, judge, backbone=Backbone(), cache=JsonCache(tmp_path)))
        assert len(server.requests) == 2 * REQUESTS
    with chat_server(judgement) as other:
        assert judged(samples, other.url, tmp_path)[1].requests == REQUESTS
    assert not list(tmp_path.rglob("*.tmp"))


def test_repeated_requests_of_one_metric_are_samples_of_their_own(tmp_path: Path) -> None:
    asked: list[str] = []

    def reply(body: dict[str, Any]) -> str:
        if form(body) != "AnswerRelevanceOutput":
            return judgement(body)
        asked.append("")
        return json.dumps(
            {"question": "?" if len(asked) == 2 else "What stopped?", "noncommittal": int(len(asked) < 3)}
        )

    with chat_server(reply) as server:
        first, _ = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        second, usage = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
    assert len(asked) == 3
    assert usage.requests == 0
    assert second == first
    assert first["lsb"].values["answer_relevancy"]["q"] == pytest.approx(1)  # two of three evade; merged, all would


def test_an_endpoint_that_fails_all_the_time_is_given_up() -> None:
    samples = {"lsb": {f"q{n}": Sample(**{**vars(PUMP), "question": f"What is {n}?"}) for n in range(20)}}
    with chat_server((401, {}, '{"error": {"message": "wrong key"}}')) as server:
        scores, usage = judged(samples, server.url, concurrency=1)
    assert usage.requests == GIVE_UP
    said = [reason for by_query in scores["lsb"].reasons.values() for reason in by_query.values()]
    assert said.count("HTTP 401 from the judge") == GIVE_UP
    assert said.count(UNASKED) == len(said) - GIVE_UP


def test_an_endpoint_given_up_still_gives_what_it_judged_before(tmp_path: Path) -> None:
    samples = {f"q{n}": Sample(**{**vars(PUMP), "question": f"What is {n}?"}) for n in range(20)}
    last = {id: samples[id] for id in list(samples)[15:]}
    with chat_server(judgement) as server:
        before, _ = judged({"lsb": last}, server.url, tmp_path)
    after, usage = judged({"lsb": samples}, server.url, tmp_path, retries=0, concurrency=1)
    assert usage.requests >= GIVE_UP
    for measure in JUDGED:
        assert {id: after["lsb"].values[measure][id] for id in last} == before["lsb"].values[measure]
        if measure != "answer_relevancy":  # of the answer alone, which is the same for all
            assert math.isnan(after["lsb"].values[measure]["q0"])


def test_a_request_that_is_refused_does_not_mean_a_dead_endpoint() -> None:
    samples = {"lsb": {f"q{n}": Sample(**{**vars(PUMP), "question": f"What is {n}?"}) for n in range(20)}}

    def reply(body: dict[str, Any]) -> Any:
        too_long = (400, {}, '{"error": {"message": "context length"}}')
        return judgement(body) if form(body) == "ContextRecallOutput" else too_long

    with chat_server(reply) as server:
        scores, _ = judged(samples, server.url, concurrency=1)
    assert "context_recall" not in scores["lsb"].reasons
    assert set(scores["lsb"].reasons["faithfulness"].values()) == {"HTTP 400 from the judge"}


def test_an_endpoint_that_never_gives_json_is_given_up() -> None:
    samples = {"lsb": {f"q{n}": Sample(**{**vars(PUMP), "question": f"What is {n}?"}) for n in range(20)}}
    with chat_server("<html>sorry</html>") as server:
        scores, usage = judged(samples, server.url, concurrency=1)
    assert usage.requests < 4 * GIVE_UP * 3
    assert UNASKED in scores["lsb"].reasons["context_recall"].values()


def test_a_verdict_off_the_scale_is_no_value() -> None:
    def reply(body: dict[str, Any]) -> str:
        if form(body) == "ContextRecallOutput":
            said = {"statement": "", "reason": ""}
            return json.dumps({"classifications": [{**said, "attributed": 2}, {**said, "attributed": 0}]})
        return judgement(body)

    with chat_server(reply) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url)
    assert scores["lsb"].reasons == {"context_recall": {"q": UNREADABLE}}


def test_damaged_judgements_are_asked_again(tmp_path: Path) -> None:
    with chat_server(judgement) as server:
        first, _ = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        kept = sorted(tmp_path.rglob("*.json"))
        kept[0].write_text('{"result": ')
        kept[1].write_text('{"result": {"nonsense": 1}}')
        second, usage = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
    assert usage.requests == 2
    assert second == first


def test_a_judgement_that_cannot_be_kept_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with chat_server(judgement) as server, pytest.raises(StoreError, match="Free some space, or name another folder"):
        judged({"lsb": {"q": PUMP}}, server.url, tmp_path / "file")
