"""The answers of every arm: one generator for all, never asked twice about the same passages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from threading import Event, Lock, Thread

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import GenerationError
from ..generation import Answer, ExtractiveGenerator, Generator, OpenAIGenerator
from ..generation.extractive import SentenceEncoder
from ..passage import Hit
from .dataset import Query
from .json_cache import JsonCache, digest

logger = logging.getLogger(__name__)

FAILURES = 5
"""After so many failures before the first answer the generator is given up."""

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
    """What `generator` answers to each query from the passages that each arm found.

    Arms that found the same passages in the same order share one answer. A generator that says in ``cache_key`` what
    its answers depend on is also looked up on disk; the others answer anew in every run.

    :param found: ``{arm: {query id: hits, best first}}``.
    :param concurrency: How many questions an endpoint is asked at a time; other generators answer one by one.
    :param progress: Called with the number of answers done and of all.
    :raises GenerationError: When the generator fails from the start; single failures are logged and leave None.
    """
    if isinstance(generator, ExtractiveGenerator):
        generator = generator.with_encoder(SentenceVectors(generator.encoder))
    asked: dict[str, tuple[str, Sequence[Hit]]] = {}
    names: dict[tuple[str, str], str] = {}
    for query in queries:
        for arm, hits in found.items():
            name = _name(generator, query.text, hits[query.id])
            asked.setdefault(name, (query.text, hits[query.id]))
            names[arm, query.id] = name
    answers = _ask(generator, asked, cache, concurrency, progress)
    return {arm: {query.id: answers[names[arm, query.id]] for query in queries} for arm in found}


def _name(generator: Generator, question: str, hits: Sequence[Hit]) -> str:
    contexts = [[hit.id, hit.text] for hit in hits]
    key = getattr(generator, "cache_key", generator.name)
    return digest({"lsb_rag": __version__, "generator": key, "question": question, "contexts": contexts})


def _ask(
    generator: Generator,
    asked: Mapping[str, tuple[str, Sequence[Hit]]],
    cache: JsonCache | None,
    concurrency: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Answer | None]:
    on_disk = cache if hasattr(generator, "cache_key") else None
    answered = False
    failures: list[GenerationError] = []

    def one(name: str) -> Answer | None:
        nonlocal answered
        stored = on_disk.get(name) if on_disk else None
        if (
            isinstance(stored, dict)
            and isinstance(stored.get("text"), str)
            and isinstance(stored.get("citations"), list)
        ):
            return Answer(stored["text"], tuple(stored["citations"]))
        if len(failures) >= FAILURES and not answered:
            return None
        try:
            answer = generator.answer(*asked[name])
        except GenerationError as error:
            logger.debug("No answer to %r: %s", asked[name][0], error)
            failures.append(error)
            return None
        answered = True
        if on_disk:
            on_disk.put(name, {"text": answer.text, "citations": answer.citations})
        return answer

    answers: dict[str, Answer | None] = {}
    workers = concurrency if isinstance(generator, OpenAIGenerator) else 1
    for done, (name, answer) in enumerate(zip(asked, _in_order(one, list(asked), workers), strict=True), start=1):
        answers[name] = answer
        if progress:
            progress(done, len(asked))
    if failures and not any(answers.values()):
        raise failures[-1]
    if failures:
        logger.warning("%d of %d answers failed; the last: %s", len(failures), len(asked), failures[-1])
    return answers


def _in_order(work: Callable[[str], Answer | None], names: Sequence[str], workers: int) -> Iterator[Answer | None]:
    """``work(name)`` for each name, in their order; with several workers at the same time.

    An executor's threads would keep an interrupted program waiting for requests that hang; these are left behind.
    """
    if workers == 1:
        yield from map(work, names)
        return
    results: list[Future[Answer | None]] = [Future() for _ in names]
    waiting = iter(zip(names, results, strict=True))
    taking, stopped = Lock(), Event()

    def take() -> None:
        while not stopped.is_set():
            with taking:
                name, result = next(waiting, (None, None))
            if name is None or result is None:
                return
            try:
                result.set_result(work(name))
            except BaseException as error:
                result.set_exception(error)

    for _ in range(workers):
        Thread(target=take, daemon=True).start()
    try:
        for result in results:
            yield result.result()
    finally:
        stopped.set()


class SentenceVectors:
    """An encoder that embeds no text twice: the arms of a comparison find much the same passages."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self.background = encoder.background
        self._documents: dict[str, NDArray[np.float32]] = {}
        self._queries: dict[str, NDArray[np.float32]] = {}

    def encode_document(self, texts: str | Sequence[str]) -> NDArray[np.float32]:
        """Vectors of passages, float32 [n, d]."""
        wanted = [texts] if isinstance(texts, str) else list(texts)
        fresh = [text for text in dict.fromkeys(wanted) if text not in self._documents]
        if fresh:
            self._documents.update(zip(fresh, self._encoder.encode_document(fresh), strict=True))
        return np.stack([self._documents[text] for text in wanted])

    def embed_query(self, query: str) -> NDArray[np.float32]:
        """Vector of a query, without the bridge, float32 [d]."""
        if query not in self._queries:
            self._queries[query] = self._encoder.embed_query(query)
        return self._queries[query]
