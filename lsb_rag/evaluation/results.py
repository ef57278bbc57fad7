"""What an evaluation found: every arm's hits, answers and values, and its differences to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..generation import Answer
from ..passage import Hit
from .dataset import ALL, Dataset, Query
from .ragas.judge import Usage
from .significance import PairedDifference, holm, paired_difference, randomisation_p

BASELINE = "vanilla"


@dataclass(frozen=True)
class ArmResult:
    """What one arm did.

    :param hits: ``{query id: hits, best first}``.
    :param values: ``{measure: {query id: value}}``.
    :param seconds: How long single searches took, one a timed query.
    :param answers: ``{query id: answer}``, where answers were asked for; None where the generator failed.
    :param reasons: ``{measure: {query id: reason}}``: why a value is missing, or is not the metric's own.
    """

    hits: dict[str, list[Hit]]
    values: dict[str, dict[str, float]]
    seconds: list[float]
    answers: dict[str, Answer | None] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

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
    :param marked: ``{query id: units}``: what a query is recognised by, its units that few passages contain.
    :param contexts: Passages of each arm that the generator was given, and that RAGAS's metrics look at.
    :param generator: Who answered; empty where answers were not asked for.
    :param judge: Who judged; empty where nobody did.
    :param embedding: Whose vectors measured similarity in answers; empty for the collection's backbone.
    :param usage: What the judge took in this run.
    :param absent: Relevant passages that the collection does not hold.
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

    @cached_property
    def asked(self) -> list[Query]:
        """The queries that were asked; where all were drawn, those."""
        return [query for query in self.dataset.queries if not query.drawn] or list(self.dataset.queries)

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
                differences = {m: self.difference(arm, m, queries) for m in self.arms[arm].values}
                # A measure that no query has a value for is no comparison, and costs the others nothing.
                compared = [measure for measure, d in differences.items() if d.n]
                p = [randomisation_p(*self._pair(arm, measure, queries), seed=self.seed) for measure in compared]
                corrected = dict(zip(compared, holm(p), strict=True))
                found += [
                    Comparison(arm, kind, measure, d, corrected.get(measure, float("nan")))
                    for measure, d in differences.items()
                ]
        return found

    def _pair(self, arm: str, measure: str, queries: Sequence[Query]) -> tuple[dict[str, float], dict[str, float]]:
        ids = [query.id for query in queries]
        both = (self.arms[name].values[measure] for name in (arm, BASELINE))
        ours, theirs = ({id: values[id] for id in ids} for values in both)
        return ours, theirs
