from __future__ import annotations

from lsb_rag.evaluation.metric_names import JUDGED, LABELS, OFFLINE, RETRIEVAL, STATED, groups, label


def test_a_group_shows_the_measures_there_are_with_a_leading_one() -> None:
    (whole,) = groups(RETRIEVAL)
    assert whole == ("Retrieval", list(RETRIEVAL), "mrr@10")
    retrieval, judged = groups(["faithfulness", "ndcg@10", "answer_relevancy"])
    assert retrieval[1:] == (["ndcg@10"], "ndcg@10")
    assert judged[1:] == (["faithfulness", "answer_relevancy"], "faithfulness")  # the usual one was not measured
    assert groups([]) == []


def test_labels() -> None:
    assert (label("ndcg@10"), label("hit@1")) == ("nDCG@10", "hit@1")
    assert set(LABELS) < {*RETRIEVAL, *OFFLINE, *STATED, *JUDGED}
