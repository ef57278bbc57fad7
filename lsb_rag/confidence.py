"""Confidence: how likely it is that a passage is relevant or an answer right, as one number from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .lexical.background_frequency import BackgroundFrequency
from .lexical.coverage import Coverage
from .passage import Hit


@dataclass(frozen=True)
class Calibration:
    """A logistic regression over what tells a relevant text from another: four weights and a constant.

    :param cosine: Weight of the cosine of query and text.
    :param coverage: Weight of the share of the query's information that the text holds.
    :param held: Added where the query names identifiers and the text holds all of them.
    :param missing: Added where the text lacks one of them.
    :param constant: Added always.
    """

    cosine: float
    coverage: float
    held: float
    missing: float
    constant: float

    def __call__(self, cosine: float, coverage: float, holds: bool | None) -> float:
        """Return the probability, from 0 to 1.

        :param cosine: As of a model whose vectors lie over the whole space, see :func:`spread_out`.
        :param holds: Whether the text holds the identifiers of the query; None where it names none.
        """
        identified = 0.0 if holds is None else self.held if holds else self.missing
        logit = self.constant + self.cosine * cosine + self.coverage * coverage + identified
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))


# Fitted by `benchmarks.quality.confidence`, see docs/how-it-works.md.
MODULATED = Calibration(cosine=7.89, coverage=5.82, held=2.77, missing=-4.22, constant=-10.26)
"""Of a passage, where the query's vector was modulated."""
VANILLA = Calibration(cosine=3.43, coverage=8.34, held=1.77, missing=-4.72, constant=-8.55)
"""Of a passage, where the query was searched with the backbone's own vector."""
ANSWER = Calibration(cosine=5.04, coverage=6.52, held=2.51, missing=-7.62, constant=-6.85)
"""Of a quotation, by the backbone's own vectors."""


def spread_out(cosines: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
    """Return cosines as a model would give them whose vectors lie over the whole space, of the same shape.

    :param spread: See :func:`lsb_rag.backbones.spread.spread_of`.
    """
    return 1 - (1 - cosines) / max(spread, 1e-3) ** 2


def with_confidence(
    query: str,
    hits: Sequence[Hit],
    *,
    modulated: bool,
    background: BackgroundFrequency | None = None,
    spread: float = 1.0,
) -> list[Hit]:
    """Return the hits with their confidence.

    :param modulated: Whether the query's vector was modulated, which raises the cosines.
    """
    asked = Coverage(query, background)
    calibration = MODULATED if modulated else VANILLA
    texts = [hit.titled_text for hit in hits]
    cosines = spread_out(np.array([hit.dense for hit in hits]), spread).tolist()
    return [
        replace(hit, confidence=calibration(cosine, asked.share(text), asked.holds(text)))
        for hit, cosine, text in zip(hits, cosines, texts, strict=True)
    ]
