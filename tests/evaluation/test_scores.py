from __future__ import annotations

import math

from lsb_rag.evaluation.dataset import Query
from lsb_rag.evaluation.scores import Score, Scores, make_sample
from lsb_rag.generation import NO_ANSWER, Answer
from lsb_rag.passage import Hit


def test_the_sample_of_a_query() -> None:
    query = Query("q", "What?", answers=("the inlet\n is blocked", " "))
    hits = [Hit("pump", 1.0, "E-4012\nThe pump stopped.", "E-4012"), Hit("lunch", 0.5, "Lunch")]
    one = make_sample(
        query, hits, Answer("The  inlet [1], or not [1, 2].", ("pump", "lunch")), ["pump", "gone"], {"pump": "P"}
    )
    assert one.references == ("the inlet is blocked",)
    assert one.answer == "The inlet, or not."
    kept = make_sample(query, hits, Answer("[1] sys.argv[0] [7] of [2].", ("pump", "lunch")), [], {})
    assert kept.answer == "sys.argv[0] [7] of."  # what is no citation stays
    assert one.contexts == ("E-4012\nThe pump stopped.", "Lunch")
    assert (one.relevant_ids, one.relevant) == (("pump", "gone"), ("P",))
    assert not one.refused
    assert make_sample(query, [], Answer(NO_ANSWER), [], {}).refused
    assert make_sample(query, [], None, [], {}).answer is None


def test_only_numbers_on_the_scale_are_values() -> None:
    scores = Scores()
    for id, value in (("a", 0.5), ("b", 1.0000000001), ("c", 2.0), ("d", -0.5), ("e", math.nan), ("f", 1 - 1e-10)):
        scores.put("m", id, Score(value))
    assert [id for id, value in scores.values["m"].items() if math.isnan(value)] == ["c", "d", "e"]
    assert scores.values["m"]["f"] == 1  # and no less than another's 1
    assert scores.reasons["m"]["c"] == "the metric gave 2, which is not in [0, 1]"
    assert scores.reasons["m"]["e"] == "the metric gave no value"
