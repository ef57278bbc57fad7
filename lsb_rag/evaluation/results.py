"""Results of an evaluation: hits, answers and values of every arm, and its differences to the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated

import numpy as np

from ..errors import InvalidInputError
from ..generation import Answer
from ..passage import Hit
from ..utils.arguments import Between, checked
from ..utils.text import folded, without_controls
from .arms import ALL_ARMS
from .conversation import Standalone
from .dataset import ALL, Dataset, Query
from .ragas.judge import Usage
from .significance import PairedDifference, holm, paired_difference, randomisation_p

BASELINE = "vanilla"


@dataclass(frozen=True)
class ArmResult:
    """Results of one arm.

    :param hits: ``{query id: hits, best first}``.
    :param values: ``{measure: {query id: value}}``.
    :param seconds: Durations of single searches, one per timed query.
    :param answers: ``{query id: answer}``, None where the generator failed. Empty if no answers were asked for.
    :param reasons: ``{measure: {query id: reason}}``: why a value is missing or is not the metric's own.
    :param notes: What a reader has to know of it.
    """

    hits: dict[str, list[Hit]]
    values: dict[str, dict[str, float]]
    seconds: list[float]
    answers: dict[str, Answer | None] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @checked
    def latency_ms(self, percentile: Annotated[float, Between(0, 100)]) -> float:
        """Return a percentile of the single searches in milliseconds, or NaN if none was timed."""
        if not self.seconds:
            return float("nan")
        return float(np.percentile(self.seconds, percentile) * 1000)


@dataclass(frozen=True)
class Comparison:
    """Comparison of one arm with the baseline, on one measure and the queries of one kind.

    :param p: Two-sided p-value of the paired randomisation test, corrected by Holm's method over the measures compared.
    """

    arm: str
    kind: str
    measure: str
    difference: PairedDifference
    p: float


@dataclass(frozen=True)
class Evaluation:
    """Results of all arms on all queries of a dataset.

    :param dataset: The distinct questions and their judgements.
    :param n_passages: Number of passages searched.
    :param k: Number of passages retrieved for each query.
    :param arms: ``{arm: results}``.
    :param heaviness: ``{query id: keyword-heaviness}``, see :func:`~lsb_rag.evaluation.keyword_heaviness`.
    :param seed: Seed of intervals and p-values.
    :param marked: ``{query id: units}``: the units of a query that few passages contain, which reports mark.
    :param contexts: Number of passages of each arm that the generator was given and that RAGAS's metrics look at.
    :param generator: Name of the generator; empty if no answers were asked for.
    :param judge: Name of the judge; empty without one.
    :param embedding: Backbone that measured the similarity of answers; empty for the collection's own.
    :param usage: Requests and tokens of the judge in this run.
    :param absent: Number of relevant passages that the collection does not hold.
    :param standalone: What was searched for in place of questions that continue a conversation.
    :param copies: Number of passages that are copies of others; each text counts once in every ranking.
    """

    dataset: Dataset
    n_passages: int
    k: int
    arms: dict[str, ArmResult]
    heaviness: dict[str, float]
    seed: int = 0
    marked: dict[str, frozenset[str]] = field(default_factory=dict)
    contexts: int = 0
    generator: str = ""
    judge: str = ""
    embedding: str = ""
    usage: Usage = field(default_factory=Usage)
    absent: int = 0
    copies: int = 0
    standalone: Standalone = field(default_factory=lambda: Standalone({}, alone=False))

    @cached_property
    def labels(self) -> dict[str, str]:
        """The names of the arms in reports."""
        return {arm: ALL_ARMS.get(arm, without_controls(arm)) for arm in self.arms}

    @cached_property
    def asked(self) -> list[Query]:
        """The questions that people asked, or all queries if every one was drawn."""
        return self._each_once([query for query in self.dataset.queries if not query.drawn] or self.dataset.queries)

    @cached_property
    def kinds(self) -> dict[str, list[Query]]:
        """The queries by kind, in order of appearance. With several kinds, also all of them together."""
        queries = self.dataset.queries
        by_kind = {
            kind: [query for query in queries if query.kind == kind]
            for kind in dict.fromkeys(query.kind for query in queries)
        }
        return {**by_kind, ALL: self._each_once(queries)} if len(by_kind) > 1 else by_kind

    @checked
    def mean(self, arm: str, measure: str, queries: Sequence[Query]) -> float:
        """Return the mean of a measure over `queries`, leaving out queries without a value (NaN).

        :raises InvalidInputError: For an arm, a measure or a query that was not evaluated.
        """
        values = list(self._values(arm, measure, queries).values())
        if np.isnan(values).all():
            return float("nan")
        return float(np.nanmean(values))

    @checked
    def difference(self, arm: str, measure: str, queries: Sequence[Query], against: str = BASELINE) -> PairedDifference:
        """Return the paired difference of `arm` minus the baseline, or minus another arm.

        :raises InvalidInputError: As :meth:`mean`.
        """
        ours, others = self._values(arm, measure, queries), self._values(against, measure, queries)
        return paired_difference(ours, others, seed=self.seed)

    @checked
    def ranked(self, measure: str, queries: Sequence[Query]) -> list[str]:
        """Return the arms by falling mean of a measure; equal ones in their order."""
        means = {arm: self.mean(arm, measure, queries) for arm in self.arms}
        return sorted(means, key=lambda arm: math.inf if math.isnan(means[arm]) else -means[arm])

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The comparisons of every arm with the baseline, on every measure and kind."""
        found = []
        for arm in self.arms:
            if arm == BASELINE:
                continue
            for kind, queries in self.kinds.items():
                found += self._comparisons_of(arm, kind, queries)
        return found

    def compare(self) -> list[Comparison]:
        """Compute the comparisons now, rather than on first use, and return them."""
        return self.comparisons

    def _comparisons_of(self, arm: str, kind: str, queries: Sequence[Query]) -> list[Comparison]:
        differences = {measure: self.difference(arm, measure, queries) for measure in self.arms[arm].values}
        # A measure without any value is no comparison, and must not weaken the others by Holm's method.
        compared = [measure for measure, difference in differences.items() if difference.n]
        corrected = dict(zip(compared, holm([self._p(arm, measure, queries) for measure in compared]), strict=True))
        return [
            Comparison(arm, kind, measure, difference, corrected.get(measure, float("nan")))
            for measure, difference in differences.items()
        ]

    def _p(self, arm: str, measure: str, queries: Sequence[Query]) -> float:
        ours, baseline = self._values(arm, measure, queries), self._values(BASELINE, measure, queries)
        return randomisation_p(ours, baseline, seed=self.seed)

    def _values(self, arm: str, measure: str, queries: Sequence[Query]) -> dict[str, float]:
        try:
            values = self.arms[arm].values[measure]
            return {query.id: values[query.id] for query in queries}
        except KeyError as error:
            raise InvalidInputError(f"There is no {error} in the evaluation; see its arms and their values.") from error

    def _each_once(self, queries: Sequence[Query]) -> list[Query]:
        """Return queries without those that ask the same as one before, under another kind."""
        first: dict[str, Query] = {}
        for query in queries:
            text = self.standalone.texts.get(query.id, query.text)
            first.setdefault(folded(text.casefold()), query)
        return list(first.values())
