"""RAGAS's metrics that need no language model.

They compare contexts by id and by text, and answers with their references.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...generation import SentenceEncoder
from .library import (
    BaseRagasEmbedding,
    CHRFScore,
    ExactMatch,
    IDBasedContextPrecision,
    IDBasedContextRecall,
    NonLLMContextRecall,
    NonLLMStringSimilarity,
    RougeScore,
    SemanticSimilarity,
    SingleTurnSample,
    StringPresence,
)
from .scores import Sample, Score, Scores, no_value

Samples = Mapping[str, Mapping[str, Sample]]
"""``{arm: {query id: sample}}``."""


class EncoderEmbedding(BaseRagasEmbedding):
    """Adapter of an encoder to RAGAS's embeddings: the vectors of passages, without the bridge."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """Return the vector of a text, at length 1."""
        return [float(value) for value in self._encoder.encode_document([text])[0]]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """Return the vector of a text, at length 1. It blocks, for some milliseconds."""
        return self.embed_text(text)


async def score_offline(
    samples: Samples,
    *,
    embedding: SentenceEncoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score every arm's contexts and answers.

    An answer, with white space folded and without citation marks, is compared with each reference. The best value
    counts. The metrics of answers are left out if no sample has a reference.

    :param embedding: Measures semantic similarity, which is left out without it.
    :param progress: Called with the number of samples done and the total.
    :return: ``{arm: scores}``.
    """
    contexts = {
        "id_based_context_precision": IDBasedContextPrecision(),
        "id_based_context_recall": IDBasedContextRecall(),
    }
    texts = NonLLMContextRecall()
    answers: dict[str, Any] = {
        "exact_match": ExactMatch(),
        "string_present": StringPresence(),
        "rouge_score": RougeScore(),
        "non_llm_string_similarity": NonLLMStringSimilarity(),
        "chrf_score": CHRFScore(),
    }
    if embedding is not None:
        answers["semantic_similarity"] = SemanticSimilarity(embeddings=EncoderEmbedding(embedding))
    if not any(sample.references for by_query in samples.values() for sample in by_query.values()):
        answers = {}
    known: dict[tuple[Any, ...], Score] = {}  # so that equal contexts or answers of several arms are scored once
    total = sum(len(by_query) for by_query in samples.values())
    found = {arm: Scores() for arm in samples}
    done = 0
    for arm, by_query in samples.items():
        for id, sample in by_query.items():
            for name, metric in contexts.items():
                key: tuple[Any, ...] = (name, sample.context_ids, sample.relevant_ids)
                if key not in known:
                    known[key] = await _score_ids(metric, sample)
                found[arm].put(name, id, known[key])
            key = (texts.name, sample.contexts, sample.relevant)
            if key not in known:
                known[key] = await _score_contexts(texts, sample)
            found[arm].put("non_llm_context_recall", id, known[key])
            for name, metric in answers.items():
                key = (name, sample.answer, sample.references)
                if key not in known:
                    known[key] = await _score_answer(metric, sample)
                found[arm].put(name, id, known[key])
            done += 1
            if progress:
                progress(done, total)
    return found


async def _score_ids(metric: Any, sample: Sample) -> Score:
    if not sample.context_ids and isinstance(metric, IDBasedContextPrecision):
        return no_value("nothing was retrieved")  # RAGAS gives NaN too, with a warning
    ids = SingleTurnSample(
        retrieved_context_ids=list(sample.context_ids), reference_context_ids=list(sample.relevant_ids)
    )
    return Score(float(await metric.single_turn_ascore(ids)))


async def _score_contexts(metric: Any, sample: Sample) -> Score:
    if not sample.relevant:
        return no_value("the relevant passages are not in the collection")
    if not sample.contexts:
        return Score(0.0, "nothing was retrieved")  # RAGAS raises
    texts = SingleTurnSample(retrieved_contexts=list(sample.contexts), reference_contexts=list(sample.relevant))
    return Score(float(await metric.single_turn_ascore(texts)))


async def _score_answer(metric: Any, sample: Sample) -> Score:
    if sample.answer is None:
        return no_value("the generator failed")
    if not sample.references:
        return no_value("the question has no reference answer")
    if sample.refused:
        return Score(0.0, "the answer is that there is none")  # its words may resemble the reference by chance
    values = [float((await metric.ascore(reference=r, response=sample.answer)).value) for r in sample.references]
    return Score(min(1.0, max(0.0, max(values))))  # cosines can lie slightly outside
