"""Answers of every arm, by one generator that is never asked twice about the same passages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, replace
from threading import Event, Lock, Thread

from .. import __version__
from ..errors import GenerationError
from ..generation import Answer, Generator, OpenAIGenerator, Quote
from ..passage import Hit
from .dataset import Query
from .json_cache import JsonCache, digest

logger = logging.getLogger(__name__)

FAILURES = 5
"""Number of failures, with no answer before them, after which the generator is no longer asked."""

Answers = dict[str, Answer | None]
"""``{query id: answer}``; None where the generator failed."""


def answer_arms(
    generator: Generator,
    queries: Sequence[Query],
    found: Mapping[str, Mapping[str, Sequence[Hit]]],
    *,
    cache: JsonCache | None = None,
    concurrency: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Answers]:
    """Return the answers of `generator` to each query, from the passages that each arm found.

    Arms that found the same passages in the same order share one answer. A generator states in ``cache_key`` what its
    answers depend on, and these are then also read from disk. A generator without one answers anew in every run.

    :param found: ``{arm: {query id: hits, best first}}``.
    :param concurrency: Number of questions sent to an endpoint at a time. Other generators answer one by one.
    :param progress: Called with the number of answers done and the total.
    :raises GenerationError: When the generator fails from the start. Single failures are logged and leave None.
    """
    requests: dict[str, tuple[str, Sequence[Hit]]] = {}
    keys: dict[tuple[str, str], str] = {}
    for query in queries:
        for arm, hits in found.items():
            key = _request_key(generator, query.text, hits[query.id])
            requests.setdefault(key, (query.text, hits[query.id]))
            keys[arm, query.id] = key
    answers = _answer_requests(generator, requests, cache, concurrency, progress)
    return {arm: {query.id: answers[keys[arm, query.id]] for query in queries} for arm in found}


def _request_key(generator: Generator, question: str, hits: Sequence[Hit]) -> str:
    """Return the digest of everything an answer depends on."""
    contexts = [[hit.id, hit.text] for hit in hits]
    key = getattr(generator, "cache_key", generator.name)
    return digest({"lsb_rag": __version__, "generator": key, "question": question, "contexts": contexts})


def _answer_requests(
    generator: Generator,
    requests: Mapping[str, tuple[str, Sequence[Hit]]],
    cache: JsonCache | None,
    concurrency: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Answer | None]:
    """Return the answer to each of `requests`, read from `cache` where possible."""
    on_disk = cache if hasattr(generator, "cache_key") else None
    answered = False
    failures: list[GenerationError] = []

    def answer_request(key: str) -> Answer | None:
        nonlocal answered
        stored = _stored_answer(on_disk, key) if on_disk else None
        if stored is not None:
            return stored
        if len(failures) >= FAILURES and not answered:
            return None
        question, hits = requests[key]
        try:
            answer = generator.answer(question, hits)
        except GenerationError as error:
            logger.debug("No answer to %r: %s", question, error)
            failures.append(error)
            return None
        answered = True
        if on_disk:
            on_disk.put(key, asdict(replace(answer, marks=())))
        return answer

    answers: dict[str, Answer | None] = {}
    workers = concurrency if isinstance(generator, OpenAIGenerator) else 1
    in_order = _map_in_order(answer_request, list(requests), workers)
    for done, (key, answer) in enumerate(zip(requests, in_order, strict=True), start=1):
        answers[key] = answer
        if progress:
            progress(done, len(requests))
    if failures and not any(answers.values()):
        raise failures[-1]
    if failures:
        logger.warning("%d of %d answers failed; the last: %s", len(failures), len(requests), failures[-1])
    return answers


def _stored_answer(cache: JsonCache, key: str) -> Answer | None:
    """Return the answer kept under `key`, or None if there is none or it is damaged."""
    stored = cache.get(key)
    if not isinstance(stored, dict):
        return None
    text, citations, nearest = stored.get("text"), stored.get("citations"), stored.get("nearest")
    confidence, replaced = stored.get("confidence"), stored.get("replaced")
    if not isinstance(text, str) or not isinstance(citations, list) or not isinstance(confidence, float):
        return None
    quote = Quote(str(nearest.get("text")), str(nearest.get("id"))) if isinstance(nearest, dict) else None
    return Answer(text, tuple(citations), confidence=confidence, nearest=quote, replaced=replaced is True)


def _map_in_order(work: Callable[[str], Answer | None], keys: Sequence[str], workers: int) -> Iterator[Answer | None]:
    """Yield ``work(key)`` for each key in order, with up to `workers` of them at work at the same time.

    The threads are daemons: those of an executor would keep an interrupted program waiting for requests that hang.
    """
    if workers == 1:
        yield from map(work, keys)
        return
    results: list[Future[Answer | None]] = [Future() for _ in keys]
    waiting = iter(zip(keys, results, strict=True))
    taking, stopped = Lock(), Event()

    def take_work() -> None:
        while not stopped.is_set():
            with taking:
                key, result = next(waiting, (None, None))
            if key is None or result is None:
                return
            try:
                result.set_result(work(key))
            except BaseException as error:
                result.set_exception(error)

    for _ in range(workers):
        Thread(target=take_work, daemon=True).start()
    try:
        for result in results:
            yield result.result()
    finally:
        stopped.set()
