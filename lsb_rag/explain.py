"""Explanations of a query: which units moved its vector, and what each added to a passage's score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .backbones.base import Matrix
from .bridge.base import Fusion, Vector, checked_strength, is_learned
from .bridge.corpus import CorpusBridge, strength_with
from .encoder import LexSemBridgeEncoder
from .errors import InvalidInputError
from .passage import SENTENCE_SHARE

if TYPE_CHECKING:
    from .bridge.learned import LearnedBridge

STEPS = 256
"""Steps of the path along which the units are credited."""
BIAS = "(bias)"


@dataclass(frozen=True)
class UnitEffect:
    """The effect of one unit of the query. The effects of all units add up to the whole.

    :param unit: A word or wordpiece; ``(bias)`` for the b of a learned bridge.
    :param weight: Its weight by the paradigm, times its information for a corpus-fitted bridge.
    :param degrees: Its part of the angle by which the query vector turns; negative where it turns the vector back.
    :param cosine: What it adds to the dense part of the passage's score; 0 without a passage.
    :param lexical: What it adds to the passage's lexical score, weighted as in the rerank; 0 without a lexical score.
    """

    unit: str
    weight: float
    degrees: float
    cosine: float = 0.0
    lexical: float = 0.0


@dataclass(frozen=True)
class Explanation:
    """The effects of the units of a query, the strongest first.

    :param query: The query.
    :param cosine_to_vanilla: Cosine of the modulated vector to the backbone's vector.
    :param degrees: The angle between the two, in degrees.
    :param effects: One for each unit that acts on the vector or on the lexical score.
    :param passage: Id of the passage whose score is explained, or None.
    :param vanilla_score: The passage's cosine to the backbone's vector.
    :param score: The passage's score: the vanilla score, what the sentence adds, and what the units add.
    :param sentence: The passage's sentence that counts in its score; empty where none does.
    :param sentence_gain: What the sentence adds by the backbone's vector.
    """

    query: str
    cosine_to_vanilla: float
    degrees: float
    effects: tuple[UnitEffect, ...]
    passage: str | None = None
    vanilla_score: float | None = None
    score: float | None = None
    sentence: str = ""
    sentence_gain: float = 0.0


def explain(
    encoder: LexSemBridgeEncoder,
    query: str,
    *,
    bridge: CorpusBridge | None = None,
    strength: float | None = None,
    passage: tuple[str, Matrix | Vector] | None = None,
    lexical: Mapping[str, float] | None = None,
    sentence: tuple[str, Matrix | Vector] | None = None,
) -> Explanation:
    """Explain a query vector and, with a passage, the passage's score.

    What the bridge adds to the query is a sum over units. Along the straight path from nothing to the whole sum, each
    unit is credited with its part of every small change (Aumann-Shapley values, by the midpoint rule). The credits
    therefore add up, even those of units that say the same, such as ``e-4012`` and ``4012``.

    :param bridge: Bridge in place of the encoder's own.
    :param strength: Strength in place of the encoder's own.
    :param passage: Id and vector of the passage; the vector is of length 1 and shape ``[d]``.
    :param lexical: What each unit adds to the passage's lexical score.
    :param sentence: The passage's sentence that counts in its score, and its vector of length 1.
    :raises InvalidInputError: For a blank query, or when there is no bridge to explain.
    """
    active = encoder.bridge if bridge is None else bridge
    if not isinstance(active, CorpusBridge) and not is_learned(active):
        raise InvalidInputError("There is no bridge to explain; give one, or explain through a Retriever.")
    encoder.check(active)
    chosen = strength_with(active, encoder.strength) if strength is None else checked_strength(encoder.fusion, strength)
    e = _normalised(encoder.embed_query(query).astype(np.float64))
    weights = encoder.unit_weights(query, bridge=active)
    if isinstance(active, CorpusBridge):
        chosen *= float(encoder.unread.emphasis([query])[0])
    additions = _additions(encoder, active, weights)
    rows = chosen * np.stack([*additions.values(), np.zeros_like(e)])
    alone = e if passage is None else passage[1].astype(np.float64)
    target = alone if sentence is None else alone + SENTENCE_SHARE * (sentence[1].astype(np.float64) - alone)
    turned, gained = _credits(e, rows, encoder.fusion, target)
    modulated = _normalised(_fused(e, rows.sum(axis=0), encoder.fusion)[0])
    cosine = float(np.clip(modulated @ e, -1, 1))
    turns = bool(turned.sum() > 1e-9)
    degrees = math.degrees(math.acos(cosine)) if turns else 0.0
    lexical = dict(lexical or {})
    row_of = {unit: row for row, unit in enumerate(additions)}
    worth = active.information(list(weights)) if isinstance(active, CorpusBridge) else None
    effects = [
        UnitEffect(
            unit,
            weight=weights.get(unit, 0.0) * (1.0 if worth is None else worth.get(unit, 0.0)),
            degrees=degrees * float(turned[row_of[unit]] / turned.sum()) if unit in row_of and turns else 0.0,
            cosine=float(gained[row_of[unit]]) if unit in row_of and passage is not None else 0.0,
            lexical=lexical.get(unit, 0.0),
        )
        for unit in {**additions, **lexical}
    ]
    return Explanation(
        query=query,
        cosine_to_vanilla=cosine,
        degrees=degrees,
        effects=tuple(sorted(effects, key=lambda effect: (-abs(effect.degrees), -effect.lexical, effect.unit))),
        passage=None if passage is None else passage[0],
        vanilla_score=None if passage is None else float(e @ alone),
        score=None if passage is None else float(modulated @ target) + sum(lexical.values()),
        sentence="" if sentence is None else sentence[0],
        sentence_gain=float(e @ (target - alone)),
    )


def _additions(
    encoder: LexSemBridgeEncoder, bridge: CorpusBridge | LearnedBridge, weights: Mapping[str, float]
) -> dict[str, Vector]:
    """Return what each unit adds to v, or to c where the fusion takes v at length 1."""
    if isinstance(bridge, CorpusBridge):
        return dict(bridge.contributions(weights))
    ids = {piece: id for id, piece in enumerate(encoder.modulation.vocabulary)}
    table = bridge.weight.detach().double().cpu().numpy()
    rows: dict[str, Vector] = {piece: weight * table[ids[piece]] for piece, weight in weights.items() if weight}
    if bridge.bias is not None:
        rows[BIAS] = bridge.bias.detach().double().cpu().numpy()
    if encoder.fusion != "product" and rows:
        norm = np.linalg.norm(np.stack(list(rows.values())).sum(axis=0))
        rows = {piece: row / norm for piece, row in rows.items()} if norm > 0 else {}
    return rows


def _credits(e: Vector, rows: Vector, fusion: Fusion, target: Vector) -> tuple[Vector, Vector]:
    """Return the part of each row in ``1 - cosine to e``, and in the change of the cosine to `target`."""
    x = rows.sum(axis=0) * ((np.arange(STEPS) + 0.5) / STEPS)[:, None]
    fused, factors = _fused(e, x, fusion)
    lengths = np.linalg.norm(fused, axis=1, keepdims=True)
    path = fused / lengths

    def gradient(towards: Vector) -> Vector:
        """Return the mean gradient of the cosine to `towards` by x, shape ``[d]``."""
        by_fused = (towards - (path @ towards)[:, None] * path) / lengths
        if factors is None:
            return np.asarray(by_fused.mean(axis=0))
        by_factors = by_fused * e
        by_logits = factors * (by_factors - (factors * by_factors).sum(axis=1, keepdims=True))
        return np.asarray((by_logits * _signs(e, fusion)).mean(axis=0))

    return rows @ -gradient(e), rows @ gradient(target)


def _fused(e: Vector, x: Vector, fusion: Fusion) -> tuple[Vector, Vector | None]:
    """Return what :func:`lsb_rag.bridge.fusion.fuse` normalises, and the factors of a product.

    :param x: The strength times v, shape ``[d]`` or ``[n, d]``.
    """
    if fusion == "residual":
        return e + x, None
    logits = x * _signs(e, fusion)
    factors = np.exp(logits - logits.max(axis=-1, keepdims=True))
    factors /= factors.sum(axis=-1, keepdims=True)
    return e * factors, factors


def _signs(e: Vector, fusion: Fusion) -> Vector:
    return np.sign(e) if fusion == "signed_product" else np.ones_like(e)


def _normalised(vector: Vector) -> Vector:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))
