"""RAGAS's metrics that need no language model: of contexts by id and by text, of answers against references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...generation.extractive import SentenceEncoder
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
from .scores import Sample, Score, Scores, none

Samples = Mapping[str, Mapping[str, Sample]]
"""``{arm: {query id: sample}}``."""


class EncoderEmbedding(BaseRagasEmbedding):
    """An encoder as RAGAS's embedding: the vectors of passages, without the bridge."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def embed_text(self, text: str, **_: Any) -> list[float]:
        """A vector of length 1."""
        return [float(value) for value in self._encoder.encode_document([text])[0]]

    async def aembed_text(self, text: str, **_: Any) -> list[float]:
        """A vector of length 1; one text takes some milliseconds."""
        return self.embed_text(text)


async def score_offline(
    samples: Samples,
    *,
    embedding: SentenceEncoder | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score every arm's contexts and answers.

    An answer is compared with each reference and the best value counts, white space folded and citation marks taken
    out. Metrics that no sample has a reference for are left out.

    :param embedding: For semantic similarity, which is left out without one.
    :param progress: Called with the number of samples done and of all.
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
    if not any(one.references for by_query in samples.values() for one in by_query.values()):
        answers = {}
    known: dict[tuple[Any, ...], Score] = {}  # arms that find or answer the same are scored once
    total = sum(len(by_query) for by_query in samples.values())
    found = {arm: Scores() for arm in samples}
    done = 0
    for arm, by_query in samples.items():
        for id, one in by_query.items():
            for name, metric in contexts.items():
                key: tuple[Any, ...] = (name, one.context_ids, one.relevant_ids)
                if key not in known:
                    known[key] = await _by_id(metric, one)
                found[arm].put(name, id, known[key])
            key = (texts.name, one.contexts, one.relevant)
            if key not in known:
                known[key] = await _by_text(texts, one)
            found[arm].put("non_llm_context_recall", id, known[key])
            for name, metric in answers.items():
                key = (name, one.answer, one.references)
                if key not in known:
                    known[key] = await _answer(metric, one)
                found[arm].put(name, id, known[key])
            done += 1
            if progress:
                progress(done, total)
    return found


async def _by_id(metric: Any, one: Sample) -> Score:
    if not one.context_ids and isinstance(metric, IDBasedContextPrecision):
        return none("nothing was retrieved")  # RAGAS's own NaN, without its warning
    ids = SingleTurnSample(retrieved_context_ids=list(one.context_ids), reference_context_ids=list(one.relevant_ids))
    return Score(float(await metric.single_turn_ascore(ids)))


async def _by_text(metric: Any, one: Sample) -> Score:
    if not one.relevant:
        return none("the relevant passages are not in the collection")
    if not one.contexts:
        return Score(0.0, "nothing was retrieved")  # RAGAS raises
    texts = SingleTurnSample(retrieved_contexts=list(one.contexts), reference_contexts=list(one.relevant))
    return Score(float(await metric.single_turn_ascore(texts)))


async def _answer(metric: Any, one: Sample) -> Score:
    if one.answer is None:
        return none("the generator failed")
    if not one.references:
        return none("the question has no reference answer")
    if one.refused:
        return Score(0.0, "the answer is that there is none")  # its words may be like the reference's by chance
    values = [float((await metric.ascore(reference=r, response=one.answer)).value) for r in one.references]
    return Score(min(1.0, max(0.0, max(values))))  # cosines can be a little outside
