"""RAGAS's metrics that a language model judges, with guards against their quirks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from ...errors import StoreError
from ...generation import SentenceEncoder
from ...utils.logging import silenced
from ...utils.secrets import without_secrets
from ..json_cache import JsonCache
from ..metric_names import JUDGED
from ..scores import Sample, Samples, Score, Scores, no_value
from .judge import UNREADABLE, Judge, Usage, failure
from .library import (
    AnswerCorrectness,
    AnswerRelevancy,
    BaseRagasEmbedding,
    ContextPrecision,
    ContextRecall,
    Faithfulness,
)
from .session import JudgeSession, JudgeUnavailable, RecordingJudge

logger = logging.getLogger(__name__)

NEED_REFERENCE = ("answer_correctness", "context_precision", "context_recall")
OF_CONTEXTS = ("context_precision", "context_recall")
NOTHING = "nothing was retrieved"


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


async def score_judged(
    samples: Samples,
    judge: Judge,
    *,
    backbone: SentenceEncoder,
    embedding: SentenceEncoder | None = None,
    measures: Sequence[str] = JUDGED,
    cache: JsonCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Scores], Usage]:
    """Have every arm's contexts and answers judged. Samples that are the same for several arms are judged once.

    These cases do not follow RAGAS, and the reasons say so:

    - An answer without a statement has correctness 0 (RAGAS gives 1) and no faithfulness.
    - A refusal to answer has correctness 0, relevancy 0 and no faithfulness.
    - With nothing retrieved, context recall is 0 and the other metrics of contexts have no value.
    - A failed judgement, or one that judges nothing, has no value.

    :param backbone: Measures the similarity of questions in answer relevancy, unless `embedding` is given.
    :param embedding: Measures that similarity and a quarter of answer correctness. Without it, answer correctness rests
        on statements alone.
    :param measures: Names of :data:`~lsb_rag.evaluation.metric_names.JUDGED` to judge by.
    :param cache: Cache of judgements by model, whole request and sample. A later run asks only for the missing ones.
    :param progress: Called with the number of judgements done and the total.
    :return: ``{arm: scores}``, and the usage of the run.
    :raises StoreError: When a judgement cannot be kept.
    """
    session = JudgeSession(judge, cache)
    similarity = EncoderEmbedding(embedding or backbone)
    with_reference = any(sample.references for by_query in samples.values() for sample in by_query.values())
    measures = [measure for measure in measures if with_reference or measure not in NEED_REFERENCE]
    wanted: dict[tuple[str, Sample], list[tuple[str, str]]] = {}
    ids = dict.fromkeys(id for by_query in samples.values() for id in by_query)
    for id in ids:  # question by question, so that a budget that runs out leaves few questions half judged
        for measure in measures:
            for arm, by_query in samples.items():
                wanted.setdefault((measure, _inputs_of(measure, by_query[id])), []).append((arm, id))
    free = asyncio.Semaphore(judge.concurrency)
    done = 0

    async def score(measure: str, sample: Sample) -> Score:
        nonlocal done
        async with free:
            found = _score_without_judge(measure, sample)
            if found is None:
                found = await _score_with_judge(measure, sample, session, similarity, embedding is not None)
        done += 1
        if progress:
            progress(done, len(wanted))
        return found

    async with session.client:
        with silenced("instructor"):  # it would print each failure, which are counted and shown at the end
            scores = await _gather([score(*key) for key in wanted])
    by_arm = {arm: Scores() for arm in samples}
    for ((measure, _), places), found in zip(wanted.items(), scores, strict=True):
        for arm, id in places:
            by_arm[arm].put(measure, id, found)
    return by_arm, session.usage


def _inputs_of(measure: str, sample: Sample) -> Sample:
    """Return the sample with only the fields that `measure` looks at, so that equal judgements compare equal."""
    return replace(
        sample,
        references=sample.references[:1] if measure in NEED_REFERENCE else (),
        answer=None if measure in OF_CONTEXTS else sample.answer,
        contexts=() if measure in ("answer_correctness", "answer_relevancy") else sample.contexts,
        context_ids=(),
        relevant_ids=(),
        relevant=(),
    )


def _score_without_judge(measure: str, sample: Sample) -> Score | None:
    """Return the score of a sample that need not or cannot be judged, or None for the others."""
    if measure in NEED_REFERENCE and not sample.references:
        return no_value("the question has no reference answer")
    if measure not in OF_CONTEXTS:
        if sample.answer is None:
            return no_value("the generator failed")
        if sample.refused:
            reason = "the answer is that there is none"
            return no_value(reason) if measure == "faithfulness" else Score(0.0, reason)
    if measure in ("faithfulness", *OF_CONTEXTS) and not sample.contexts:
        return Score(0.0, NOTHING) if measure == "context_recall" else no_value(NOTHING)
    return None


async def _score_with_judge(
    measure: str, sample: Sample, session: JudgeSession, similarity: Any, weigh_similarity: bool
) -> Score:
    """Have RAGAS score a sample by `measure`.

    :param weigh_similarity: Whether similarity counts for a quarter of answer correctness.
    """
    llm = RecordingJudge(session)
    given: dict[str, Any] = {"user_input": sample.question}
    reference = sample.references[0] if sample.references else ""
    if measure == "faithfulness":
        metric: Any = Faithfulness(llm=llm)
        given |= {"response": sample.answer, "retrieved_contexts": list(sample.contexts)}
    elif measure == "answer_correctness":
        weights = [0.75, 0.25] if weigh_similarity else [1.0, 0.0]
        metric = AnswerCorrectness(llm=llm, embeddings=similarity, weights=weights)
        given |= {"response": sample.answer, "reference": reference}
    elif measure == "answer_relevancy":
        metric = AnswerRelevancy(llm=llm, embeddings=similarity)
        given |= {"response": sample.answer}
    else:
        metric = ContextPrecision(llm=llm) if measure == "context_precision" else ContextRecall(llm=llm)
        given |= {"retrieved_contexts": list(sample.contexts), "reference": reference}
    try:
        value = float((await metric.ascore(**given)).value)
    except StoreError:
        raise
    except JudgeUnavailable as error:
        return no_value(str(error))
    except Exception as error:  # RAGAS, its client and the endpoint each have their own errors
        reason, unanswered = failure(error)
        logger.debug("No %s: %s", measure, reason, exc_info=without_secrets(error))
        session.count_failure(answered=not unanswered, readable=reason != UNREADABLE)
        return no_value(reason)
    return _checked_score(measure, value, llm)


def _checked_score(measure: str, value: float, llm: RecordingJudge) -> Score:
    """Return the value as a score, unless the judge answered nothing that it could rest on."""
    statements = [any(one.strip() for one in answer.statements) for answer in llm.answers("StatementGeneratorOutput")]
    if measure == "answer_correctness" and not statements[1]:
        return no_value("the judge found no statement in the reference")
    if statements and not statements[0]:
        reason = "the judge found no statement in the answer"
        return Score(0.0, reason) if measure == "answer_correctness" else no_value(reason)
    if any(not (one.TP or one.FP or one.FN) for one in llm.answers("ClassificationWithReason")):
        return no_value("the judge classified no statement")
    if measure == "answer_relevancy":
        if not any(one.question.strip() for one in llm.answers("AnswerRelevanceOutput")):
            return no_value("the judge made no question of the answer")
        value = max(0.0, value)  # a mean of cosines can be negative
    return Score(value)


async def _gather(scores: Sequence[Coroutine[Any, Any, Score]]) -> list[Score]:
    """Await all scores. When one fails or the run is interrupted, cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in scores]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
