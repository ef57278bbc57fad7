"""Retrieval metrics per query, and the paired difference of two arms with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInputError, MissingExtraError

MEASURES = ("hit@1", "hit@5", "mrr@10", "ndcg@10", "recall@10")
RESAMPLES = 10_000

Qrels = Mapping[str, Mapping[str, int]]


def per_query(
    qrels: Qrels, rankings: Mapping[str, Sequence[str]], measures: Sequence[str] = MEASURES
) -> dict[str, dict[str, float]]:
    """Every measure for every judged query, by ir-measures; a query without a ranking scores 0.

    :param qrels: ``{query id: {passage id: relevance}}``.
    :param rankings: ``{query id: [passage id, …]}``, best first.
    :param measures: Names from :data:`MEASURES`.
    :return: ``{measure: {query id: value}}``.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("Metrics need ir-measures. Install it with `pip install 'lsb-rag[eval]'`.") from error
    named = {
        "hit@1": ir_measures.Success @ 1,
        "hit@5": ir_measures.Success @ 5,
        "mrr@10": ir_measures.RR @ 10,
        "ndcg@10": ir_measures.nDCG @ 10,
        "recall@10": ir_measures.R @ 10,
    }
    names = {named[measure]: measure for measure in measures}
    # Scores that fall with the rank, so that no tie is left to the metric's own rule.
    run = {
        query: {passage: 1.0 / rank for rank, passage in enumerate(ranking, start=1)}
        for query, ranking in rankings.items()
    }
    judged = {query: dict(judgements) for query, judgements in qrels.items()}
    values = {measure: dict.fromkeys(judged, 0.0) for measure in measures}
    for metric in ir_measures.iter_calc(list(names), judged, run):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    return values


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of two arms over the same queries.

    :param delta: Mean of arm minus baseline.
    :param low: Lower end of the 95 % interval.
    :param high: Upper end.
    :param n: Number of queries.
    """

    delta: float
    low: float
    high: float
    n: int


def paired_difference(
    arm: Mapping[str, float], baseline: Mapping[str, float], *, seed: int = 0, resamples: int = RESAMPLES
) -> PairedDifference:
    """The mean of ``arm - baseline`` by query, with its 95 % percentile bootstrap interval over queries.

    :raises InvalidInputError: When the two are not over the same queries, or over none.
    """
    if not arm or arm.keys() != baseline.keys():
        raise InvalidInputError("A paired difference needs two arms over the same queries, and at least one query.")
    differences = np.array([arm[query] - baseline[query] for query in arm])
    delta = float(differences.mean())
    if np.ptp(differences) == 0:  # nothing to resample
        return PairedDifference(delta, delta, delta, len(differences))
    from scipy.stats import bootstrap

    interval = bootstrap(
        (differences,), np.mean, n_resamples=resamples, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return PairedDifference(delta, float(interval.low), float(interval.high), len(differences))
