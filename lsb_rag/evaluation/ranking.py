"""A ranking as it is judged: no copies, and passages with equal scores tied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..passage import Hit
from ..utils.text import folded
from .corpus import Corpus

Arm = Callable[[Sequence[str], int], list[list[Hit]]]
"""A function from queries and k to the k best passages of each query, best first."""
ROUNDING = 1e-6
"""Scores are equal where they differ by a smaller share of the larger one: vectors are kept in float32."""


@dataclass(frozen=True)
class Ranking:
    """What an arm found for a query.

    :param hits: The k best passages, best first; tied ones in the order of their texts.
    :param ties: Ids of passages with equal scores, best first, each group as one tuple. The last group holds also those
        for which there was no place among the k best.
    """

    hits: list[Hit] = field(default_factory=list)
    ties: list[tuple[str, ...]] = field(default_factory=list)


def rank(arm: Arm, queries: Sequence[str], k: int, corpus: Corpus, *, deeper: bool = True) -> list[Ranking]:
    """Search with `arm` for the `k` best distinct passages of each query, and for all that are tied with the last.

    :param deeper: False asks once, for `k` passages, and does with what comes.
    """
    rankings = [Ranking()] * len(queries)
    depth, open_ = k + deeper, list(range(len(queries)))
    while open_:
        found = arm([queries[place] for place in open_], depth)
        still = []
        for place, hits in zip(open_, found, strict=True):
            groups = tied(corpus.distinct(hits))
            more = deeper and len(hits) >= depth and sum(map(len, groups[:-1])) < k
            if more:
                still.append(place)
            rankings[place] = _cut(groups, k)
        open_, depth = still, depth * 2
    return rankings


def tied(hits: Sequence[Hit]) -> list[list[Hit]]:
    """Return hits in groups of equal scores. Where scores rise with the rank, they are no order, and none are tied."""
    if any(after.score > before.score + _rounding(before) for before, after in pairwise(hits)):
        return [[hit] for hit in hits]
    groups: list[list[Hit]] = []
    for hit in hits:
        if groups and groups[-1][0].score - hit.score <= _rounding(groups[-1][0]):
            groups[-1].append(hit)
        else:
            groups.append([hit])
    return groups


def _cut(groups: Sequence[Sequence[Hit]], k: int) -> Ranking:
    ranking = Ranking()
    for group in groups:
        if len(ranking.hits) >= k:
            break
        ranking.hits.extend(sorted(group, key=_by_text)[: k - len(ranking.hits)])
        ranking.ties.append(tuple(hit.id for hit in group))
    return ranking


def _rounding(hit: Hit) -> float:
    return ROUNDING * abs(hit.score)


def _by_text(hit: Hit) -> tuple[str, str]:
    return folded(hit.text), hit.id
