"""Measure one size for :mod:`growth`; each half runs in a process of its own, so that memory is the fit's alone."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil

from benchmarks.installed_docs import NAME, embedded_passages, indexed
from benchmarks.scale.index_bytes import bytes_of
from benchmarks.scale.known_items import KnownItems, known_items
from benchmarks.scale.query_latency import latencies
from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.bridge.weighting import slr
from lsb_rag.evaluation import Arm, build_arms, paired_difference, per_query
from lsb_rag.lexical.units import words
from lsb_rag.statistics.base import Record
from lsb_rag.store.client import HNSW
from lsb_rag.utils.digests import text_digest

ARMS = ("vanilla", "hybrid-convex", "lsb-vector", "lsb")
CHANGED = 1000
REPEATS = 5
SAMPLED_SECONDS = 0.005


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_and_range(seconds: list[float]) -> list[float]:
    """Return the median, the minimum and the maximum."""
    return [statistics.median(seconds), min(seconds), max(seconds)]


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Yield a list of one number: the most bytes this process has held beyond those at the beginning."""
    process, done, peak = psutil.Process(), threading.Event(), [0]
    beginning = process.memory_info().rss

    def watch() -> None:
        while not done.wait(SAMPLED_SECONDS):
            peak[0] = max(peak[0], process.memory_info().rss - beginning)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield peak
    finally:
        done.set()
        watching.join()


def build(folder: str, size: int, largest: int, kept: Path) -> dict[str, Any]:
    """Build a Chroma collection of the first `size` passages with our index settings."""
    texts, vectors = embedded_passages(LexSemBridgeEncoder(), largest + CHANGED, kept)
    seconds = timed(lambda: indexed(folder, texts[:size], vectors[:size], HNSW))
    return {"index seconds": seconds, "Chroma bytes": bytes_of(Path(folder))}


def measure(folder: str, size: int, smallest: int, largest: int, kept: Path, n: int) -> dict[str, Any]:
    """Fit the collection in `folder`, ask, time, add and delete."""
    encoder = LexSemBridgeEncoder()
    store = PassageStore(folder, NAME, encoder, create=False)
    store.query(store.encoder.embed_query("warm up"), 1)  # loads the index and verifies the backbone
    with peak_memory() as peak:
        of_cpu = time.process_time()
        fit_seconds = timed(store.fit)
        of_cpu = time.process_time() - of_cpu
    solving = [timed(store.bridge.refit) for _ in range(REPEATS)]
    found: dict[str, Any] = {
        "fit seconds": fit_seconds,
        "fit CPU seconds": of_cpu,
        "solve seconds": median_and_range(solving),
        "peak extra bytes": peak[0],
        "statistics bytes": store.statistics_bytes,
    }
    texts, vectors = embedded_passages(encoder, largest + CHANGED, kept)
    asked = known_items(texts[:smallest], n)
    arms = build_arms(store, (*ARMS, "hybrid"))
    found["quality"] = {kind: quality(arms, items) for kind, items in asked.items()}
    queries = [text for pair in zip(*(items.texts.values() for items in asked.values()), strict=True) for text in pair]
    latency = latencies(store, queries, arms["hybrid"])
    found["latency ms"] = {part: {name: asdict(one) for name, one in of.items()} for part, of in latency.items()}
    directions = [1000 * timed(partial(store.bridge.direction, slr(words(query)))) for query in queries]
    found["direction ms"] = median_and_range(directions)
    return {**found, **changes(store, texts[largest:], vectors[largest:])}


def quality(arms: Mapping[str, Arm], items: KnownItems) -> dict[str, Any]:
    """Return the MRR@10 of each arm, with its paired difference to the first and the 95 % interval."""
    values = {}
    for name in ARMS:
        rankings = zip(items.texts, arms[name](list(items.texts.values()), 10), strict=True)
        ranked = {id: [hit.id for hit in hits] for id, hits in rankings}
        values[name] = per_query(items.qrels, ranked, ["mrr@10"])["mrr@10"]
    found: dict[str, Any] = {}
    for name, of_arm in values.items():
        d = paired_difference(of_arm, values[ARMS[0]])
        found[name] = {"mrr@10": float(np.mean(list(of_arm.values()))), "delta": [d.delta, d.low, d.high], "n": d.n}
    return found


def changes(store: PassageStore, texts: list[str], vectors: Any) -> dict[str, list[float]]:
    """Return the seconds to add and delete passages without embedding them: in total, and for the statistics."""
    passages = [Passage(text, id=f"new-{number}") for number, text in enumerate(texts)]
    ids = [passage.id for passage in passages]
    known = dict(zip(texts, vectors, strict=True))
    records = [
        Record(f"counted-{id}", text_digest(text), words(text), vector)
        for id, text, vector in zip(ids, texts, vectors, strict=True)
    ]
    file = store.fitted.file
    seconds: dict[str, list[float]] = {"add": [], "delete": [], "count in": [], "take out": []}
    with patch.object(store.encoder, "encode_document", lambda asked: np.array([known[text] for text in asked])):
        for _ in range(REPEATS):
            seconds["add"].append(timed(lambda: store.add(passages)))
            seconds["delete"].append(timed(lambda: store.delete(ids)))
            seconds["count in"].append(timed(lambda: file.count(records)))
            seconds["take out"].append(timed(lambda: file.count([], [record.id for record in records])))
    return {f"{name} {CHANGED} seconds": median_and_range(one) for name, one in seconds.items()}
