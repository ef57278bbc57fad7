"""A report as JSON: the summary, its rows, what it depends on, and the costs of the run."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ... import __version__
from ...store.passage_store import PassageStore
from ...utils.arguments import checked
from ..dataset import Dataset, Query
from ..keyword_heaviness import SLICES, heaviness_slice
from ..results import BASELINE, ArmResult, Evaluation
from ..significance import RESAMPLES
from .wording import shown_arm

LIBRARIES = ("torch", "transformers", "sentence-transformers", "chromadb", "bm25s", "ir-measures", "snowballstemmer")
ANSWER_LIBRARIES = ("ragas", "instructor", "openai", "rouge-score", "rapidfuzz", "sacrebleu")
SLICED = "mrr@10"
"""Measure that is shown by keyword-heaviness."""


@checked
def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Return ``{"dataset", "n_passages", "arms": {arm: {kind: {measure: value, "n"}}}, "comparisons": [...], ...}``.

    The same data, seed and judgements give the same summary. What differs between runs is in ``run.json``. A missing
    value is None, and ``missing`` counts the queries without one.
    """
    return {
        "dataset": evaluation.dataset.name,
        "n_passages": evaluation.n_passages,
        "arms": {
            arm: {kind: _means(evaluation, arm, queries) for kind, queries in evaluation.kinds.items()}
            for arm in evaluation.arms
        },
        "comparisons": [
            {
                "arm": one.arm,
                "against": BASELINE,
                "kind": one.kind,
                "metric": one.measure,
                "delta": _number(one.difference.delta),
                "ci95": [_number(one.difference.low), _number(one.difference.high)],
                "p": _number(one.p),
                "wins": one.difference.wins,
                "ties": one.difference.ties,
                "losses": one.difference.losses,
                "missing": one.difference.missing,
            }
            for one in evaluation.comparisons
        ],
        "keyword_heaviness": slices(evaluation),
        "against_the_best": _against_the_best(evaluation),
        "left_out": evaluation.dataset.left_out,
        "blank": evaluation.dataset.blank,
        "repeated": evaluation.dataset.repeated,
        "copies": evaluation.copies,
        "relevant_not_in_collection": evaluation.absent,
    }


def _against_the_best(evaluation: Evaluation) -> dict[str, Any]:
    """Return how the arm that the headline is about stands to the best of the others, on the questions asked."""
    arm, queries = shown_arm(evaluation), evaluation.asked
    others = [one for one in evaluation.ranked(SLICED, queries) if one != arm]
    if not others:
        return {}
    difference = evaluation.difference(arm, SLICED, queries, others[0])
    return {
        "arm": arm,
        "against": others[0],
        "metric": SLICED,
        "delta": _number(difference.delta),
        "ci95": [_number(difference.low), _number(difference.high)],
        "n": difference.n,
    }


def run_costs(evaluation: Evaluation) -> dict[str, Any]:
    """Return what this run cost: latencies of single searches in milliseconds, and the usage of the judge."""
    return {
        "latency_ms": {
            arm: {
                "p50": _number(result.latency_ms(50)),
                "p95": _number(result.latency_ms(95)),
                "n": len(result.seconds),
            }
            for arm, result in evaluation.arms.items()
        },
        "judge": asdict(evaluation.usage),
    }


def _means(evaluation: Evaluation, arm: str, queries: Sequence[Query]) -> dict[str, Any]:
    """Return the mean of every measure, with the number of queries and of those without a value."""
    found: dict[str, Any] = {}
    missing = {}
    for measure, values in evaluation.arms[arm].values.items():
        found[measure] = _number(evaluation.mean(arm, measure, queries))
        without_value = sum(math.isnan(values[query.id]) for query in queries)
        if without_value:
            missing[measure] = without_value
    found["n"] = len(queries)
    if missing:
        found["missing"] = missing
    return found


def slices(evaluation: Evaluation) -> dict[str, Any]:
    """Return each arm's difference to the baseline among queries of low, medium and high keyword-heaviness."""
    sliced: dict[str, Any] = {}
    for _, _, name in SLICES:
        queries = [q for q in evaluation.dataset.queries if heaviness_slice(evaluation.heaviness[q.id]) == name]
        arms = {arm: _slice_of(evaluation, arm, queries) for arm in evaluation.arms} if queries else {}
        sliced[name] = {"n": len(queries), "arms": arms}
    return sliced


def _slice_of(evaluation: Evaluation, arm: str, queries: Sequence[Query]) -> dict[str, Any]:
    difference = evaluation.difference(arm, SLICED, queries)
    return {
        SLICED: _number(evaluation.mean(arm, SLICED, queries)),
        "delta": _number(difference.delta),
        "ci95": [_number(difference.low), _number(difference.high)],
    }


def rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return one row per query and arm.

    It has ids, scores, the contexts that the generator was given (all of them without a generator), the answer, every
    measure, and the reasons for missing values.
    """
    return [
        {
            "query_id": query.id,
            "question": query.text,
            **_conversation(evaluation, query),
            "kind": query.kind,
            "drawn": query.drawn,
            "keyword_heaviness": evaluation.heaviness[query.id],
            "references": list(query.answers),
            "relevant": sorted(evaluation.dataset.relevant(query.id)),
            "arm": arm,
            "ids": [hit.id for hit in result.hits[query.id]],
            "scores": [hit.score for hit in result.hits[query.id]],
            "contexts": [hit.text for hit in result.hits[query.id][: evaluation.contexts or None]],
            **_answer_fields(result, query.id),
            **{measure: _number(values[query.id]) for measure, values in result.values.items()},
        }
        for query in evaluation.dataset.queries
        for arm, result in evaluation.arms.items()
    ]


def _conversation(evaluation: Evaluation, query: Query) -> dict[str, Any]:
    """Return the fields of a row that concern the conversation; none if there is none."""
    if not query.history:
        return {}
    return {"history": query.messages, "searched": evaluation.standalone.texts.get(query.id, query.text)}


def _answer_fields(result: ArmResult, id: str) -> dict[str, Any]:
    """Return the fields of a row that concern the answer; none if no answers were asked for."""
    if not result.answers:
        return {}
    answer = result.answers[id]
    return {
        "answer": answer.text if answer else None,
        "citations": list(answer.citations) if answer else [],
        "reasons": {measure: by_query[id] for measure, by_query in result.reasons.items() if id in by_query},
    }


def config(evaluation: Evaluation, store: PassageStore) -> dict[str, Any]:
    """Return what the figures depend on: versions, seed, generator, judge, backbone and collection."""
    libraries = (*LIBRARIES, *ANSWER_LIBRARIES) if evaluation.generator else LIBRARIES
    return {
        "lsb_rag": __version__,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in libraries},
        "dataset": evaluation.dataset.name,
        "dataset_sha256": _fingerprint(evaluation.dataset),
        "queries": {kind: len(queries) for kind, queries in evaluation.kinds.items()},
        "passages": evaluation.n_passages,
        "arms": list(evaluation.arms),
        "k": evaluation.k,
        "seed": evaluation.seed,
        "resamples": RESAMPLES,
        "contexts": evaluation.contexts or None,
        "generator": evaluation.generator or None,
        "judge": evaluation.judge or None,
        "embedding": evaluation.embedding or None,
        "collection": store.name,
        "units": store.encoder.units,
        "backbone": store.encoder.fingerprint.as_dict(),
    }


def _fingerprint(dataset: Dataset) -> str:
    """Return a hash of the queries, their answers and the judgements."""
    rows = [
        [q.id, q.text, q.kind, q.answers, sorted(dataset.qrels[q.id].items()), *([q.messages] if q.history else [])]
        for q in dataset.queries
    ]
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _number(value: float) -> float | None:
    """Return a value as JSON can hold it: None for NaN."""
    return None if math.isnan(value) else value
