"""An evaluation as files: ``summary.json``, ``rows.jsonl``, ``config.json`` and ``report.md``."""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import __version__
from ..errors import StoreError
from ..store import PassageStore
from .arms import ALL_ARMS
from .evaluate import ALL, BASELINE, Evaluation
from .keyword_heaviness import SLICES, heaviness_slice
from .significance import FEW, RESAMPLES, PairedDifference

LIBRARIES = ("torch", "transformers", "sentence-transformers", "chromadb", "bm25s", "ir-measures", "scipy")
HEADLINE_MEASURES = ("mrr@10", "hit@1")
SLICED = "mrr@10"
MEASURE_NAMES = {"mrr@10": "MRR@10", "ndcg@10": "nDCG@10"}


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """``{"dataset", "n_passages", "arms": {arm: {kind: {measure: value, "n"}}}, "comparisons": [...], ...}``.

    Latencies are in milliseconds, of single searches, beside the measures of the queries together. A value that cannot
    be given is None.
    """
    kinds = evaluation.kinds
    together = ALL if ALL in kinds else next(iter(kinds))
    arms: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for arm, result in evaluation.arms.items():
        arms[arm] = {
            kind: {**{m: _number(evaluation.mean(arm, m, queries)) for m in result.values}, "n": len(queries)}
            for kind, queries in kinds.items()
        }
        arms[arm][together] |= {f"latency_p{p}_ms": _number(result.latency_ms(p)) for p in (50, 95)}
    return {
        "dataset": evaluation.dataset.name,
        "n_passages": evaluation.n_passages,
        "arms": arms,
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
            }
            for one in evaluation.comparisons
        ],
        "keyword_heaviness": _slices(evaluation),
        "left_out": evaluation.dataset.left_out,
    }


def _slices(evaluation: Evaluation) -> dict[str, Any]:
    """Each arm's difference to the baseline among queries of low, medium and high keyword-heaviness."""
    sliced: dict[str, Any] = {}
    for _, _, name in SLICES:
        queries = [q for q in evaluation.dataset.queries if heaviness_slice(evaluation.heaviness[q.id]) == name]
        arms = {}
        for arm in evaluation.arms if queries else ():
            difference = evaluation.difference(arm, SLICED, queries)
            arms[arm] = {
                SLICED: _number(evaluation.mean(arm, SLICED, queries)),
                "delta": _number(difference.delta),
                "ci95": [_number(difference.low), _number(difference.high)],
            }
        sliced[name] = {"n": len(queries), "arms": arms}
    return sliced


def rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row a query and arm: ids, scores, contexts and every measure."""
    return [
        {
            "query_id": query.id,
            "question": query.text,
            "kind": query.kind,
            "drawn": query.drawn,
            "keyword_heaviness": evaluation.heaviness[query.id],
            "references": list(query.answers),
            "relevant": sorted(id for id, score in evaluation.dataset.qrels[query.id].items() if score > 0),
            "arm": arm,
            "ids": [hit.id for hit in result.hits[query.id]],
            "scores": [hit.score for hit in result.hits[query.id]],
            "contexts": [hit.text for hit in result.hits[query.id]],
            **{measure: _number(values[query.id]) for measure, values in result.values.items()},
        }
        for query in evaluation.dataset.queries
        for arm, result in evaluation.arms.items()
    ]


def config(evaluation: Evaluation, store: PassageStore) -> dict[str, Any]:
    """What the figures depend on: versions, seed, backbone and collection."""
    return {
        "lsb_rag": __version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "dataset": evaluation.dataset.name,
        "arms": list(evaluation.arms),
        "k": evaluation.k,
        "seed": evaluation.seed,
        "resamples": RESAMPLES,
        "collection": store.name,
        "units": store.encoder.units,
        "backbone": asdict(store.encoder.fingerprint),
    }


def report(evaluation: Evaluation) -> str:
    """The evaluation in Markdown: a headline, a table a kind, and where the bridge helps."""
    lines = [f"# {evaluation.dataset.name}", "", headline(evaluation), ""]
    lines += [f"- {note}" for note in notes(evaluation)]
    for kind, queries in evaluation.kinds.items():
        measures = list(evaluation.arms[BASELINE].values)
        drawn = " (drawn from passages, not asked)" if queries and all(query.drawn for query in queries) else ""
        lines += ["", f"## {kind}, n = {len(queries)}{drawn}", ""]
        lines.append(
            "| arm | " + " | ".join(MEASURE_NAMES.get(m, m) for m in measures) + " | Δ MRR@10 [95 %] | p | W/T/L |"
        )
        lines.append("|---" * (len(measures) + 4) + "|")
        for arm in evaluation.arms:
            values = " | ".join(f"{evaluation.mean(arm, m, queries):.3f}" for m in measures)
            lines.append(f"| {ALL_ARMS[arm]} | {values} | {_against(evaluation, arm, kind)} |")
    lines += ["", f"## By keyword-heaviness, Δ {MEASURE_NAMES[SLICED]} [95 %]", ""]
    sliced = _slices(evaluation)
    lines.append("| arm | " + " | ".join(f"{name}, n = {one['n']}" for name, one in sliced.items()) + " |")
    lines.append("|---" * (len(sliced) + 1) + "|")
    for arm in evaluation.arms:
        cells = [_slice_cell(one["arms"].get(arm)) for one in sliced.values()] if arm != BASELINE else []
        if cells:
            lines.append(f"| {ALL_ARMS[arm]} | " + " | ".join(cells) + " |")
    lines += ["", "## Latency of single searches, ms", "", "| arm | p50 | p95 |", "|---|---|---|"]
    lines += [
        f"| {ALL_ARMS[arm]} | {result.latency_ms(50):.1f} | {result.latency_ms(95):.1f} |"
        for arm, result in evaluation.arms.items()
    ]
    lines += [
        "",
        f"Δ: mean paired difference to {ALL_ARMS[BASELINE]}, 95 % bootstrap interval over queries ({RESAMPLES:,} "
        "resamples); p: paired randomisation test, by Holm's method over the measures; W/T/L: queries won, tied, lost.",
    ]
    return "\n".join(lines) + "\n"


def headline(evaluation: Evaluation) -> str:
    """One sentence: whether LexSemBridge is better than the baseline, by how much, how sure.

    It speaks of the queries that somebody asked; of drawn ones only where there are no others.
    """
    arm = "lsb" if "lsb" in evaluation.arms else list(evaluation.arms)[-1]
    queries = [query for query in evaluation.dataset.queries if not query.drawn] or evaluation.dataset.queries
    if arm == BASELINE:
        return f"{ALL_ARMS[arm]} alone was run, on {len(queries)} queries."
    measure = HEADLINE_MEASURES[0]
    d = evaluation.difference(arm, measure, queries)
    verdict = "is better than" if d.low > 0 else "is worse than" if d.high < 0 else "cannot be told from"
    values = (evaluation.mean(name, measure, queries) for name in (BASELINE, arm))
    before, after = values
    return (
        f"{ALL_ARMS[arm]} {verdict} {ALL_ARMS[BASELINE]} on {len(queries)} queries: MRR@10 {before:.3f} → {after:.3f}, "
        f"{interval(d)}; {d.wins} won, {d.ties} tied, {d.losses} lost."
    )


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader has to know: too few queries, queries left out, drawn ones."""
    found = []
    for kind, queries in evaluation.kinds.items():
        if len(queries) < FEW:
            found.append(f"{kind}: only {len(queries)} queries; an interval over fewer than {FEW} says little.")
    if evaluation.dataset.left_out:
        found.append(f"{evaluation.dataset.left_out} queries without a relevant passage were left out.")
    if any(query.drawn for query in evaluation.dataset.queries):
        found.append("Drawn queries are words or spans of a passage; they favour BM25 by construction.")
    return found


def interval(d: PairedDifference) -> str:
    """``+0.173 [+0.135, +0.213]``."""
    return f"{d.delta:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"


def write_report(evaluation: Evaluation, store: PassageStore, folder: str | Path) -> None:
    """Write ``summary.json``, ``rows.jsonl``, ``config.json`` and ``report.md`` into `folder`, each in one piece.

    :raises StoreError: When the folder cannot be written.
    """
    root = report_folder(folder)
    files = {
        "summary.json": json.dumps(summary(evaluation), indent=2) + "\n",
        "rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows(evaluation)),
        "config.json": json.dumps(config(evaluation, store), indent=2) + "\n",
        "report.md": report(evaluation),
    }
    try:
        for name, text in files.items():
            temporary = root / f"{name}.{uuid4().hex}.tmp"
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, root / name)
    except OSError as error:
        raise StoreError(f"Cannot write the report to {root}: {error}") from error


def report_folder(folder: str | Path) -> Path:
    """The folder of a report, made if it is not there.

    :raises StoreError: When it cannot be made or written.
    """
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f"{uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"Cannot write the report to {root}: {error}") from error
    return root


def _against(evaluation: Evaluation, arm: str, kind: str) -> str:
    one = next((c for c in evaluation.comparisons if (c.arm, c.kind, c.measure) == (arm, kind, "mrr@10")), None)
    if one is None:
        return " |  | "
    d = one.difference
    return f"{interval(d)} | {one.p:.2g} | {d.wins}/{d.ties}/{d.losses}"


def _slice_cell(one: dict[str, Any] | None) -> str:
    if one is None or one["delta"] is None:
        return ""
    low, high = one["ci95"]
    return f"{one['delta']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
