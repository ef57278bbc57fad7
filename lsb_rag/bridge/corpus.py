"""The corpus-fitted bridge, solved in closed form from a collection's statistics.

The corpus-fitted bridge, the signed product and the residual are this project's own. The product and the bridge in
:mod:`lsb_rag.bridge.learned` are the paper's (arXiv 2508.17858). ``docs/how-it-works.md`` tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidInputError
from ..lexical.analyzer import UnitKind
from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.information import information
from ..statistics.base import Statistics
from ..utils.arguments import checked
from .adaptation import Adaptation
from .base import Bridge, Vector
from .inverse import Inverse
from .unit_means import unit_means

if TYPE_CHECKING:
    from .learned import LearnedBridge
    from .weighting import Learned

RIDGE = 1.0
"""Regularisation of the covariance, as a share of its mean eigenvalue."""

ROUNDING = 1e-13
"""Length, by the sum of the weights, up to which a sum of differences of means is nothing but rounding."""


@checked
class CorpusBridge:
    """The bridge solved in closed form from what a collection stores; no training, no labels.

    For a unit t, the direction that separates passages with t from those without is the regularised discriminant
    ``W_t = (Sigma + ridge I)^-1 (mean of the passages with t - mean of all)``. In the mean of the passages with t,
    those that hold more of the query count more, see :func:`lsb_rag.bridge.unit_means.unit_means`. A query's direction
    is ``spread * share * normalise(sum_t w_t i_t W_t)``, where i_t is the unit's information, see
    :func:`lsb_rag.lexical.information.information`. The share is the largest share of the query's information that one
    passage holds: a query whose words do not occur together is modulated less. W itself is never stored.

    :param statistics: The collection's statistics. After a change to them the bridge is solved again automatically.
    :param ridge: Regularisation as a share of the mean eigenvalue of Sigma.
    :param units: What the statistics count, ``words`` or ``wordpieces``, to be compared with an encoder's units; None
        where that is not known.
    :param background: How common words are in any text. An encoder gives its own to a bridge over words without one.
    :param adaptation: Weights of words and a strength, learned on the collection. Without it, words are weighted alike.
    :param spread: How far apart the model's vectors of unrelated texts lie, see
        :func:`lsb_rag.backbones.spread.spread_of`. An encoder gives its own to a bridge without one; None counts as 1.
    :param fingerprint: Fingerprint, as JSON, of the backbone whose vectors the statistics count; an encoder over
        another one refuses the bridge. None where it is not known.
    :raises InvalidInputError: When `ridge` is not positive.
    """

    def __init__(
        self,
        statistics: Statistics,
        ridge: float = RIDGE,
        *,
        units: UnitKind | None = None,
        background: BackgroundFrequency | None = None,
        adaptation: Adaptation | None = None,
        spread: float | None = None,
        fingerprint: str | None = None,
    ) -> None:
        if not ridge > 0:
            raise InvalidInputError(f"ridge must be positive, not {ridge}.")
        self.statistics = statistics
        self.ridge = ridge
        self.units = units
        self.background = background
        self.adaptation = adaptation
        self.spread = spread
        self.fingerprint = fingerprint
        self.refit()

    @property
    def dimension(self) -> int:
        """Width d of the passage vectors."""
        return self.statistics.dimension

    def refit(self) -> None:
        """Solve for the statistics as they are now."""
        self._version = self.statistics.version
        covariance = self.statistics.covariance
        scale = float(np.trace(covariance)) / self.dimension
        self._mean = self.statistics.mean
        # Fewer than two different passages tell no direction from another.
        usable = self.statistics.n_passages > 1 and scale > 1e-12
        self._inverse = Inverse(covariance, self.ridge, scale if usable else 0.0)

    def direction(self, weights: Mapping[str, float]) -> Vector | None:
        """See :class:`Bridge`. Units that no passage contains point nowhere; codes among them lower the share."""
        _, rows, length, inverse = self._parts(weights)
        c = inverse.times(rows.sum(axis=0))
        norm = float(np.linalg.norm(c))
        return length / norm * c if norm > 1e-12 else None

    def contributions(self, weights: Mapping[str, float]) -> dict[str, Vector]:
        """Return what each unit adds to :meth:`direction`; the vectors, shape ``[d]``, sum up to it."""
        units, rows, length, inverse = self._parts(weights)
        c = inverse.times_each(rows)
        norm = float(np.linalg.norm(c.sum(axis=0)))
        return dict(zip(units, length / norm * c, strict=True)) if norm > 1e-12 else {}

    def information(self, units: Iterable[str]) -> dict[str, float]:
        """Return the information of each unit of one query, see :func:`lsb_rag.lexical.information.information`."""
        distinct = list(dict.fromkeys(units))
        with self.statistics.at_once():
            df = self.statistics.look_up(distinct)
            n_passages = self.statistics.n_passages
        return information(distinct, df, n_passages, self.background)

    def _parts(self, weights: Mapping[str, float]) -> tuple[list[str], Vector, float, Inverse]:
        """Return units, their weighted differences of means, ``[len(units), d]``, length of c and inverse."""
        with self.statistics.at_once():  # somebody else may be adding passages
            if self._version != self.statistics.version:
                self.refit()
            worth = {unit: value for unit, value in self.information(list(weights)).items() if value}
            weighted = {unit: weights[unit] * value for unit, value in worth.items()}
            # Words are the query's own, so all of them tell which passages are meant, whatever their weight. Pieces may
            # be any of the vocabulary.
            if self.units != "words":
                worth = {unit: value / max(weights.values()) for unit, value in weighted.items() if value}
            means = unit_means(self.statistics, worth)
            inverse, mean = self._inverse, self._mean
        scale = np.array([weighted[unit] for unit in means.units])
        rows = scale[:, None] * (means.means - mean)
        if np.linalg.norm(rows.sum(axis=0)) <= ROUNDING * np.abs(scale).sum():
            rows = np.zeros_like(rows)  # units of all passages, or that cancel out; noise would get full length
        return means.units, rows, means.share * (1.0 if self.spread is None else self.spread), inverse


def adaptation_of(bridge: Bridge | LearnedBridge | None) -> Adaptation | None:
    """Return what was learned for the collection that `bridge` is fitted on, or None."""
    return bridge.adaptation if isinstance(bridge, CorpusBridge) else None


def head_of(bridge: Bridge | LearnedBridge | None) -> Learned | None:
    """Return the weighting of words that was learned for the collection of `bridge`, or None."""
    adaptation = adaptation_of(bridge)
    return adaptation.head if adaptation else None


def strength_with(bridge: Bridge | LearnedBridge | None, own: float) -> float:
    """Return the default strength: the one learned for the collection, else the encoder's `own`."""
    adaptation = adaptation_of(bridge)
    return adaptation.strength if adaptation else own
