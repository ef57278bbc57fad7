"""Fusion of a bridge's directions with the embeddings of queries, in torch, and which bridge goes with which fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..errors import InvalidInputError
from ..lexical.analyzer import UnitKind
from .base import Bridge, Fusion
from .learned import LearnedBridge
from .modulation import check_fitted


def check_combination(bridge: Bridge | LearnedBridge | None, fusion: Fusion, units: UnitKind) -> None:
    """Refuse a combination that cannot work, with the reason.

    :raises InvalidInputError: For a learned bridge over words, or the paper's product with a corpus-fitted bridge.
    """
    if isinstance(bridge, LearnedBridge):
        if units != "wordpieces":
            raise InvalidInputError(
                "A learned bridge has a row for each wordpiece of its tokenizer, so it needs units='wordpieces'; words "
                "go with a corpus-fitted bridge."
            )
        return
    check_fitted(bridge, fusion, units)


def directions(bridge: Bridge, weights: Sequence[Mapping[str, float]]) -> Tensor:
    """Return the bridge's directions for a batch, float64 of shape ``[B, d]``; zeros where it points nowhere."""
    rows = [bridge.direction(row) for row in weights]
    return torch.stack(
        [torch.zeros(bridge.dimension, dtype=torch.float64) if row is None else torch.from_numpy(row) for row in rows]
    )


def before_normalisation(query_vectors: Tensor, x: Tensor, fusion: Fusion) -> Tensor:
    """Return what :func:`fuse` normalises.

    :param query_vectors: e, shape ``[B, d]`` or ``[d]``.
    :param x: The strength times v, of the same shape.
    """
    if fusion == "residual":
        return query_vectors + x
    logits = x if fusion == "product" else x * query_vectors.sign()
    return query_vectors * torch.softmax(logits, dim=-1)


def fuse(query_vectors: Tensor, v: Tensor, fusion: Fusion, strength: float) -> Tensor:
    """Modulate query vectors.

    - ``product``, the paper's: ``normalise(e * softmax(strength * v))``
    - ``signed_product``: ``normalise(e * softmax(strength * v * sign(e)))``. All factors are positive, as in the
      product, so no component changes its sign; the ``sign`` is ours.
    - ``residual``: ``normalise(e + strength * v)``

    :param query_vectors: e, the backbone's embeddings of length 1, shape ``[B, d]``.
    :param v: Directions of the bridge, shape ``[B, d]``, of length 1 at most except for the product. A row of zeros
        leaves its e unchanged.
    :param strength: 0 leaves every e exactly unchanged.
    """
    if strength == 0:
        return query_vectors
    if fusion != "product":
        v = v.to(query_vectors.dtype)
    fused = before_normalisation(query_vectors, strength * v, fusion)
    normalised = nn.functional.normalize(fused, dim=-1)
    if fusion == "product" and torch.is_grad_enabled():
        return normalised  # v = 0 is the identity up to rounding, and must pass the gradient on to W
    usable = v.abs().amax(dim=-1, keepdim=True).gt(0) & fused.norm(dim=-1, keepdim=True).gt(1e-12)
    return torch.where(usable, normalised, query_vectors)
