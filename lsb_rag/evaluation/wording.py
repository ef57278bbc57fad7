"""An evaluation in words: the headline, and what a reader has to know beside it."""

from __future__ import annotations

import math
from collections import Counter

from .arms import ALL_ARMS
from .measures import JUDGED, label
from .results import BASELINE, ArmResult, Evaluation
from .significance import FEW, PairedDifference

RANKING = "mrr@10"
ANSWERS = ("answer_correctness", "string_present")
"""Of the answers, the first of these that there is."""
BACKBONE_EMBEDDING = "the collection's backbone"


def shown_arm(evaluation: Evaluation) -> str:
    """The arm that the headline and the questions of a report are about."""
    return "lsb" if "lsb" in evaluation.arms else list(evaluation.arms)[-1]


def headline(evaluation: Evaluation) -> str:
    """Whether LexSemBridge is better than the baseline, by how much, how sure: of the ranking, and of the answers.

    It speaks of the queries that somebody asked; of drawn ones only where there are no others.
    """
    arm = shown_arm(evaluation)
    queries = [query for query in evaluation.dataset.queries if not query.drawn] or evaluation.dataset.queries
    if arm == BASELINE:
        return f"{ALL_ARMS[arm]} alone was run, on {len(queries)} queries."
    d = evaluation.difference(arm, RANKING, queries)
    before, after = (evaluation.mean(name, RANKING, queries) for name in (BASELINE, arm))
    said = (
        f"{ALL_ARMS[arm]} {verdict(d)} {ALL_ARMS[BASELINE]} on {len(queries)} queries: {label(RANKING)} {before:.3f} → "
        f"{after:.3f}, {interval(d)}; {d.wins} won, {d.ties} tied, {d.losses} lost."
    )
    measure = next((m for m in ANSWERS if m in evaluation.arms[arm].values), None)
    if measure is None or not (d := evaluation.difference(arm, measure, queries)).n:
        return said
    # Over the questions that both have a value for, as the difference is.
    both = [
        q for q in queries if not any(math.isnan(evaluation.arms[a].values[measure][q.id]) for a in (BASELINE, arm))
    ]
    before, after = (evaluation.mean(name, measure, both) for name in (BASELINE, arm))
    return f"{said} Its answers: {label(measure)} {before:.3f} → {after:.3f}, {interval(d)}, n = {d.n}."


def verdict(d: PairedDifference) -> str:
    """What the interval lets one say."""
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
    if evaluation.dataset.left_out:
        found.append(f"{evaluation.dataset.left_out} queries without a relevant passage were left out.")
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
    """What to do when a judge was named and judged nothing; empty where it did."""
    values = [value for result in evaluation.arms.values() for m in JUDGED for value in _judged(result, m)]
    if not evaluation.judge or not values or not all(math.isnan(value) for value in values):
        return ""
    reasons = Counter(
        r for result in evaluation.arms.values() for m in JUDGED for r in result.reasons.get(m, {}).values()
    )
    return (
        f"The judge {evaluation.judge} judged nothing: {reasons.most_common(1)[0][0]}. Check that it runs, the model's "
        "name and OPENAI_API_KEY, and run again; all else is in the report."
    )


def _judged(result: ArmResult, measure: str) -> list[float]:
    """The values that come from the judge, or should: not those that were set without asking it."""
    values, reasons = result.values.get(measure, {}), result.reasons.get(measure, {})
    return [value for id, value in values.items() if math.isnan(value) or id not in reasons]


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
