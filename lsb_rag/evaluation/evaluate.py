"""Arms side by side on judged queries: what each found, how good it was, how sure a difference is, how long it took."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import InvalidInputError
from ..passage import Hit
from ..records import checked_k
from ..store import PassageStore
from .arms import ARMS, Arm, build_arms
from .dataset import Dataset, Query
from .keyword_heaviness import keyword_heaviness
from .metrics import MEASURES, metrics_library, per_query
from .significance import PairedDifference, holm, paired_difference, randomisation_p

logger = logging.getLogger(__name__)

BASELINE = "vanilla"
DEPTH = 10
TIMED = 50
"""Queries whose single searches are timed."""
ALL = "all"
"""The kind that stands for the queries of every kind together."""


@dataclass(frozen=True)
class ArmResult:
    """What one arm did.

    :param hits: ``{query id: hits, best first}``.
    :param values: ``{measure: {query id: value}}``.
    :param seconds: How long single searches took, one a timed query.
    """

    hits: dict[str, list[Hit]]
    values: dict[str, dict[str, float]]
    seconds: list[float]

    def latency_ms(self, percentile: float) -> float:
        """A percentile of the single searches, in milliseconds; NaN where none was timed."""
        return float(np.percentile(self.seconds, percentile) * 1000) if self.seconds else float("nan")


@dataclass(frozen=True)
class Comparison:
    """One arm against the baseline, on one measure and the queries of one kind.

    :param p: Two-sided p-value of the paired randomisation test, by Holm's method for the measures compared.
    """

    arm: str
    kind: str
    measure: str
    difference: PairedDifference
    p: float


@dataclass(frozen=True)
class Evaluation:
    """All arms on all queries of a dataset.

    :param dataset: The queries and judgements.
    :param n_passages: Passages searched.
    :param k: Passages retrieved for each query.
    :param arms: ``{arm: what it did}``.
    :param heaviness: ``{query id: keyword-heaviness}``, see :func:`~lsb_rag.evaluation.keyword_heaviness`.
    :param seed: Of intervals and p-values.
    """

    dataset: Dataset
    n_passages: int
    k: int
    arms: dict[str, ArmResult]
    heaviness: dict[str, float]
    seed: int = 0

    @cached_property
    def kinds(self) -> dict[str, list[Query]]:
        """The queries by kind, in order of appearance; with several kinds also all of them together."""
        queries = self.dataset.queries
        by_kind = {
            kind: [query for query in queries if query.kind == kind]
            for kind in dict.fromkeys(query.kind for query in queries)
        }
        return {**by_kind, ALL: list(queries)} if len(by_kind) > 1 else by_kind

    def mean(self, arm: str, measure: str, queries: Sequence[Query]) -> float:
        """The mean of a measure over `queries`; a query without a value (NaN) is left out."""
        values = [self.arms[arm].values[measure][query.id] for query in queries]
        return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")

    def difference(self, arm: str, measure: str, queries: Sequence[Query]) -> PairedDifference:
        """`arm` minus the baseline."""
        return paired_difference(*self._pair(arm, measure, queries), seed=self.seed)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every arm against the baseline, on every measure and kind."""
        found = []
        for arm in self.arms:
            for kind, queries in self.kinds.items() if arm != BASELINE else ():
                pairs = {m: self._pair(arm, m, queries) for m in self.arms[arm].values}
                p = holm([randomisation_p(*pair, seed=self.seed) for pair in pairs.values()])
                found += [
                    Comparison(arm, kind, measure, paired_difference(*pair, seed=self.seed), one)
                    for (measure, pair), one in zip(pairs.items(), p, strict=True)
                ]
        return found

    def _pair(self, arm: str, measure: str, queries: Sequence[Query]) -> tuple[dict[str, float], dict[str, float]]:
        ids = [query.id for query in queries]
        both = (self.arms[name].values[measure] for name in (arm, BASELINE))
        ours, theirs = ({id: values[id] for id in ids} for values in both)
        return ours, theirs


def evaluate(
    store: PassageStore,
    dataset: Dataset,
    *,
    arms: Sequence[str] = tuple(ARMS),
    k: int = DEPTH,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Run `arms` on the queries of `dataset` over the passages of `store`.

    :param arms: Names from :data:`~lsb_rag.evaluation.arms.ALL_ARMS`; ``vanilla``, the baseline, is always run.
    :param k: Passages to retrieve for each query; the measures look at 10 of them at most.
    :param seed: Of intervals and p-values.
    :param progress: Called with the name of each arm before it runs.
    :raises InvalidInputError: For an arm that is not known, or when the collection holds no judged passage.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    k = checked_k(k)
    metrics_library()
    names = list(dict.fromkeys([BASELINE, *arms]))
    _check_judged(store, dataset)
    built = build_arms(store, names)
    results = {}
    for name, arm in built.items():
        if progress:
            progress(name)
        results[name] = _run(arm, dataset, k)
    statistics, analyze = store.bridge.statistics, store.encoder.analyze
    heaviness = {query.id: keyword_heaviness(query.text, statistics, analyze) for query in dataset.queries}
    return Evaluation(dataset, len(store), k, results, heaviness, seed)


def _run(arm: Arm, dataset: Dataset, k: int) -> ArmResult:
    texts = [query.text for query in dataset.queries]
    found = {query.id: hits for query, hits in zip(dataset.queries, arm(texts, k), strict=True)}
    seconds = []
    for text in texts[:TIMED]:
        start = time.perf_counter()
        arm([text], k)
        seconds.append(time.perf_counter() - start)
    values = per_query(dataset.qrels, {id: [hit.id for hit in hits] for id, hits in found.items()}, MEASURES)
    return ArmResult(found, values, seconds)


def _check_judged(store: PassageStore, dataset: Dataset) -> None:
    judged = {id for judgements in dataset.qrels.values() for id, score in judgements.items() if score > 0}
    missing = judged - set(store.ids())
    if missing == judged:
        raise InvalidInputError(
            f"None of the {len(judged)} relevant passages of {dataset.name} is in the collection {store.name!r}; the "
            "ids of the judgements must be those of the passages."
        )
    if missing:
        logger.warning("%d of %d relevant passages are not in the collection.", len(missing), len(judged))
