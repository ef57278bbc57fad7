"""RAGAS, loaded without its telemetry. Import this module only where its metrics are asked for: it takes seconds."""

from __future__ import annotations

import os
import warnings

from ...errors import MissingExtraError

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # read by RAGAS at its first event, and kept
try:
    with warnings.catch_warnings():
        # The metrics over ids and over contexts have no successor in its newer interface.
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
