"""Computation of the retrieval metrics, per query."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidInputError, MissingExtraError
from ..utils.arguments import Positive, checked, shown
from .baselines import Ids
from .dataset import Qrels
from .metric_names import RETRIEVAL

MEASURES = RETRIEVAL
"""Names of the retrieval metrics, in the order in which they are reported."""
DEPTH = 10
"""Number of passages that the measures of a ranking look at."""


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
    qrels: Qrels,
    rankings: Mapping[str, Ids],
    measures: Sequence[str] = MEASURES,
    depth: Positive = DEPTH,
) -> dict[str, dict[str, float]]:
    """Return every measure of every judged query, by ir-measures. A query without a ranking scores 0.

    Where passages are tied, a measure is its expected value over all their orders (McSherry and Najork, 2008).

    :param qrels: ``{query id: {passage id: relevance}}``.
    :param rankings: ``{query id: [passage id, …]}``, best first. A tuple of ids stands for passages with equal scores.
    :param measures: Names from :data:`MEASURES`.
    :param depth: Number of passages that a ranking is cut to, 10 at most.
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
    judged = {query: dict(judgements) for query, judgements in qrels.items()}
    values = {measure: dict.fromkeys(judged, 0.0) for measure in measures}
    run, tied = {}, {}
    for query, ranking in rankings.items():
        groups = [(one,) if isinstance(one, str) else one for one in ranking]
        gains = [[max(0, judged.get(query, {}).get(id, 0)) for id in group] for group in groups]
        if any(len(set(group)) > 1 for group in gains):
            tied[query] = gains
        else:
            # Scores fall with the rank, so no tie is left to the metric's own rule.
            ids = [id for group in groups for id in group][:depth]
            run[query] = {id: 1.0 / rank for rank, id in enumerate(ids, start=1)}
    for metric in ir_measures.iter_calc(list(names), judged, run):
        values[names[metric.measure]][metric.query_id] = float(metric.value)
    for query, gains in tied.items():
        for measure in measures:
            values[measure][query] = _expected(measure, gains, list(judged[query].values()), min(depth, DEPTH))
    return values


def _expected(measure: str, groups: Sequence[Sequence[int]], judged: Sequence[int], depth: int) -> float:
    """Return the expected value of a measure over all orders of tied passages.

    :param groups: Relevance of the passages found, those that are tied in one group, best first.
    :param judged: Relevance of all judged passages.
    """
    if measure == "mrr@10":
        return _expected_reciprocal_rank(groups, depth)
    if measure.startswith("hit@"):
        return _probability_of_a_hit(groups, min(depth, int(measure.removeprefix("hit@"))))
    if measure == "recall@10":
        relevant = [[int(score > 0) for score in group] for group in groups]
        return _expected_gain(relevant, [1.0] * depth) / sum(score > 0 for score in judged)
    discounts = [1 / math.log2(rank + 1) for rank in range(1, DEPTH + 1)]
    ideal = sorted((score for score in judged if score > 0), reverse=True)
    return _expected_gain(groups, discounts[:depth]) / math.fsum(map(operator.mul, ideal, discounts))


def _expected_gain(groups: Sequence[Sequence[int]], discounts: Sequence[float]) -> float:
    gain, place = 0.0, 0
    for group in groups:
        gain += sum(discounts[place : place + len(group)]) * sum(group) / len(group)
        place += len(group)
    return gain


def _expected_reciprocal_rank(groups: Sequence[Sequence[int]], depth: int) -> float:
    place = 0
    for group in groups:
        size, relevant = len(group), sum(score > 0 for score in group)
        if relevant:
            # That the first relevant one of the group has a place means that all others come behind it.
            chances = [math.comb(size - 1 - i, relevant - 1) / math.comb(size, relevant) for i in range(size)]
            return sum(chance / (place + i + 1) for i, chance in enumerate(chances) if place + i < depth)
        place += size
    return 0.0


def _probability_of_a_hit(groups: Sequence[Sequence[int]], cut: int) -> float:
    none, place = 1.0, 0
    for group in groups:
        size, relevant = len(group), sum(score > 0 for score in group)
        within = min(size, max(0, cut - place))
        none *= math.comb(size - relevant, within) / math.comb(size, within)
        place += size
    return 1.0 - none
