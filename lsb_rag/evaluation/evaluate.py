"""Evaluation of arms side by side on judged queries: rankings, answers, differences and latencies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError
from ..generation import Generator
from ..lexical.analyzer import Analyzer
from ..lexical.units import words
from ..passage import Hit
from ..statistics.base import Statistics
from ..store.passage_store import PassageStore
from ..store.records import checked_k
from ..utils.arguments import UNCHECKED, checked
from ..utils.threads import run_to_end
from .answer_metrics import score_answers
from .answers import answer_arms
from .arms import ALL_ARMS, ARMS, build_arms, checked_arms
from .conversation import Condense, standalone
from .corpus import Corpus
from .custom_arm import CustomArm, checked_retrievers
from .dataset import Dataset, Query
from .json_cache import JsonCache
from .keyword_heaviness import RECOGNISABLE, keyword_heaviness, rare_units
from .ragas.judge import Judge
from .ranking import Arm, Ranking, rank
from .results import BASELINE, ArmResult, Evaluation
from .retrieval_metrics import DEPTH, MEASURES, metrics_library, per_query
from .scores import Scores, make_sample

CONTEXTS = 5
TIMED = 50
"""Number of queries whose single searches are timed."""
_timed = count(1)


@checked
def evaluate(
    store: PassageStore,
    dataset: Dataset,
    *,
    arms: Sequence[str] = tuple(ARMS),
    retrievers: Mapping[str, Annotated[Any, UNCHECKED]] | None = None,
    condense: Condense | None = None,
    k: int = DEPTH,
    seed: int = 0,
    contexts: int = CONTEXTS,
    generator: Generator | None = None,
    judge: Judge | None = None,
    embedding: LexSemBridgeEncoder | None = None,
    cache: str | Path | None = None,
    concurrency: int = 8,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Run `arms` on the queries of `dataset` over the passages of `store`.

    Neither ids nor the order of the collection decide anything. Passages with equal texts count as one, and a copy of a
    relevant passage is relevant. Passages with equal scores count at their expected rank. A question that is repeated
    counts once.

    :param arms: Names from :data:`~lsb_rag.evaluation.arms.ALL_ARMS`; ``vanilla``, the baseline, is always run.
    :param retrievers: Arms of your own, by name: retrievers of LangChain's or LlamaIndex's, or functions of a query and
        k that return ids, texts, documents or nodes, best first. They search the passages of `store`, in any index.
        LangChain's and LlamaIndex's return as many as they are made for.
    :param condense: Makes the question of a conversation stand alone: a function of the messages before it, in a list
        of ``{"role": …, "content": …}``, and the question. What it returns is searched for and answered. Retrievers
        that are aware of the history get the conversation itself: functions with an argument ``history``, and what
        LangChain's ``create_history_aware_retriever`` returns.
    :param k: Number of passages to retrieve for each query. The measures of ranking look at 10 of them at most.
    :param seed: Seed of intervals and p-values.
    :param contexts: Number of the best passages that the generator is given and RAGAS's metrics look at.
    :param generator: Answers every query from what each arm found. RAGAS then scores contexts and answers.
    :param judge: A language model that also judges contexts and answers; it needs a generator.
    :param embedding: A backbone for semantic similarity, which is left out without one.
    :param cache: Folder where judgements and the answers of language models are kept, so that an interrupted run can
        continue. None keeps none.
    :param concurrency: Number of questions sent to an endpoint at a time; a judge has its own.
    :param progress: Called with the step, the amount done and the total, which is 0 if unknown.
    :raises InvalidInputError: For an unknown arm, a retriever under the name of an arm, one that fails from the start
        or finds nothing of the collection, when the collection holds no relevant passage, or for a judge without a
        generator.
    :raises GenerationError: When the generator fails from the start.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    :raises StoreError: When an answer or a judgement cannot be kept.
    """
    k, contexts = checked_k(k), checked_k(contexts)
    metrics_library()
    if seed < 0:
        raise InvalidInputError(f"seed must be at least 0, not {seed}.")
    if concurrency < 1:
        raise InvalidInputError(f"concurrency must be at least 1, not {concurrency}.")
    if judge is not None and generator is None:
        raise InvalidInputError("A judge judges answers; give a generator too.")
    if generator is not None:
        from .ragas import offline  # noqa: F401 - report a missing extra before a long run
    if judge is not None:
        from .ragas import library  # noqa: F401 - the same
    names = checked_arms([BASELINE, *arms])
    retrievers = checked_retrievers(retrievers or {})
    step = progress or (lambda *_: None)
    dataset = dataset.distinct()
    if not dataset.queries:
        raise InvalidInputError(f"{dataset.name} has no query with a relevant passage.")
    results_cache = JsonCache(cache) if cache and (judge or hasattr(generator, "cache_key")) else None
    if results_cache:
        results_cache.check()
    asked = standalone(dataset.queries, condense, partial(step, "making questions stand alone"))
    dataset = dataset.distinct(asked.texts)
    asked = replace(asked, texts={query.id: asked.texts[query.id] for query in dataset.queries})
    judged = {id for by_id in dataset.qrels.values() for id in by_id}
    corpus = Corpus(store, judged, partial(step, "reading the collection"))
    dataset = replace(dataset, qrels=corpus.judgements(dataset.qrels))
    absent = _count_absent(store, dataset, corpus)
    built, custom = (
        build_arms(store, names, corpus),
        {name: CustomArm(name, one, corpus) for name, one in retrievers.items()},
    )
    results: dict[str, ArmResult] = {}
    for name, arm in built.items():
        step(f"searching, {ALL_ARMS[name]}", len(results), len(built) + len(custom))
        results[name] = _run_arm(arm, dataset, asked.texts, k, corpus)
    for name, own in custom.items():
        step(f"searching, {name}", len(results), len(built) + len(custom))
        results[name] = _run_custom(own, dataset, asked.texts, k, corpus)
    statistics, analyze = store.bridge.statistics, store.encoder.analyze
    evaluation = Evaluation(
        dataset=dataset,
        n_passages=len(store),
        k=k,
        arms=results,
        heaviness={id: keyword_heaviness(text, statistics, analyze) for id, text in asked.texts.items()},
        seed=seed,
        marked={id: _recognisable(text, statistics, analyze) for id, text in asked.texts.items()},
        contexts=min(contexts, k) if generator else 0,
        generator=generator.name if generator else "",
        judge=judge.name if judge else "",
        embedding=embedding.fingerprint.backbone if embedding else "",
        absent=absent,
        copies=corpus.copies,
        standalone=asked,
    )
    if generator is not None:
        answers = answer_arms(
            generator,
            _standing_alone(evaluation),
            {name: _best_hits(result, contexts) for name, result in results.items()},
            cache=results_cache,
            concurrency=concurrency,
            progress=partial(step, "answering"),
        )
        for name, result in results.items():
            result.answers.update(answers[name])
        _score_answers(store, evaluation, judge, embedding, results_cache, step)
    step("comparing", 0, 0)
    evaluation.compare()
    return evaluation


def _run_arm(arm: Arm, dataset: Dataset, asked: Mapping[str, str], k: int, corpus: Corpus) -> ArmResult:
    """Search with one arm for all queries at once, then time single searches."""
    texts = list(asked.values())
    rankings = dict(zip(asked, rank(arm, texts, k, corpus), strict=True))
    seconds, unlike = [], " " * next(_timed)  # other texts than before, whose vectors are kept
    for text in texts[:TIMED]:
        start = time.perf_counter()
        arm([text + unlike], k)
        seconds.append(time.perf_counter() - start)
    return _arm_result(rankings, dataset, k, seconds)


def _run_custom(arm: CustomArm, dataset: Dataset, asked: Mapping[str, str], k: int, corpus: Corpus) -> ArmResult:
    """Search with a retriever of the user's once for each query, and time that."""

    def search(_: Sequence[str], depth: int) -> list[list[Hit]]:
        return arm.search(dataset.queries, asked, depth)

    rankings = dict(zip(asked, rank(search, list(asked.values()), k, corpus, deeper=False), strict=True))
    return _arm_result(rankings, dataset, k, arm.seconds, tuple(arm.notes(k)))


def _arm_result(
    rankings: Mapping[str, Ranking], dataset: Dataset, k: int, seconds: list[float], said: tuple[str, ...] = ()
) -> ArmResult:
    values = per_query(dataset.qrels, {id: ranking.ties for id, ranking in rankings.items()}, MEASURES, k)
    return ArmResult({id: ranking.hits for id, ranking in rankings.items()}, values, seconds, notes=said)


def _standing_alone(evaluation: Evaluation) -> list[Query]:
    """Return the queries as they were searched for."""
    texts = evaluation.standalone.texts
    return [replace(query, text=texts[query.id]) for query in evaluation.dataset.queries]


def _score_answers(
    store: PassageStore,
    evaluation: Evaluation,
    judge: Judge | None,
    embedding: LexSemBridgeEncoder | None,
    cache: JsonCache | None,
    step: Callable[[str, int, int], None],
) -> None:
    """Score contexts and answers, and add the scores to the arms."""
    from .ragas.offline import score_offline

    queries = _standing_alone(evaluation)
    relevant = {query.id: evaluation.dataset.relevant(query.id) for query in queries}
    texts = {passage.id: passage.content for passage in store.get([id for ids in relevant.values() for id in ids])}
    samples = {}
    for name, result in evaluation.arms.items():
        hits = _best_hits(result, evaluation.contexts)
        samples[name] = {
            query.id: make_sample(query, hits[query.id], result.answers[query.id], relevant[query.id], texts)
            for query in queries
        }
    _add_scores(evaluation, score_answers(samples, partial(step, "scoring")))
    _add_scores(evaluation, score_offline(samples, embedding=embedding, progress=partial(step, "scoring")))
    if judge is not None:
        from .ragas.judged import score_judged

        scores, usage = run_to_end(
            score_judged(
                samples,
                judge,
                backbone=store.encoder,
                embedding=embedding,
                cache=cache,
                progress=partial(step, "judging"),
            )
        )
        _add_scores(evaluation, scores)
        evaluation.usage.requests, evaluation.usage.tokens = usage.requests, usage.tokens


def _recognisable(query: str, statistics: Statistics, analyze: Analyzer) -> frozenset[str]:
    """Return the words of a query that few passages contain, as a whole or in one of their wordpieces."""
    return frozenset(word for word in words(query) if rare_units(word, statistics, analyze, RECOGNISABLE))


def _best_hits(result: ArmResult, n: int) -> dict[str, list[Hit]]:
    """Return the first `n` hits of every query."""
    return {id: hits[:n] for id, hits in result.hits.items()}


def _add_scores(evaluation: Evaluation, scores: Mapping[str, Scores]) -> None:
    for name, result in evaluation.arms.items():
        result.values.update(scores[name].values)
        result.reasons.update(scores[name].reasons)


def _count_absent(store: PassageStore, dataset: Dataset, corpus: Corpus) -> int:
    """Return the number of relevant passages that the collection does not hold.

    :raises InvalidInputError: When it holds none of them.
    """
    judged = {passage for id in dataset.qrels for passage in dataset.relevant(id)}
    missing = judged - corpus.passages.keys()
    if missing == judged:
        raise InvalidInputError(
            f"None of the {len(judged)} relevant passages of {dataset.name} is in the collection {store.name!r}; the "
            "ids of the judgements must be those of the passages."
        )
    return len(missing)
