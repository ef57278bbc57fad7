"""Computation of the retrieval metrics, per query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInputError, MissingExtraError
from ..utils.arguments import checked, shown
from .dataset import Qrels
from .metric_names import RETRIEVAL

MEASURES = RETRIEVAL
"""Names of the retrieval metrics, in the order in which they are reported."""


def metrics_library() -> Any:
    """Return the module ``ir_measures``.

    Call it before a long run, so that a missing extra is noticed at the start.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("Metrics need ir-measures. Install it with `pip install 'lsb-rag[eval]'`.") from error
    return ir_measures


@checked
def per_query(
    qrels: Qrels, rankings: Mapping[str, Sequence[str]], measures: Sequence[str] = MEASURES
) -> dict[str, dict[str, float]]:
    """Return every measure of every judged query, by ir-measures. A query without a ranking scores 0.

    :param qrels: ``{query id: {passage id: relevance}}``.
    :param rankings: ``{query id: [passage id, …]}``, best first.
    :param measures: Names from :data:`MEASURES`.
    :return: ``{measure: {query id: value}}``.
    :raises InvalidInputError: For a measure that is not known.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    ir_measures = metrics_library()
    named = {
        "hit@1": ir_measures.Success @ 1,
        "hit@5": ir_measures.Success @ 5,
        "mrr@10": ir_measures.RR @ 10,
        "ndcg@10": ir_measures.nDCG @ 10,
        "recall@10": ir_measures.R @ 10,
    }
    if not measures or not set(measures) <= set(named):
        raise InvalidInputError(f"Choose some of the measures {', '.join(named)}; not {shown(list(measures))}.")
    names = {named[measure]: measure for measure in measures}
    # Scores fall with the rank, so no tie is left to the metric's own rule.
    run = {
        query: {passage: 1.0 / rank for rank, passage in enumerate(ranking, start=1)}
        for query, ranking in rankings.items()
    }
    judged = {query: dict(judgements) for query, judgements in qrels.items()}
    values = {measure: dict.fromkeys(judged, 0.0) for measure in measures}
    for metric in ir_measures.iter_calc(list(names), judged, run):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values
