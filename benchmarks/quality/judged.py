"""Measure how far metrics of answers agree with a reader's marks and with a judge, and tell retrievers apart.

    lsb-rag evaluate demo --answers --out REPORT
    python -m benchmarks.quality.judged REPORT
    python -m benchmarks.quality.judged REPORT_OF_SQUAD --marks benchmarks/quality/marks_squad.jsonl
    python -m benchmarks.quality.judged REPORT_OF_SQUAD --restated
    python -m benchmarks.language_model MODELS --port 8200
    python -m benchmarks.quality.judged REPORT --judge qwen@http://127.0.0.1:8200/v1 --limit 12

``marks.jsonl`` beside this script marks 100 answers: those of the extractive generator to 50 of the demo's questions,
from the passages of the vanilla and of the default retriever, drawn from the questions where the two differ. A mark is
1 for an answer that tells what was asked, ½ for one that does so in part or of something else too, 0 for any other.
They were given before a metric was computed, and without knowing the retriever; one was given again when its answer
changed. ``marks_squad.jsonl`` marks 60 to 30 of
SQuAD's questions, over its passages and the first 1,933 of Natural Questions, in the same way. A mark names its answer
by query id, retriever and the beginning of the answer's SHA-256; an answer that has changed since is left out.

``--restated`` asks what becomes of the metrics where references are long and in other words than the passages': of each
question in a report, question and reference together are the reference, and string presence of the reference alone
stands for the marks.

Without ``--judge`` the metrics that need none are measured. A judge scores the first ``--limit`` answers that are no
refusals; it works ``--concurrency`` at a time, so that one that reads prompts from where they part is asked alike
things in a row. What it said is kept in ``--cache``, and a run that was cut off goes on.

Agreement: Kendall's tau-b, and Cohen's kappa of values and marks of at least one half. Their intervals are percentile
bootstraps over questions.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress
from scipy.stats import kendalltau
from sklearn.metrics import cohen_kappa_score

from lsb_rag import LexSemBridgeEncoder
from lsb_rag.evaluation import make_judge, paired_difference
from lsb_rag.evaluation.answer_metrics import score_answers
from lsb_rag.evaluation.json_cache import JsonCache
from lsb_rag.evaluation.metric_names import label
from lsb_rag.evaluation.ragas.judged import score_judged
from lsb_rag.evaluation.ragas.offline import score_offline
from lsb_rag.evaluation.scores import Sample, Samples, without_citations
from lsb_rag.generation import Answer

MARKS = Path(__file__).with_name("marks.jsonl")
VANILLA, LSB = "vanilla", "lsb"
MEASURES = (
    "string_present",
    "rouge_score",
    "non_llm_string_similarity",
    "chrf_score",
    "token_f1",
    "entity_recall",
    "answer_in_contexts",
    "context_entity_recall",
)
JUDGED = ("answer_correctness", "faithfulness")
HALF = 0.5
RESAMPLES = 2_000
Values = Mapping[str, float]
"""The value of each answer, NaN where it has none."""


def read_marks(path: Path) -> list[dict[str, Any]]:
    """Return the marked answers."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_report(report: Path) -> list[dict[str, Any]]:
    """Return the rows of a report that are about both retrievers and questions that people asked."""
    lines = (report / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["arm"] in (VANILLA, LSB) and not row["drawn"]]


def digest(row: Mapping[str, Any]) -> str:
    """Return the beginning of the SHA-256 of an answer in a report."""
    return hashlib.sha256((row["answer"] or "").encode()).hexdigest()[:16]


def string_presence_as_marks(report: Path) -> list[dict[str, Any]]:
    """Return a mark for each answer in a report that has a reference: whether it holds it."""
    return [
        {"id": row["query_id"], "arm": row["arm"], "answer_sha256": digest(row), "mark": row["string_present"]}
        for row in read_report(report)
        if row["references"] and row["answer"] is not None
    ]


def reported(marks: list[dict[str, Any]], report: Path) -> tuple[list[dict[str, Any]], Samples]:
    """Return the marks whose answers a report still holds in both arms, and these answers as samples."""
    rows = {(row["query_id"], row["arm"]): row for row in read_report(report)}

    def holds(mark: Mapping[str, Any]) -> bool:
        row = rows.get((mark["id"], mark["arm"]))
        return row is not None and digest(row) == mark["answer_sha256"]

    changed = {mark["id"] for mark in marks if not holds(mark)}
    print(f"{len(changed)} of {len({mark['id'] for mark in marks})} questions left out: their answers have changed.")
    kept = [mark for mark in marks if mark["id"] not in changed]
    samples: dict[str, dict[str, Sample]] = {VANILLA: {}, LSB: {}}
    for mark in kept:
        row = rows[mark["id"], mark["arm"]]
        samples[mark["arm"]][mark["id"]] = Sample(
            row["question"],
            tuple(" ".join(reference.split()) for reference in row["references"]),
            without_citations(Answer(row["answer"], tuple(row["citations"]))),
            tuple(row["ids"]),
            tuple(row["contexts"]),
            (),
            (),
        )
    return kept, samples


def restated(sample: Sample) -> Sample:
    """Return a sample whose reference is the question with its first reference: long, and in the asker's words."""
    return replace(sample, references=(f"{sample.question} {sample.references[0]}",))


def judged(samples: Samples, given: argparse.Namespace) -> dict[str, dict[str, Values]]:
    """Return what the judge says of the first answers that are no refusals, as ``{measure: {arm: values}}``."""
    judge = make_judge(given.judge, concurrency=given.concurrency, timeout=given.timeout, max_requests=0)
    ids = list(samples[LSB])
    answers = [(arm, id) for id in ids for arm in samples if not samples[arm][id].refused][: given.limit]
    chosen = {f"{arm} {id}": samples[arm][id] for arm, id in answers}
    with Progress() as bar:
        task = bar.add_task("judging")
        scores, usage = asyncio.run(
            score_judged(
                {"": chosen},
                judge,
                backbone=LexSemBridgeEncoder(),
                measures=given.measures.split(","),
                cache=JsonCache(given.cache),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    found = scores[""]
    print(f"{usage.requests} requests and {usage.tokens} tokens in this run.")
    for measure, reasons in found.reasons.items():
        print(f"{measure} of {len(reasons)} answers: {', '.join(sorted(set(reasons.values())))}.")
    return {
        measure: {arm: {id: values.get(f"{arm} {id}", np.nan) for id in ids} for arm in samples}
        for measure, values in found.values.items()
    }


def resampled(statistic: Callable[[np.ndarray, np.ndarray], float], values: np.ndarray, marks: np.ndarray) -> str:
    """Return a statistic with its interval over questions.

    :param values: Shape [questions, arms]; NaN where there is none.
    :param marks: The same shape.
    """

    def of(rows: np.ndarray) -> float:
        one, other = values[rows].ravel(), marks[rows].ravel()
        present = ~(np.isnan(one) | np.isnan(other))
        return statistic(one[present], other[present]) if present.sum() > 1 else np.nan

    rng = np.random.default_rng(0)
    n = len(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # resamples in which all are equal
        drawn = [of(rng.integers(0, n, n)) for _ in range(RESAMPLES)]
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        return f"{of(np.arange(n)):+.2f} [{low:+.2f}, {high:+.2f}]"


def tau(one: np.ndarray, other: np.ndarray) -> float:
    """Return Kendall's tau-b."""
    return float(kendalltau(one, other).statistic)


def kappa(one: np.ndarray, other: np.ndarray) -> float:
    """Return Cohen's kappa of the values of at least one half."""
    return float(cohen_kappa_score(one >= HALF, other >= HALF))


def row(measure: str, by_arm: Mapping[str, Values], marks: Mapping[str, Values]) -> list[str]:
    """Return a row of the table, of one measure against `marks`."""
    ids = [id for id in marks[LSB] if not all(np.isnan(by_arm[arm][id]) for arm in (VANILLA, LSB))]
    values, marked = (np.array([[one[arm][id] for arm in (VANILLA, LSB)] for id in ids]) for one in (by_arm, marks))
    n = int((~np.isnan(values)).sum())
    gain = paired_difference(*({id: by_arm[arm][id] for id in ids} for arm in (LSB, VANILLA)))
    told = np.sign(marked[:, 1] - marked[:, 0])
    said = np.sign(np.round(values[:, 1] - values[:, 0], 9))
    counts = [int(((told != 0) & (said == told * side)).sum()) for side in (1, 0, -1)]
    unequal = int(((told == 0) & (said != 0) & ~np.isnan(said)).sum())
    means = " \u2192 ".join(f"{np.nanmean(values[:, column]):.3f}" for column in (0, 1))
    interval = f"{means}, {gain.delta:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], n = {gain.n}" if gain.n else "\u2013"
    return [
        label(measure),
        str(n),
        resampled(tau, values, marked),
        resampled(kappa, values, marked),
        interval,
        ", ".join(map(str, counts)),
        str(unequal),
    ]


COLUMNS = (
    "measure",
    "answers",
    "tau-b",
    "kappa",
    "default \u2212 vanilla, 95 %",
    "told apart by the marks: alike, not, the other way",
    "told apart by the measure alone",
)


def main() -> None:
    """Score the marked answers and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.judged",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("report", type=Path, help="Folder that `lsb-rag evaluate --answers --out` wrote.")
    parser.add_argument("--marks", type=Path, default=MARKS, help="Marked answers, a JSON object a line.")
    parser.add_argument("--restated", action="store_true", help="Long references; string presence in place of marks.")
    parser.add_argument("--judge", default="", metavar="MODEL@URL", help="A judge, beside the other metrics.")
    parser.add_argument("--measures", default=",".join(JUDGED), help="What the judge is asked for.")
    parser.add_argument("--limit", type=int, default=40, help="Number of answers to judge.")
    parser.add_argument("--concurrency", type=int, default=200, help="Judgements asked for at a time.")
    parser.add_argument("--timeout", type=float, default=9000.0, help="Seconds to wait for one, with those before it.")
    parser.add_argument("--cache", type=Path, default=Path("judged-cache"), help="Folder in which judgements are kept.")
    given = parser.parse_args()
    rows = string_presence_as_marks(given.report) if given.restated else read_marks(given.marks)
    rows, samples = reported(rows, given.report)
    if given.restated:
        samples = {arm: {id: restated(sample) for id, sample in by_id.items()} for arm, by_id in samples.items()}
    offline, stated = score_offline(samples), score_answers(samples)
    measured: dict[str, dict[str, Values]] = {
        measure: {arm: {**offline[arm].values, **stated[arm].values}[measure] for arm in samples}
        for measure in MEASURES
    }
    if given.judge:
        measured |= judged(samples, given)
    marks = {arm: {row["id"]: float(row["mark"]) for row in rows if row["arm"] == arm} for arm in samples}
    gain = paired_difference(marks[LSB], marks[VANILLA])
    means = " \u2192 ".join(f"{np.mean(list(marks[arm].values())):.3f}" for arm in (VANILLA, LSB))
    print(f"marks: {means}, {gain.delta:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}], n = {gain.n}")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for measure, by_arm in measured.items():
        print(f"| {' | '.join(row(measure, by_arm, marks))} |", flush=True)
    if "answer_correctness" in measured:
        correct = measured["answer_correctness"]
        print("\nagainst answer correctness by the judge:")
        for measure in MEASURES:
            present = {
                arm: {id: np.nan if np.isnan(correct[arm][id]) else value for id, value in by_id.items()}
                for arm, by_id in measured[measure].items()
            }
            print(f"| {' | '.join(row(measure, present, correct)[:4])} |", flush=True)


if __name__ == "__main__":
    main()
