"""A sample to judge, and a call that has it judged by a server on loopback, for the tests of judging."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.evaluation.ragas.judge import Judge, Usage
from lsb_rag.evaluation.ragas.judged import score_judged
from lsb_rag.evaluation.scores import Sample, Scores

PUMP = Sample(
    "What does E-4012 mean?",
    ("The inlet is blocked.", "A blocked inlet."),
    "It means that the pump stopped.",
    ("pump", "drain"),
    ("The pump stopped because the inlet is blocked.", "The outlet is blocked."),
    ("pump",),
    ("The pump stopped because the inlet is blocked.",),
)
# Requests for PUMP without failures: 2 for faithfulness, 3 for correctness, one of which faithfulness asked already,
# 3 for relevancy, one per passage for context precision, 1 for context recall.
REQUESTS = 2 + 2 + 3 + 2 + 1


class Backbone:
    """The same vector for every text, so that similarities are known."""

    def encode_document(self, texts: list[str], /) -> NDArray[np.float32]:
        return np.array([[0.6, 0.8] for _ in texts], np.float32)

    def embed_query(self, texts: str, /) -> NDArray[np.float32]:
        return self.encode_document([texts])[0]


def judged(
    samples: dict[str, dict[str, Sample]], url: str, cache: Path | None = None, **limits: Any
) -> tuple[dict[str, Scores], Usage]:
    judge = Judge("judge-1", url, **{"retries": 1, "timeout": 1.0, **limits})
    kept = JsonCache(cache) if cache else None
    return asyncio.run(score_judged(samples, judge, backbone=Backbone(), cache=kept))
