"""The judged tier against a real server on loopback, through RAGAS's own client."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lsb_rag.errors import StoreError
from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.evaluation.metric_names import JUDGED
from lsb_rag.evaluation.ragas.judge import BUDGET, UNREADABLE, Judge, Usage
from lsb_rag.evaluation.ragas.judged import score_judged
from lsb_rag.evaluation.ragas.scores import Sample, Scores
from lsb_rag.evaluation.ragas.session import GIVE_UP, UNASKED
from lsb_rag.generation import NO_ANSWER

from ...chat_server import CUT, HANG, chat_server
from ...judgements import form, judgement

KEY = "sk-very-secret-0123456789"
PUMP = Sample(
    "What does E-4012 mean?",
    ("The inlet is blocked.", "A blocked inlet."),
    "It means that the pump stopped.",
    ("pump", "drain"),
    ("The pump stopped because the inlet is blocked.", "The outlet is blocked."),
    ("pump",),
    ("The pump stopped because the inlet is blocked.",),
)
# What PUMP takes when all goes well: 2 for faithfulness, 3 for correctness of which one is asked before, 3 for
# relevancy, one a passage for context precision, 1 for context recall.
REQUESTS = 2 + 2 + 3 + 2 + 1


class Backbone:
    """Vectors by the length of a text, so that similarities are known."""

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        return np.array([[0.6, 0.8] for _ in texts], np.float32)

    def embed_query(self, texts: str, /) -> NDArray[np.float32]:
        return self.encode_document([texts])[0]


def judged(
    samples: dict[str, dict[str, Sample]], url: str, cache: Path | None = None, **limits: Any
) -> tuple[dict[str, Scores], Usage]:
    judge = Judge("judge-1", url, **{"retries": 1, "timeout": 1.0, **limits})
    kept = JsonCache(cache) if cache else None
    return asyncio.run(score_judged(samples, judge, backbone=Backbone(), cache=kept))


def test_ragas_scores_what_the_judge_says() -> None:
    answers = {
        "StatementGeneratorOutput": {"statements": ["The pump stopped.", "It rains."]},
        "NLIStatementOutput": {
            "statements": [
                {"statement": "The pump stopped.", "reason": "", "verdict": 1},
                {"statement": "It rains.", "reason": "", "verdict": 0},
            ]
        },
        "ClassificationWithReason": {
            "TP": [{"statement": "a", "reason": ""}],
            "FP": [{"statement": "b", "reason": ""}],
            "FN": [],
        },
        "AnswerRelevanceOutput": {"question": "What stopped?", "noncommittal": 0},
        "ContextRecallOutput": {"classifications": [{"statement": "a", "reason": "", "attributed": 1}]},
    }

    def reply(body: dict[str, Any]) -> str:
        if form(body) == "ContextPrecisionOutput":  # the second passage is of use, the first is not
            return json.dumps(
                {"reason": "", "verdict": int("The outlet is blocked." in body["messages"][1]["content"])}
            )
        return json.dumps(answers[form(body)])

    with chat_server(reply) as server:
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url)
    values = {measure: scores["lsb"].values[measure]["q"] for measure in JUDGED}
    assert values["faithfulness"] == 0.5
    assert values["answer_correctness"] == pytest.approx(2 / 3)  # F1 of precision 1/2 and recall 1
    assert values["answer_relevancy"] == pytest.approx(1)
    assert values["context_precision"] == pytest.approx(0.5)  # average precision of (0, 1)
    assert values["context_recall"] == 1
    assert scores["lsb"].reasons == {}
    assert usage == Usage(len(server.requests), 100 * len(server.requests))
    assert all(request["body"]["model"] == "judge-1" for request in server.requests)


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


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ('{"nonsense": 1}', UNREADABLE),
        ("not JSON at all", UNREADABLE),
        ((500, {}, "{}"), "HTTP 500 from the judge"),
        ((429, {"Retry-After": "1"}, '{"error": {"message": "slow down"}}'), "HTTP 429 from the judge"),
        (HANG, "the judge did not answer in time"),
        (CUT, "no connection to the judge"),
    ],
    ids=["wrong JSON", "no JSON", "500", "429", "hang", "cut"],
)
def test_a_failed_judgement_is_counted_and_asked_again_in_the_next_run(tmp_path: Path, fault: Any, reason: str) -> None:
    healed = False

    def reply(body: dict[str, Any]) -> Any:
        return fault if form(body) == "ContextRecallOutput" and not healed else judgement(body)

    with chat_server(reply) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        found = scores["lsb"]
        assert math.isnan(found.values["context_recall"]["q"])
        assert found.reasons == {"context_recall": {"q": reason}}
        assert not any(math.isnan(found.values[m]["q"]) for m in JUDGED if m != "context_recall")
        healed = True
        before = len(server.requests)
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        assert scores["lsb"].reasons == {}
        assert usage.requests == len(server.requests) - before == 1


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


def test_redirects_are_not_followed_past_the_limit() -> None:
    with chat_server((307, {"Location": "/v1/elsewhere"}, "")) as server:
        scores, usage = judged({"lsb": {"q": PUMP}}, server.url, max_requests=3)
        assert usage.requests == len(server.requests) == 3
    assert "HTTP 307 from the judge" in scores["lsb"].reasons["answer_correctness"].values()


def test_the_first_reference_is_judged_and_similarity_counts_where_a_model_is_named() -> None:
    class Unlike(Backbone):
        """Answer and reference are at right angles."""

        def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
            return np.array([[1, 0] if text == PUMP.answer else [0, 1] for text in texts], np.float32)

    def reply(body: dict[str, Any]) -> str:
        assert PUMP.references[1] not in body["messages"][1]["content"]
        if form(body) == "ClassificationWithReason":
            return json.dumps({"TP": [{"statement": "", "reason": ""}], "FP": [], "FN": []})
        return judgement(body)

    with chat_server(reply) as server:
        judge = Judge("m", server.url)
        samples = {"lsb": {"q": PUMP}}
        plain, _ = asyncio.run(score_judged(samples, judge, backbone=Unlike()))
        named, _ = asyncio.run(score_judged(samples, judge, backbone=Backbone(), embedding=Unlike()))
    assert plain["lsb"].values["answer_correctness"]["q"] == 1
    assert named["lsb"].values["answer_correctness"]["q"] == pytest.approx(0.75)
    assert plain["lsb"].reasons == named["lsb"].reasons == {}


def test_contexts_matter_only_to_what_looks_at_them() -> None:
    other = Sample(**{**vars(PUMP), "contexts": ("Lunch is at noon.",), "context_ids": ("lunch",)})
    with chat_server(judgement) as server:
        judged({"vanilla": {"q": PUMP}, "lsb": {"q": other}}, server.url, concurrency=1)
        asked = [form(request["body"]) for request in server.requests]
    assert asked.count("ClassificationWithReason") == 1
    assert asked.count("AnswerRelevanceOutput") == 3
    assert asked.count("NLIStatementOutput") == asked.count("ContextRecallOutput") == 2
    assert asked.count("ContextPrecisionOutput") == 3


def test_questions_are_judged_one_after_the_other_both_arms_together() -> None:
    samples = {
        arm: {id: Sample(**{**vars(PUMP), "question": id, "answer": f"{arm}, {id}"}) for id in ("first", "second")}
        for arm in ("vanilla", "lsb")
    }
    with chat_server(judgement) as server:
        judged(samples, server.url, concurrency=1)
        asked = [request["body"]["messages"][1]["content"] for request in server.requests]
        classified = [text for text in asked if "ground_truth" in text]
    assert len(classified) == 4
    order = [next(id for id in ("second", "first") if f'"question": "{id}"' in text) for text in classified]
    assert order == ["first", "first", "second", "second"]
    assert not any('"question": "second"' in text for text in asked[: asked.index(classified[1])])


def test_a_run_that_ends_early_leaves_nothing_running_and_the_log_as_it_was(tmp_path: Path) -> None:
    logger = logging.getLogger("instructor")
    before = logger.level
    (tmp_path / "file").write_text("in the way")
    samples = {"lsb": {f"q{n}": Sample(**{**vars(PUMP), "question": f"What is {n}?"}) for n in range(20)}}
    with chat_server(judgement) as server:
        with pytest.raises(StoreError):
            judged(samples, server.url, tmp_path / "file", concurrency=1)
        assert len(server.requests) <= 2
    assert logger.level == before


@pytest.mark.parametrize(
    ("name", "said", "measure", "value", "reason"),
    [
        ("ClassificationWithReason", {"TP": [], "FP": [], "FN": []}, "answer_correctness", math.nan, "classified no"),
        ("StatementGeneratorOutput", {"statements": [" "]}, "faithfulness", math.nan, "no statement in the answer"),
        ("AnswerRelevanceOutput", {"question": "", "noncommittal": 0}, "answer_relevancy", math.nan, "no question"),
        ("ContextRecallOutput", {"classifications": []}, "context_recall", math.nan, "gave no value"),
    ],
)
def test_a_judgement_of_nothing_has_no_value(
    name: str, said: dict[str, Any], measure: str, value: float, reason: str
) -> None:
    with chat_server(lambda body: json.dumps(said) if form(body) == name else judgement(body)) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url)
    assert math.isnan(scores["lsb"].values[measure]["q"]) == math.isnan(value)
    assert reason in scores["lsb"].reasons[measure]["q"]


def test_what_ragas_would_score_wrongly_is_guarded_and_said() -> None:
    silent = Sample(**{**vars(PUMP), "answer": "Hm."})

    def reply(body: dict[str, Any]) -> str:
        if form(body) == "StatementGeneratorOutput" and "Hm." in body["messages"][1]["content"]:
            return json.dumps({"statements": []})
        return judgement(body)

    samples = {
        "silent": silent,
        "refused": Sample(**{**vars(PUMP), "answer": NO_ANSWER}),
        "failed": Sample(**{**vars(PUMP), "answer": None}),
        "nothing": Sample(**{**vars(PUMP), "contexts": (), "context_ids": ()}),
        "open": Sample(**{**vars(PUMP), "references": ()}),
    }
    with chat_server(reply) as server:
        scores, _ = judged({"lsb": samples}, server.url)
    values, reasons = scores["lsb"].values, scores["lsb"].reasons
    assert values["answer_correctness"]["silent"] == 0  # RAGAS: 1
    assert reasons["answer_correctness"]["silent"] == "the judge found no statement in the answer"
    assert math.isnan(values["faithfulness"]["silent"])
    assert (values["answer_correctness"]["refused"], values["answer_relevancy"]["refused"]) == (0, 0)
    assert math.isnan(values["faithfulness"]["refused"])
    assert math.isnan(values["answer_correctness"]["failed"])
    assert not math.isnan(values["context_recall"]["failed"])
    assert values["context_recall"]["nothing"] == 0
    assert math.isnan(values["context_precision"]["nothing"])
    assert math.isnan(values["faithfulness"]["nothing"])
    assert reasons["context_recall"]["open"] == "the question has no reference answer"
    assert not math.isnan(values["answer_relevancy"]["open"])


def test_a_verdict_off_the_scale_is_no_value() -> None:
    def reply(body: dict[str, Any]) -> str:
        if form(body) == "ContextRecallOutput":
            said = {"statement": "", "reason": ""}
            return json.dumps({"classifications": [{**said, "attributed": 2}, {**said, "attributed": 0}]})
        return judgement(body)

    with chat_server(reply) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url)
    assert scores["lsb"].reasons == {"context_recall": {"q": UNREADABLE}}


def test_without_references_only_what_needs_none_is_judged() -> None:
    with chat_server(judgement) as server:
        scores, _ = judged({"lsb": {"q": Sample(**{**vars(PUMP), "references": ()})}}, server.url)
    assert set(scores["lsb"].values) == {"faithfulness", "answer_relevancy"}


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


def test_the_key_goes_to_the_endpoint_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_server(judgement) as server:
        scores, _ = judged({"lsb": {"q": PUMP}}, server.url, tmp_path)
        assert server.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert KEY not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert KEY not in repr(scores)


def test_progress_reaches_the_end() -> None:
    steps: list[tuple[int, int]] = []
    with chat_server(judgement) as server:
        judge = Judge("m", server.url)
        samples = {"lsb": {"q": PUMP}}
        asyncio.run(score_judged(samples, judge, backbone=Backbone(), progress=lambda *step: steps.append(step)))
    assert steps == [(n, len(JUDGED)) for n in range(1, len(JUDGED) + 1)]
