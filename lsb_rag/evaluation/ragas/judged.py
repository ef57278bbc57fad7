"""RAGAS's metrics that a language model judges, with their quirks guarded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from ...errors import StoreError
from ...generation.extractive import SentenceEncoder
from ...utils.logging import silenced
from ..json_cache import JsonCache
from ..metric_names import JUDGED
from .judge import UNREADABLE, Judge, Usage, failure
from .library import AnswerCorrectness, AnswerRelevancy, ContextPrecision, ContextRecall, Faithfulness
from .offline import EncoderEmbedding, Samples
from .scores import Sample, Score, Scores, none
from .session import UNREAD, Asked, GivenUp, Judging

logger = logging.getLogger(__name__)

NEED_REFERENCE = ("answer_correctness", "context_precision", "context_recall")
OF_CONTEXTS = ("context_precision", "context_recall")
NOTHING = "nothing was retrieved"


async def score_judged(
    samples: Samples,
    judge: Judge,
    *,
    backbone: SentenceEncoder,
    embedding: SentenceEncoder | None = None,
    cache: JsonCache | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Scores], Usage]:
    """Have every arm's contexts and answers judged. Samples that are the same for several arms are judged once.

    Guarded, and said in the reasons: an answer without a statement is 0 correct (RAGAS gives 1) and has no
    faithfulness; the answer that there is none is 0 correct and 0 relevant, and has no faithfulness either; with
    nothing retrieved, context recall is 0 and the other metrics of contexts have no value. A failed judgement, and one
    that judges nothing, have no value.

    :param backbone: For the similarity of questions in answer relevancy, where `embedding` is not given.
    :param embedding: For that and for a quarter of answer correctness, which without it rests on statements alone.
    :param cache: Where judgements are kept, by model, whole request and sample; a later run asks only for the others.
    :param progress: Called with the number of judgements done and of all.
    :return: ``{arm: scores}``, and what the run took.
    :raises StoreError: When a judgement cannot be kept.
    """
    judging = Judging(judge, cache)
    similarity = EncoderEmbedding(embedding or backbone)
    with_reference = any(one.references for by_query in samples.values() for one in by_query.values())
    measures = [measure for measure in JUDGED if with_reference or measure not in NEED_REFERENCE]
    wanted: dict[tuple[str, Sample], list[tuple[str, str]]] = {}
    ids = dict.fromkeys(id for by_query in samples.values() for id in by_query)
    for id in ids:  # by question, so that a budget that runs out is spent on as few of them as can be
        for measure in measures:
            for arm, by_query in samples.items():
                wanted.setdefault((measure, _looked_at(measure, by_query[id])), []).append((arm, id))
    free = asyncio.Semaphore(judge.concurrency)
    done = 0

    async def score(measure: str, one: Sample) -> Score:
        nonlocal done
        async with free:
            found = _guarded(measure, one)
            if found is None:
                found = await _judged(measure, one, judging, similarity, embedding is not None)
        done += 1
        if progress:
            progress(done, len(wanted))
        return found

    async with judging.client:
        with silenced("instructor"):  # failures are counted and shown at the end; it would print each of them
            scores = await _all([score(*key) for key in wanted])
    by_arm = {arm: Scores() for arm in samples}
    for ((measure, _), places), found in zip(wanted.items(), scores, strict=True):
        for arm, id in places:
            by_arm[arm].put(measure, id, found)
    return by_arm, judging.usage


def _looked_at(measure: str, one: Sample) -> Sample:
    """The sample without what the measure does not look at, so that equal judgements are seen to be equal."""
    return replace(
        one,
        references=one.references[:1] if measure in NEED_REFERENCE else (),
        answer=None if measure in OF_CONTEXTS else one.answer,
        contexts=() if measure in ("answer_correctness", "answer_relevancy") else one.contexts,
        context_ids=(),
        relevant_ids=(),
        relevant=(),
    )


def _guarded(measure: str, one: Sample) -> Score | None:
    """The score of a sample that need not, or cannot, be judged."""
    if measure in NEED_REFERENCE and not one.references:
        return none("the question has no reference answer")
    if measure not in OF_CONTEXTS:
        if one.answer is None:
            return none("the generator failed")
        if one.refused:
            said = "the answer is that there is none"
            return none(said) if measure == "faithfulness" else Score(0.0, said)
    if measure in ("faithfulness", *OF_CONTEXTS) and not one.contexts:
        return Score(0.0, NOTHING) if measure == "context_recall" else none(NOTHING)
    return None


async def _judged(measure: str, one: Sample, judging: Judging, similarity: Any, named: bool) -> Score:
    llm = Asked(judging)
    given: dict[str, Any] = {"user_input": one.question}
    reference = one.references[0] if one.references else ""
    if measure == "faithfulness":
        metric: Any = Faithfulness(llm=llm)
        given |= {"response": one.answer, "retrieved_contexts": list(one.contexts)}
    elif measure == "answer_correctness":
        metric = AnswerCorrectness(llm=llm, embeddings=similarity, weights=[0.75, 0.25] if named else [1.0, 0.0])
        given |= {"response": one.answer, "reference": reference}
    elif measure == "answer_relevancy":
        metric = AnswerRelevancy(llm=llm, embeddings=similarity)
        given |= {"response": one.answer}
    else:
        metric = (ContextPrecision if measure == "context_precision" else ContextRecall)(llm=llm)
        given |= {"retrieved_contexts": list(one.contexts), "reference": reference}
    try:
        value = float((await metric.ascore(**given)).value)
    except StoreError:
        raise
    except GivenUp as error:
        return none(str(error))
    except Exception as error:  # whatever RAGAS, its client or the endpoint makes of a bad answer
        why, unanswered = failure(error)
        logger.debug("No %s: %s", measure, why, exc_info=True)
        judging.failed_in_a_row += 1.0 if unanswered else UNREAD if why == UNREADABLE else 0.0
        return none(why)
    return _sound(measure, value, llm)


def _sound(measure: str, value: float, llm: Asked) -> Score:
    """The value, unless the judge said nothing that it could rest on."""
    statements = [any(one.strip() for one in answer.statements) for answer in llm.given("StatementGeneratorOutput")]
    if measure == "answer_correctness" and not statements[1]:
        return none("the judge found no statement in the reference")
    if statements and not statements[0]:
        said = "the judge found no statement in the answer"
        return Score(0.0, said) if measure == "answer_correctness" else none(said)
    if any(not (one.TP or one.FP or one.FN) for one in llm.given("ClassificationWithReason")):
        return none("the judge classified no statement")
    if measure == "answer_relevancy":
        if not any(one.question.strip() for one in llm.given("AnswerRelevanceOutput")):
            return none("the judge made no question of the answer")
        value = max(0.0, value)  # a mean of cosines
    return Score(value)


async def _all(scores: Sequence[Coroutine[Any, Any, Score]]) -> list[Score]:
    """All scores; when one fails or the run is interrupted, the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in scores]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
