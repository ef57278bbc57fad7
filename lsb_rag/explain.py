"""Why a query found what it found: which units moved its vector, and what each did to a passage's score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .bridge import Bridge, LearnedBridge, directions, fuse
from .encoder import LexSemBridgeEncoder, Matrix
from .errors import InvalidInputError


@dataclass(frozen=True)
class UnitEffect:
    """What one unit of the query does; effects are against the same query without that unit.

    :param unit: A word or wordpiece.
    :param weight: Its weight by the paradigm; times its idf for a corpus-fitted bridge.
    :param degrees: By how much it turns the query vector.
    :param cosine: What it adds to the cosine of query and passage; 0 without a passage.
    :param lexical: What it adds to the passage's lexical score, weighted as in the rerank; 0 without one.
    """

    unit: str
    weight: float
    degrees: float
    cosine: float = 0.0
    lexical: float = 0.0


@dataclass(frozen=True)
class Explanation:
    """Effects of the units of a query, the strongest first.

    :param query: The query.
    :param cosine_to_vanilla: Cosine of the modulated vector to the backbone's.
    :param degrees: The same as an angle.
    :param effects: One for each unit that has a weight.
    :param passage: Id of the passage whose score is explained, or None.
    :param vanilla_score: The passage's cosine to the backbone's vector.
    :param score: The passage's score: the cosine to the modulated vector, and the weighted lexical score.
    """

    query: str
    cosine_to_vanilla: float
    degrees: float
    effects: tuple[UnitEffect, ...]
    passage: str | None = None
    vanilla_score: float | None = None
    score: float | None = None


def explain(
    encoder: LexSemBridgeEncoder,
    query: str,
    *,
    bridge: Bridge | None = None,
    strength: float | None = None,
    passage: tuple[str, Matrix] | None = None,
    lexical: Mapping[str, float] | None = None,
) -> Explanation:
    """Explain a query vector, and with a passage the passage's score.

    Each unit's effect is the difference to the vector that the query would have without its weight; where units act
    together the effects need not add up to the whole.

    :param bridge: In place of the encoder's own.
    :param strength: In place of the encoder's own.
    :param passage: Id and vector, of length 1 and shape ``[d]``.
    :param lexical: What each unit adds to the passage's lexical score.
    :raises InvalidInputError: For a blank query, or when there is no bridge.
    """
    active = encoder.bridge if bridge is None else bridge
    if active is None:
        raise InvalidInputError("There is no bridge to explain; give one, or explain through a Retriever.")
    e = torch.from_numpy(encoder.embed_query(query)).double()
    chosen = encoder.strength if strength is None else strength
    weights = encoder.unit_weights(query)
    kept = {unit: weight for unit, weight in weights.items() if weight}

    def vector(without: str | None = None) -> Tensor:
        v = _bridged(encoder, active, {unit: weight for unit, weight in kept.items() if unit != without})
        return fuse(e[None], v, encoder.fusion, chosen)[0]

    whole = vector()
    target = None if passage is None else torch.from_numpy(passage[1]).double()
    added = dict(lexical or {})
    effects = []
    for unit in {**kept, **added}:
        rest = vector(without=unit) if unit in kept else whole
        effects.append(
            UnitEffect(
                unit,
                weight=kept.get(unit, 0.0) * _idf(active, unit),
                degrees=_degrees(whole, rest),
                cosine=0.0 if target is None else float((whole - rest) @ target),
                lexical=added.get(unit, 0.0),
            )
        )
    cosine = float(torch.clamp(whole @ e, -1, 1))
    return Explanation(
        query=query,
        cosine_to_vanilla=cosine,
        degrees=_degrees(whole, e),
        effects=tuple(sorted(effects, key=lambda effect: (-effect.degrees, -effect.lexical, effect.unit))),
        passage=None if passage is None else passage[0],
        vanilla_score=None if target is None else float(e @ target),
        score=None if target is None else float(whole @ target) + sum(added.values()),
    )


def _bridged(encoder: LexSemBridgeEncoder, bridge: Bridge | LearnedBridge, weights: Mapping[str, float]) -> Tensor:
    if not isinstance(bridge, LearnedBridge):
        return directions(bridge, [weights])
    ids = {piece: id for id, piece in enumerate(encoder.modulation.vocabulary)}
    rows = torch.tensor([ids[piece] for piece in weights], dtype=torch.int64)
    scales = torch.tensor(list(weights.values()), dtype=torch.float64)
    v = scales @ bridge.weight.detach().double().cpu()[rows]
    return (v if bridge.bias is None else v + bridge.bias.detach().double().cpu())[None]


def _idf(bridge: Bridge | LearnedBridge, unit: str) -> float:
    statistics = getattr(bridge, "statistics", None)
    return 1.0 if statistics is None else (statistics.idf(unit) if statistics.df(unit) else 0.0)


def _degrees(one: Tensor, other: Tensor) -> float:
    return math.degrees(math.acos(float(torch.clamp(torch.dot(one, other) / one.norm() / other.norm(), -1, 1))))
