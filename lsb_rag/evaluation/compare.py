"""Arms side by side on judged queries: means by kind, and each arm's paired difference to the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..store import PassageStore
from .arms import ARMS, build_arms
from .metrics import MEASURES, PairedDifference, Qrels, paired_difference, per_query

BASELINE = "vanilla"
DEPTH = 10


@dataclass(frozen=True)
class Query:
    """A judged query.

    :param id: Its id in the qrels.
    :param text: What is asked.
    :param kind: What sort of query it is; results are given by kind.
    """

    id: str
    text: str
    kind: str


@dataclass(frozen=True)
class Comparison:
    """All arms on the queries of one kind.

    :param kind: The kind.
    :param n: Number of queries.
    :param means: ``{arm: {measure: mean}}``.
    :param differences: ``{arm: {measure: paired difference to the baseline}}``, for every other arm.
    """

    kind: str
    n: int
    means: dict[str, dict[str, float]]
    differences: dict[str, dict[str, PairedDifference]]


def compare(
    store: PassageStore,
    queries: Sequence[Query],
    qrels: Qrels,
    *,
    arms: Sequence[str] = tuple(ARMS),
    progress: Callable[[str], None] | None = None,
) -> list[Comparison]:
    """Run `arms` on `queries` over the passages of `store`; one comparison a kind, in order of appearance.

    :param qrels: ``{query id: {passage id: relevance}}``, for every query.
    :param arms: Names from :data:`~lsb_rag.evaluation.arms.ARMS`; ``vanilla``, the baseline, is always run.
    :param progress: Called with the name of each arm before it runs.
    """
    values: dict[str, dict[str, dict[str, float]]] = {}
    for name, arm in build_arms(store, list(dict.fromkeys([BASELINE, *arms]))).items():
        if progress:
            progress(name)
        rankings = arm([query.text for query in queries], DEPTH)
        ranked = {query.id: ranking for query, ranking in zip(queries, rankings, strict=True)}
        values[name] = per_query({query.id: qrels[query.id] for query in queries}, ranked)
    return [
        _of_kind(kind, [query.id for query in queries if query.kind == kind], values)
        for kind in dict.fromkeys(query.kind for query in queries)
    ]


def _of_kind(kind: str, ids: Sequence[str], values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Comparison:
    def of(arm: str, measure: str) -> dict[str, float]:
        return {id: values[arm][measure][id] for id in ids}

    means = {arm: {m: sum(of(arm, m).values()) / len(ids) for m in MEASURES} for arm in values}
    differences = {
        arm: {m: paired_difference(of(arm, m), of(BASELINE, m)) for m in MEASURES} for arm in values if arm != BASELINE
    }
    return Comparison(kind, len(ids), means, differences)
