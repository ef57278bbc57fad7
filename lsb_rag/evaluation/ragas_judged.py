"""RAGAS's metrics that a language model judges, with its judgements kept, its quirks guarded, its limits heeded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import StoreError
from ..generation.extractive import SentenceEncoder
from .json_cache import JsonCache, digest
from .judge import SPENT, UNREADABLE, Judge, Usage, failure, open_client
from .measures import JUDGED
from .ragas_library import (
    AnswerCorrectness,
    AnswerRelevancy,
    ContextPrecision,
    ContextRecall,
    Faithfulness,
    InstructorBaseRagasLLM,
    llm_factory,
)
from .ragas_offline import BackboneEmbedding, Samples
from .scores import Sample, Score, Scores, none

logger = logging.getLogger(__name__)

GIVE_UP = 10
"""After so many judgements in a row that no endpoint answered, it is not asked any more."""
MAX_ANSWER_TOKENS = 4096
READ_RETRIES = 2
"""How often an answer that is not the JSON asked for is asked again, with what was wrong with it."""
NEED_REFERENCE = ("answer_correctness", "context_precision", "context_recall")
OF_CONTEXTS = ("context_precision", "context_recall")
NOTHING = "nothing was retrieved"
UNASKED = "not asked: the judge had stopped answering"
BUDGET = "not asked: the budget was spent"


class Judging:
    """One run of a judge.

    :param judge: Who judges.
    :param cache: Where judgements are kept; None keeps none.
    """

    def __init__(self, judge: Judge, cache: JsonCache | None) -> None:
        self.judge = judge
        self.usage = Usage()
        self.client = open_client(judge, self.usage)
        self.llm: Any = llm_factory(
            judge.model, client=self.client, max_tokens=MAX_ANSWER_TOKENS, max_retries=READ_RETRIES
        )
        self.cache = cache
        self.failed_in_a_row = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def judgement(self, prompt: str, form: Any, sample: int) -> Any:
        """The judge's answer to `prompt`, in the form of a pydantic model, from the cache where it is there.

        :param sample: Tells repeated requests of one metric apart, whose answers may differ.
        """
        request = {
            "url": self.judge.base_url or "",
            "model": self.judge.model,
            "prompt": prompt,
            "schema": form.model_json_schema(),
            "parameters": {k: v for k, v in self.llm.model_args.items() if isinstance(v, str | int | float)},
            "sample": sample,
        }
        name = digest(request)
        async with self._locks[name]:  # two metrics may ask the same
            stored = self.cache.get(name) if self.cache else None
            if stored is not None:
                try:
                    return form.model_validate(stored)
                except ValueError:
                    pass  # damaged
            answer = await self.llm.agenerate(prompt, form)
            self.failed_in_a_row = 0
            if self.cache:
                self.cache.put(name, answer.model_dump(mode="json"))
        return answer


class _Asked(InstructorBaseRagasLLM):
    """The judge as one metric sees it while it scores one sample."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._asked: Counter[str] = Counter()
        self.without_statements: list[int] = []
        """Positions, among the requests for statements, of those that were answered with none."""
        self._statements = 0

    def generate(self, prompt: str, response_model: Any) -> Any:
        raise NotImplementedError("The judge is asked asynchronously.")

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        sample = self._asked[prompt]
        self._asked[prompt] += 1
        answer = await self._judging.judgement(prompt, response_model, sample)
        if response_model.__name__ == "StatementGeneratorOutput":
            if not [statement for statement in answer.statements if statement.strip()]:
                self.without_statements.append(self._statements)
            self._statements += 1
        return answer


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

    Guarded, and said in the reasons: an answer without a statement is 0 correct (RAGAS gives 1); the answer that there
    is none is 0 correct and 0 relevant, and its faithfulness has no value; with nothing retrieved, context recall is 0
    and the other metrics of contexts have no value. A failed judgement has no value.

    :param backbone: For the similarity of questions in answer relevancy, where `embedding` is not given.
    :param embedding: For that and for a quarter of answer correctness, which without it rests on statements alone.
    :param cache: Where judgements are kept, by model, whole request and sample; a later run asks only for the others.
    :param progress: Called with the number of judgements done and of all.
    :return: ``{arm: scores}``, and what the run took.
    :raises StoreError: When a judgement cannot be kept.
    """
    judging = Judging(judge, cache)
    similarity = BackboneEmbedding(embedding or backbone)
    with_reference = any(one.references for by_query in samples.values() for one in by_query.values())
    measures = [measure for measure in JUDGED if with_reference or measure not in NEED_REFERENCE]
    wanted: dict[tuple[str, Sample], list[tuple[str, str]]] = {}
    ids = dict.fromkeys(id for by_query in samples.values() for id in by_query)
    for id in ids:  # by question, so that a budget that runs out leaves whole questions
        for arm, by_query in samples.items():
            for measure in measures:
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
        with _quiet():
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
    if judging.failed_in_a_row >= GIVE_UP:
        return none(UNASKED)
    llm = _Asked(judging)
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
    except Exception as error:  # whatever RAGAS, its client or the endpoint makes of a bad answer
        why = failure(error)
        logger.debug("No %s: %s", measure, why, exc_info=True)
        if why == SPENT:
            return none(BUDGET)
        if why != UNREADABLE:
            judging.failed_in_a_row += 1
        return none(why)
    if measure == "answer_correctness" and llm.without_statements:
        if 1 in llm.without_statements:
            return none("the judge found no statement in the reference")
        return Score(0.0, "the judge found no statement in the answer")
    if measure == "answer_relevancy":
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Failures are counted and shown at the end; the library underneath would print each of them."""
    logger = logging.getLogger("instructor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
