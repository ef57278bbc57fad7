"""Modulation of query vectors by a corpus-fitted bridge, in NumPy: it needs texts and vectors, and no model.

:class:`~lsb_rag.modules.QueryModulation` does the same inside a sentence-transformers pipeline, and what needs the
pipeline's hidden states or wordpieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..lexical.analyzer import UnitKind
from ..lexical.background_frequency import BackgroundFrequency
from ..lexical.units import words
from ..lexical.unread import UnreadShare
from .base import Bridge, Fusion, checked_strength
from .corpus import CorpusBridge, strength_with

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vectors = NDArray[np.float64]


def modulated(query_vectors: Vectors, directions: Vectors, fusion: Fusion, strength: float) -> Vectors:
    """Return query vectors fused with the directions of a corpus-fitted bridge, see :func:`lsb_rag.bridge.fusion.fuse`.

    :param query_vectors: e, of length 1, float64 of shape ``[B, d]``.
    :param directions: c, of length 1 at most, float64 of shape ``[B, d]``; a row of zeros leaves its e unchanged.
    :param fusion: ``residual`` or ``signed_product``.
    """
    if fusion == "residual":
        fused = query_vectors + strength * directions
    else:
        logits = strength * directions * np.sign(query_vectors)
        factors = np.exp(logits - logits.max(axis=-1, keepdims=True))
        fused = query_vectors * (factors / factors.sum(axis=-1, keepdims=True))
    lengths = np.linalg.norm(fused, axis=-1, keepdims=True)
    usable = directions.any(axis=-1, keepdims=True) & (lengths > 1e-12)
    return np.where(usable, fused / np.where(usable, lengths, 1.0), query_vectors)


def check_fitted(bridge: Bridge | None, fusion: Fusion, units: UnitKind) -> None:
    """Refuse a corpus-fitted bridge that does not go with a fusion or with units.

    :raises InvalidInputError: For bridges over other units, or the paper's product.
    """
    theirs = getattr(bridge, "units", None)
    if theirs not in (None, units):
        raise InvalidInputError(f"The bridge was fitted on {theirs}, the encoder's units are {units}; use the same.")
    if bridge is not None and fusion == "product":
        raise InvalidInputError(
            "The paper's product amplifies a component whatever its sign, which a corpus-fitted direction is not made "
            "for (it gains next to nothing); use fusion='signed_product' or 'residual', or a learned bridge."
        )


def complete(bridge: object, units: UnitKind, background: BackgroundFrequency | None) -> None:
    """Give a corpus-fitted bridge without units or a background those of an encoder."""
    if isinstance(bridge, CorpusBridge):
        bridge.units = units  # in place of None, as it weighs passages by them
        bridge.background = bridge.background or background


def check_dimension(of_bridge: int, of_backbone: int) -> None:
    """Refuse a bridge of another width than a backbone's.

    :raises InvalidInputError: For another width.
    """
    if of_bridge != of_backbone:
        raise InvalidInputError(
            f"The bridge has {of_bridge} dimensions, the backbone has {of_backbone}; take one that was fitted or "
            "trained with this backbone."
        )


class CorpusModulation:
    """SLR over words, a corpus-fitted bridge and a fusion, for vectors of any model.

    :param fusion: ``residual`` or ``signed_product``.
    :param strength: None takes the fusion's default.
    :param vocabulary: A tokenizer whose vocabulary tells common words from rare ones, see
        :class:`~lsb_rag.lexical.background_frequency.BackgroundFrequency`.
    :param unread: How much of a text the model cannot read.
    :raises InvalidInputError: For the product, which goes with a learned bridge, or a strength that cannot be.
    """

    paradigm = "slr"
    units: UnitKind = "words"
    top_k = None

    def __init__(
        self,
        fusion: Fusion,
        strength: float | None,
        vocabulary: Tokenizer | None,
        unread: UnreadShare,
    ) -> None:
        self.strength = checked_strength(fusion, strength)
        self.fusion: Fusion = fusion
        self.background = BackgroundFrequency(vocabulary)
        self.unread = unread
        self.bridge: Bridge | None = None

    def set_bridge(self, bridge: Bridge | None) -> None:
        """Use `bridge` from now on.

        :raises InvalidInputError: See :meth:`check`.
        """
        self.check(bridge)
        self.bridge = bridge

    def check(self, bridge: Bridge | None) -> None:
        """Refuse a bridge that does not go with this modulation; one without units or a background takes those here.

        :raises InvalidInputError: For other units, or the paper's product.
        """
        check_fitted(bridge, self.fusion, self.units)
        if bridge is not None:
            complete(bridge, self.units, self.background)

    def __call__(
        self, query_vectors: NDArray[np.float32], texts: Sequence[str], bridge: Bridge | None, strength: float | None
    ) -> NDArray[np.float32]:
        """Return the modulated vectors of queries.

        :param query_vectors: The model's, of length 1, shape ``[len(texts), d]``.
        :param bridge: In place of the modulation's own.
        :param strength: In place of the modulation's own.
        :return: float32 of length 1, shape ``[len(texts), d]``.
        """
        active = self.bridge if bridge is None else bridge
        chosen = strength_with(active, self.strength) if strength is None else checked_strength(self.fusion, strength)
        if active is None or chosen == 0 or not len(texts):
            return query_vectors
        self.check(active)
        check_dimension(active.dimension, query_vectors.shape[1])
        found = [active.direction(self.unit_weights(text)) for text in texts]
        directions = np.stack([np.zeros(active.dimension) if row is None else row for row in found])
        directions *= self.unread.emphasis(texts)[:, None]
        return modulated(query_vectors.astype(np.float64), directions, self.fusion, chosen).astype(np.float32)

    def unit_weights(self, query: str) -> dict[str, float]:
        """Return the weights of the words of a query: 1 for each, as by SLR."""
        return dict.fromkeys(words(query), 1.0)
