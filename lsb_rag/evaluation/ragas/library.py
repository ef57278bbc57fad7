"""RAGAS, loaded without its telemetry.

Importing this module takes seconds. Import it only where RAGAS's metrics are needed.
"""

from __future__ import annotations

import os
import warnings

from ...errors import MissingExtraError

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # RAGAS reads it once, at its first event
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from ragas.embeddings.base import BaseRagasEmbedding
        from ragas.llms.base import InstructorBaseRagasLLM, llm_factory
        from ragas.metrics.collections import (
            AnswerCorrectness,
            AnswerRelevancy,
            ContextPrecision,
            ContextRecall,
            Faithfulness,
        )
except ImportError as error:
    raise MissingExtraError(
        f"The metrics of answers need RAGAS ({error}). Install it with `pip install 'lsb-rag[eval]'`."
    ) from error

__all__ = [
    "AnswerCorrectness",
    "AnswerRelevancy",
    "BaseRagasEmbedding",
    "ContextPrecision",
    "ContextRecall",
    "Faithfulness",
    "InstructorBaseRagasLLM",
    "llm_factory",
]
