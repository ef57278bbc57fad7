from __future__ import annotations

import math

from lsb_rag import PassageStore
from lsb_rag.evaluation import Evaluation, Judge, evaluate, headline
from lsb_rag.evaluation.reports.wording import judge_problem, notes

from ...chat_server import chat_server
from ...judgements import judgement
from ..evaluations import DATASET, OPEN, Answering, by_hand, repeated


def test_the_headline_says_which_way() -> None:
    low, high = (0.1, 0.1, 0.1), (0.6, 0.6, 0.6)
    better = headline(repeated({"vanilla": low, "lsb": high}))
    assert "LexSemBridge is better than vanilla dense on 30 queries" in better
    assert "MRR@10 0.100 → 0.600, +0.500 [+0.500, +0.500]; 30 won, 0 tied, 0 lost." in better
    assert "is worse than" in headline(repeated({"vanilla": high, "lsb": low}))
    assert "cannot be told from vanilla dense" in headline(repeated({"vanilla": low, "lsb": (0.1, 0.6, -0.4)}))
    assert "alone was run" in headline(repeated({"vanilla": high}))
    few = headline(repeated({"vanilla": low, "lsb": high}, times=9))
    assert "LexSemBridge cannot be told, with so few queries, from vanilla dense on 27 queries" in few
    same = {"q1": 0.3, "q2": 1.0, "k1": 0.5}
    assert "cannot be told" in headline(by_hand({"vanilla": same, "lsb": same}))
    # Of the queries asked; the drawn one does not count.
    values = dict.fromkeys(["q1", "q2", "k1"], 0.1)
    assert "on 2 queries" in headline(by_hand({"vanilla": values, "lsb": values}))


def test_the_headline_speaks_of_the_answers_there_are() -> None:
    nan = math.nan
    partly = repeated({"vanilla": (0.0, nan, 1.0), "lsb": (1.0, 1.0, 1.0)}, "string_present", times=20)
    assert "Its answers: string presence 0.500 → 1.000, +0.500" in headline(partly)
    assert "n = 40." in headline(partly)
    # A judge's view does not stand for the answers.
    for result in partly.arms.values():
        result.values["answer_correctness"] = dict.fromkeys(partly.heaviness, 1.0)
    assert "answer correctness" not in headline(partly)
    for result in partly.arms.values():
        result.values["string_present"] = dict.fromkeys(partly.heaviness, nan)
    assert "Its answers" not in headline(partly)


def test_long_references_are_measured_by_their_entities() -> None:
    found = repeated({"vanilla": (0.0, 1.0), "lsb": (1.0, 1.0)}, "entity_recall", times=20)
    assert "Its answers" not in headline(found)
    for query in found.dataset.queries:
        object.__setattr__(query, "answers", ("one two three four five six seven eight nine ten eleven",))
    assert "Its answers: entity recall 0.500 → 1.000" in headline(found)


def test_the_reader_is_told_what_limits_the_figures(evaluation: Evaluation) -> None:
    said = " ".join(notes(evaluation))
    assert "only 2 queries" in said
    assert "2 queries without a relevant passage were left out" in said
    assert "favour BM25 by construction" in said
    found = repeated({"vanilla": (0.0, math.nan, 1.0), "lsb": (1.0, 1.0, 1.0)}, "faithfulness")
    assert "question: faithfulness of 20 queries only" in " ".join(notes(found))


def test_a_judge_that_judged_nothing_is_said(store: PassageStore) -> None:
    refusing = Answering(refuse=True)
    with chat_server(judgement) as server:
        refused = evaluate(store, OPEN, arms=["lsb"], generator=refusing, judge=Judge("m", server.url))
    assert judge_problem(refused) == ""  # there was nothing to judge
    dead = evaluate(store, DATASET, arms=[], generator=Answering(), judge=Judge("m", server.url, retries=0))
    assert f"The judge m@{server.url} judged nothing: no connection to the judge." in judge_problem(dead)
