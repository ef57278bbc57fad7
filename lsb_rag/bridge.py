"""From lexical weights to a query vector: the bridge's direction and the fusions with the backbone's embedding.

The corpus-fitted bridge, the signed product and the residual are this project's; see ``docs/how-it-works.md`` for
what is the paper's (arXiv 2508.17858) and what is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from .corpus_statistics import CorpusStatistics
from .errors import InvalidInputError

Fusion = Literal["residual", "signed_product"]
Vector = NDArray[np.float64]

DEFAULT_STRENGTH: Mapping[str, float] = {"residual": 0.6, "signed_product": 10.0}
"""Strength by fusion where none is given: alpha of the residual, beta of the signed product."""

RIDGE = 0.15
"""Regularisation of the covariance, as a share of its mean eigenvalue."""


class Bridge(Protocol):
    """What maps lexical weights into the space of the vectors."""

    @property
    def dimension(self) -> int:
        """Width d of its directions."""
        ...

    def direction(self, weights: Mapping[str, float]) -> Vector | None:
        """The unit vector that `weights` point to, shape ``[d]``, or None where they point nowhere."""
        ...


class CorpusBridge:
    """The bridge solved in closed form from what a collection stores; no training, no labels.

    For a unit t the direction that separates passages with t from those without is the regularised discriminant
    ``W_t = (Sigma + ridge I)^-1 (mean of the passages with t - mean of all)``. A query's direction is
    ``normalise(sum_t w_t idf_t W_t)``; it takes one matrix-vector product, so W itself is never stored.

    :param statistics: The collection's statistics. Later changes to them are seen after :meth:`refit`.
    :param ridge: Regularisation as a share of the mean eigenvalue of Sigma.
    """

    def __init__(self, statistics: CorpusStatistics, ridge: float = RIDGE) -> None:
        if not ridge > 0:
            raise InvalidInputError(f"ridge must be positive, not {ridge}.")
        self.statistics = statistics
        self.ridge = ridge
        self.refit()

    @property
    def dimension(self) -> int:
        """Width d of the passage vectors."""
        return self.statistics.dimension

    def refit(self) -> None:
        """Solve again after the statistics have changed."""
        covariance = self.statistics.covariance
        scale = float(np.trace(covariance)) / self.dimension
        self._mean = self.statistics.mean
        # Fewer than two different passages tell no direction from another.
        usable = self.statistics.n_passages > 1 and scale > 1e-12
        self._inverse = np.linalg.inv(covariance + self.ridge * scale * np.eye(self.dimension)) if usable else None

    def direction(self, weights: Mapping[str, float]) -> Vector | None:
        """See :class:`Bridge`. Units that no passage contains count nothing."""
        units = [unit for unit, weight in weights.items() if weight and self.statistics.df(unit)]
        if not units or self._inverse is None:
            return None
        weighted = np.array([weights[unit] * self.statistics.idf(unit) for unit in units])
        df = np.array([self.statistics.df(unit) for unit in units])
        signature = (weighted / df) @ self.statistics.unit_sums(units) - weighted.sum() * self._mean
        return _normalised(self._inverse @ signature)


def fuse(query_vector: Vector, direction: Vector | None, fusion: Fusion, strength: float) -> Vector:
    """The modulated query vector, of length 1.

    - ``residual``: ``normalise(e + strength * c)``
    - ``signed_product``: ``normalise(e * softmax(strength * c * sign(e)))``. As in the paper's product all factors
      are positive, so no component changes its sign; the ``sign`` is ours.

    :param query_vector: e, the backbone's embedding of the query, of length 1, shape ``[d]``.
    :param direction: c, of length 1, shape ``[d]``; None leaves e as it is.
    :param strength: alpha or beta; 0 leaves e as it is, exactly.
    """
    if direction is None or strength == 0:
        return query_vector
    if fusion == "residual":
        fused = query_vector + strength * direction
    else:
        logits = strength * direction * np.sign(query_vector)
        fused = query_vector * np.exp(logits - logits.max())
    normalised = _normalised(fused)
    return query_vector if normalised is None else normalised


def checked_fusion(fusion: Fusion, strength: float | None) -> float:
    """The strength to use with `fusion`.

    :raises InvalidInputError: For an unknown fusion or a strength that is negative or not finite.
    """
    if fusion not in get_args(Fusion):
        raise InvalidInputError(f"Unknown fusion {fusion!r}; choose one of {', '.join(get_args(Fusion))}.")
    chosen = DEFAULT_STRENGTH[fusion] if strength is None else float(strength)
    if not (np.isfinite(chosen) and chosen >= 0):
        raise InvalidInputError(f"strength must be a finite number of at least 0, not {strength}.")
    return chosen


def _normalised(vector: Vector) -> Vector | None:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 1e-12 else None
