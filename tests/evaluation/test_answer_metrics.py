from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lsb_rag.evaluation.answer_metrics import (
    answer_in,
    entities,
    entity_recall,
    score_answers,
    squad_exact_match,
    squad_tokens,
    token_f1,
)
from lsb_rag.evaluation.metric_names import STATED
from lsb_rag.evaluation.scores import Sample
from lsb_rag.generation import NO_ANSWER

FOUND = Sample(
    "When was the pump of Linz replaced?",
    ("in 1987", "1987, by Maria Huber"),
    "The pump was replaced by Maria Huber, in 1988.",
    ("pump", "lunch"),
    ("Maria Huber replaced it in 1987.", "Lunch is at noon."),
    ("pump",),
    ("Maria Huber replaced it in 1987.",),
)


def values(sample: Sample) -> dict[str, float]:
    return {name: by_query["q"] for name, by_query in score_answers({"lsb": {"q": sample}})["lsb"].values.items()}


def test_every_metric_worked_out_by_hand() -> None:
    found = values(FOUND)
    assert list(found) == list(STATED)
    # Of 8 words of the answer without its article, "by maria huber" are 3 of the second reference's 4.
    assert found["token_f1"] == pytest.approx(2 * 3 / (8 + 4))
    assert found["squad_exact_match"] == 0
    assert found["entity_recall"] == pytest.approx(2 / 3, abs=1e-9)  # both names, another year
    assert found["answer_in_contexts"] == 1  # the first reference
    assert found["context_entity_recall"] == 1


@pytest.mark.parametrize(
    ("reference", "answer", "f1", "exact"),
    [
        ("The Denver Broncos", "denver broncos.", 1, 1),
        ("Denver Broncos", "It was the Denver Broncos", 2 * 2 / (2 + 4), 0),
        ("a b b", "b b b", 2 * 2 / (2 + 3), 0),  # the article goes, and only two are shared
        ("the", "", 1, 1),  # as in SQuAD: nothing is left of either
        ("the", "pump", 0, 0),
        ("\u201cpump\u201d", "pump", 1, 1),
        ("\u5317\u4eac\u5e02", "\u5317\u4eac", 2 * 2 / (3 + 2), 0),
    ],
)
def test_answers_are_compared_as_in_squad(reference: str, answer: str, f1: float, exact: float) -> None:
    assert token_f1(reference, answer) == pytest.approx(f1)
    assert squad_exact_match(reference, answer) == exact


def test_the_words_of_squad() -> None:
    assert squad_tokens("An  E-4012, the\nLAST (of 3.5)!") == ("e4012", "last", "of", "35")
    assert squad_tokens("Theatre") == ("theatre",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The inlet is blocked.", set()),
        ("Blocked by sand", set()),  # the first word has its capital from its place
        ("Denver Broncos", {"denver", "broncos"}),
        ("University of Notre Dame", {"university", "notre", "dame"}),
        ("It was Dr. Huber's pump. Later Linz sold it.", {"dr", "huber", "linz"}),
        ("1,234 of 5.5 and 12:30", {"1234", "5.5", "12:30"}),
        ("cutoff=0.6", {"cutoff", "0.6"}),
        ("E-4012 needs --force", {"e-4012", "--force"}),
        ("\u57282008\u5e74", {"2008"}),
        ("", set()),
    ],
)
def test_entities(text: str, expected: set[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    ("reference", "answer", "recall"),
    [
        ("port=80", "listen(host, port=80): start", 1),
        ("port=80", "listen(host, port=8080): start", 1 / 2),
        ("5 parts", "about 5,000 parts", 0),
        ("5,000 parts", "about 5000 parts", 1),
        ("E-4012", "E-40120 was seen", 0),
        ("E-4012", "see (e-4012).", 1),
        ("Ann Lee", "Annette Lee", 1 / 2),
        ("in C++", "C++, of course", 1),
    ],
)
def test_entity_recall(reference: str, answer: str, recall: float) -> None:
    assert entity_recall([reference], [answer]) == pytest.approx(recall)


def test_the_best_reference_counts_and_one_without_entities_does_not() -> None:
    assert entity_recall(["the pump", "Linz 1987"], ["It was 1987"]) == 1 / 2
    assert math.isnan(entity_recall(["the pump"], ["the pump"]))
    mixed = replace(FOUND, references=("the pump", "Linz 1987"), answer="It was 1987")
    assert values(mixed)["entity_recall"] == 1 / 2


def test_the_contexts_hold_an_answer_word_for_word() -> None:
    assert answer_in(["The cut-off = 0.6"], ["f(x, cut off=0.6)"]) == 1
    assert answer_in(["pump"], ["pumps", "two-pump house"]) == 1
    assert answer_in(["pump"], ["pumps"]) == 0
    assert answer_in(["inlet is blocked"], ["the inlet", "is blocked"]) == 0  # in one passage
    assert answer_in(["..."], ["..."]) == 0


def test_what_cannot_be_scored_is_said() -> None:
    samples = {
        "failed": replace(FOUND, answer=None),
        "refused": replace(FOUND, answer=NO_ANSWER),
        "open": replace(FOUND, references=()),
        "plain": replace(FOUND, references=("the inlet is blocked",)),
        "nothing": replace(FOUND, contexts=(), context_ids=()),
    }
    found = score_answers({"lsb": samples})["lsb"]
    assert found.reasons["entity_recall"] == {
        "failed": "the generator failed",
        "refused": "the answer is that there is none",
        "open": "the question has no reference answer",
        "plain": "no reference holds a number, a name or an identifier",
    }
    assert all(found.values[name]["refused"] == 0 for name in STATED[:3])
    assert found.values["context_entity_recall"]["refused"] == 1  # the passages were there
    assert found.values["context_entity_recall"]["failed"] == 1
    assert math.isnan(found.values["context_entity_recall"]["plain"])
    assert found.values["answer_in_contexts"]["nothing"] == 0
    assert found.reasons["answer_in_contexts"]["nothing"] == "nothing was retrieved"
    assert score_answers({"lsb": {"open": samples["open"]}})["lsb"].values == {}


def test_arms_that_answer_the_same_score_the_same() -> None:
    steps: list[tuple[int, int]] = []
    found = score_answers({"vanilla": {"q": FOUND}, "lsb": {"q": FOUND}}, lambda *step: steps.append(step))
    assert found["vanilla"] == found["lsb"]
    assert steps == [(1, 2), (2, 2)]
