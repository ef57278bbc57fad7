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
        # The metrics over ids and contexts are deprecated, but have no successor yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        from ragas import SingleTurnSample
        from ragas.embeddings.base import BaseRagasEmbedding
        from ragas.llms.base import InstructorBaseRagasLLM, llm_factory
        from ragas.metrics import IDBasedContextPrecision, IDBasedContextRecall, NonLLMContextRecall
        from ragas.metrics.collections import (
            AnswerCorrectness,
            AnswerRelevancy,
            CHRFScore,
            ContextPrecision,
            ContextRecall,
            ExactMatch,
            Faithfulness,
            NonLLMStringSimilarity,
            RougeScore,
            SemanticSimilarity,
            StringPresence,
        )
except ImportError as error:
    raise MissingExtraError(
        f"The metrics of answers need RAGAS ({error}). Install it with `pip install 'lsb-rag[eval]'`."
    ) from error

__all__ = [
    "AnswerCorrectness",
    "AnswerRelevancy",
    "BaseRagasEmbedding",
    "CHRFScore",
    "ContextPrecision",
    "ContextRecall",
    "ExactMatch",
    "Faithfulness",
    "IDBasedContextPrecision",
    "IDBasedContextRecall",
    "InstructorBaseRagasLLM",
    "NonLLMContextRecall",
    "NonLLMStringSimilarity",
    "RougeScore",
    "SemanticSimilarity",
    "SingleTurnSample",
    "StringPresence",
    "llm_factory",
]
