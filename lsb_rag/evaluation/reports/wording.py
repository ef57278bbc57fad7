"""An evaluation in words: the headline, and what a reader has to know beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ..arms import ALL_ARMS
from ..dataset import Query
from ..metric_names import JUDGED, OFFLINE, label
from ..results import BASELINE, Evaluation
from ..significance import FEW, PairedDifference

RANKING = "mrr@10"
ANSWERS = ("answer_correctness", "string_present")
"""Of the answers, the first of these that there is."""
BACKBONE_EMBEDDING = "the collection's backbone"


def number(value: float, digits: int = 3) -> str:
    """A value for a table; a dash where there is none."""
    return "\u2013" if math.isnan(value) else f"{value:.{digits}f}"


def cell(evaluation: Evaluation, arm: str, measure: str, queries: Sequence[Query]) -> str:
    """The mean of a measure for a table, with the number of its queries where some have no value."""
    there = sum(not math.isnan(evaluation.arms[arm].values[measure][query.id]) for query in queries)
    mean = number(evaluation.mean(arm, measure, queries))
    return mean if there in (0, len(queries)) else f"{mean} (n {there})"


def answer_measure(evaluation: Evaluation, arm: str, queries: Sequence[Query]) -> str | None:
    """The measure of answers that stands for them: the first of :data:`ANSWERS` that both arms have values for."""
    there = [measure for measure in ANSWERS if measure in evaluation.arms[arm].values]
    return next((measure for measure in there if evaluation.difference(arm, measure, queries).n), None)


def shown_arm(evaluation: Evaluation) -> str:
    """The arm that the headline and the questions of a report are about."""
    return "lsb" if "lsb" in evaluation.arms else list(evaluation.arms)[-1]


def headline(evaluation: Evaluation) -> str:
    """Whether LexSemBridge is better than the baseline, by how much, how sure: of the ranking, and of the answers.

    Without LexSemBridge among the arms it is about the last of them. It speaks of the queries that somebody asked; of
    drawn ones only where there are no others.
    """
    arm = shown_arm(evaluation)
    queries = evaluation.asked
    if arm == BASELINE:
        return f"{ALL_ARMS[arm]} alone was run, on {len(queries)} queries."
    d = evaluation.difference(arm, RANKING, queries)
    before, after = (evaluation.mean(name, RANKING, queries) for name in (BASELINE, arm))
    said = (
        f"{ALL_ARMS[arm]} {verdict(d)} {ALL_ARMS[BASELINE]} on {len(queries)} queries: {label(RANKING)} {before:.3f} → "
        f"{after:.3f}, {interval(d)}; {d.wins} won, {d.ties} tied, {d.losses} lost."
    )
    measure = answer_measure(evaluation, arm, queries)
    if measure is None:
        return said
    d = evaluation.difference(arm, measure, queries)
    # Over the questions that both have a value for, as the difference is.
    both = [
        q for q in queries if not any(math.isnan(evaluation.arms[a].values[measure][q.id]) for a in (BASELINE, arm))
    ]
    before, after = (evaluation.mean(name, measure, both) for name in (BASELINE, arm))
    return f"{said} Its answers: {label(measure)} {before:.3f} → {after:.3f}, {interval(d)}, n = {d.n}."


def verdict(d: PairedDifference) -> str:
    """What the interval lets one say; nothing where there are too few queries for it."""
    if d.n < FEW:
        return "cannot be told, with so few queries, from"
    return "is better than" if d.low > 0 else "is worse than" if d.high < 0 else "cannot be told from"


def interval(d: PairedDifference) -> str:
    """``+0.173 [+0.135, +0.213]``; empty where nothing could be compared."""
    return f"{d.delta:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" if d.n else ""


def notes(evaluation: Evaluation) -> list[str]:
    """What a reader has to know: too few queries, queries left out, drawn ones, who answered, what has no value."""
    found = []
    for kind, queries in evaluation.kinds.items():
        if len(queries) < FEW:
            found.append(f"{kind}: only {len(queries)} queries; an interval over fewer than {FEW} says little.")
            continue
        differences = {
            m: evaluation.difference(shown_arm(evaluation), m, queries)
            for m in (*OFFLINE, *JUDGED)
            if m in evaluation.arms[BASELINE].values
        }
        few = [f"{label(m)} of {d.n}" for m, d in differences.items() if 0 < d.n < FEW]
        if few:
            found.append(f"{kind}: {', '.join(few)} queries only; an interval over fewer than {FEW} says little.")
    if evaluation.dataset.left_out:
        found.append(f"{evaluation.dataset.left_out} queries without a relevant passage were left out.")
    if evaluation.absent:
        found.append(
            f"{evaluation.absent} of the relevant passages are not in the collection and cannot be found; are the "
            "judgements older than the passages?"
        )
    if any(query.drawn for query in evaluation.dataset.queries):
        found.append("Drawn queries are words or spans of a passage; they favour BM25 by construction.")
    if evaluation.generator:
        found.append(
            f"Answers by {evaluation.generator} from the first {evaluation.contexts} passages found, alike for all "
            "arms; they are compared with the reference without citation marks."
        )
    if evaluation.judge:
        found.append(
            f"Judged by {evaluation.judge}: {evaluation.usage.requests} requests and about {evaluation.usage.tokens} "
            "tokens in this run; what an earlier run had judged was not asked again. Similarity by "
            f"{evaluation.embedding or BACKBONE_EMBEDDING}."
        )
    return found + _without_value(evaluation)


def unjudged(evaluation: Evaluation) -> str:
    """What to do when a judge was named and judged nothing that it was asked; empty where it did."""
    reasons: Counter[str] = Counter()
    for result in evaluation.arms.values():
        for measure in JUDGED:
            why = result.reasons.get(measure, {})
            if any(id not in why for id in result.values.get(measure, {})):
                return ""
            reasons.update(
                reason for reason in why.values() if "the judge" in reason and not reason.startswith("not asked")
            )
    if not evaluation.judge or not reasons:
        return ""
    return (
        f"The judge {evaluation.judge} judged nothing: {reasons.most_common(1)[0][0]}. Check that it runs, the model's "
        "name and OPENAI_API_KEY, and run again; all else is there."
    )


def _without_value(evaluation: Evaluation) -> list[str]:
    """Where a value is missing or is not the metric's own: how often in each arm, and why."""
    said: dict[str, list[str]] = {}
    for measure in evaluation.arms[BASELINE].values:
        counts: dict[tuple[str, str], Counter[str]] = {}
        for arm, result in evaluation.arms.items():
            for id, reason in result.reasons.get(measure, {}).items():
                value = result.values[measure][id]
                effect = "no value" if math.isnan(value) else f"counted as {value:g}"
                counts.setdefault((effect, reason), Counter())[ALL_ARMS[arm]] += 1
        for (effect, reason), by_arm in counts.items():
            listed = ", ".join(f"{arm} {count}" for arm, count in by_arm.items())
            said.setdefault(f"{effect}, because {reason} ({listed})", []).append(label(measure))
    return [f"{', '.join(measures)}: {what}." for what, measures in said.items()]
