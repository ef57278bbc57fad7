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
from lsb_rag.evaluation.metric_names import JUDGED
from lsb_rag.evaluation.ragas.judge import UNREADABLE, Judge, Usage
from lsb_rag.evaluation.ragas.judged import score_judged
from lsb_rag.evaluation.scores import Sample
from lsb_rag.generation import NO_ANSWER

from ...chat_server import CUT, HANG, chat_server
from ...judgements import form, judgement
from .judging import PUMP, Backbone, judged


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


def test_without_references_only_what_needs_none_is_judged() -> None:
    with chat_server(judgement) as server:
        scores, _ = judged({"lsb": {"q": Sample(**{**vars(PUMP), "references": ()})}}, server.url)
    assert set(scores["lsb"].values) == {"faithfulness", "answer_relevancy"}


def test_progress_reaches_the_end() -> None:
    steps: list[tuple[int, int]] = []
    with chat_server(judgement) as server:
        judge = Judge("m", server.url)
        samples = {"lsb": {"q": PUMP}}
        asyncio.run(score_judged(samples, judge, backbone=Backbone(), progress=lambda *step: steps.append(step)))
    assert steps == [(n, len(JUDGED)) for n in range(1, len(JUDGED) + 1)]
