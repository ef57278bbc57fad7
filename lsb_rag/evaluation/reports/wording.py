"""A report in words: the headline, and the notes that a reader has to know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from ...utils.arguments import checked
from ..arms import ALL_ARMS
from ..dataset import Query
from ..metric_names import JUDGED, OFFLINE, STATED, label
from ..results import BASELINE, Evaluation
from ..significance import FEW, PairedDifference

RANKING = "mrr@10"
"""Measure that stands for the ranking."""
ANSWERS = ("string_present", "entity_recall")
"""Measures that stand for the answers: of short references and of long ones. They agree with a reader's marks, see
``docs/evaluation.md``."""
SHORT = 10
"""Words; a right answer rarely holds a longer reference word for word."""
BACKBONE_EMBEDDING = "the collection's backbone"


def number(value: float, digits: int = 3) -> str:
    """Return a value for a table, or a dash if there is none."""
    return "\u2013" if math.isnan(value) else f"{value:.{digits}f}"


def cell(evaluation: Evaluation, arm: str, measure: str, queries: Sequence[Query]) -> str:
    """Return the mean of a measure for a table, with the number of queries it is over if some have no value."""
    n = sum(not math.isnan(evaluation.arms[arm].values[measure][query.id]) for query in queries)
    mean = number(evaluation.mean(arm, measure, queries))
    return mean if n in (0, len(queries)) else f"{mean} (n {n})"


def answer_measure(evaluation: Evaluation, arm: str, queries: Sequence[Query]) -> str | None:
    """Return the measure that stands for the answers, or None without one.

    It is chosen by the references, before any value: the second of :data:`ANSWERS` where most are longer than
    :data:`SHORT`.
    """
    words = [min(len(one.split()) for one in query.answers) for query in queries if query.answers]
    measure = ANSWERS[2 * sum(n <= SHORT for n in words) < len(words)]
    held = measure in evaluation.arms[arm].values and evaluation.difference(arm, measure, queries).n
    return measure if held else None


def shown_arm(evaluation: Evaluation) -> str:
    """Return the arm that the headline and the questions of a report are about."""
    return "lsb" if "lsb" in evaluation.arms else list(evaluation.arms)[-1]


@checked
def headline(evaluation: Evaluation) -> str:
    """Return whether LexSemBridge is better than the baseline, by how much, and how sure that is.

    It says too how it stands to the best arm and to the retrievers of one's own. It is about the ranking, and about the
    answers if there are any. Without LexSemBridge among the arms it is about the last of them. It covers the queries
    that people asked, and drawn ones only if there are no others.
    """
    arm = shown_arm(evaluation)
    queries, labels = evaluation.asked, evaluation.labels
    if arm == BASELINE:
        return f"{labels[arm]} alone was run, on {len(queries)} queries."
    d = evaluation.difference(arm, RANKING, queries)
    before, after = (evaluation.mean(name, RANKING, queries) for name in (BASELINE, arm))
    said = [
        f"{labels[arm]} {verdict(d)} {labels[BASELINE]} on {len(queries)} queries: {label(RANKING)} {before:.3f} → "
        f"{after:.3f}, {interval(d)}; {d.wins} won, {d.ties} tied, {d.losses} lost."
    ]
    measure = answer_measure(evaluation, arm, queries)
    if measure is not None:
        d = evaluation.difference(arm, measure, queries)
        # The means are over the queries that both arms have a value for, as the difference is.
        ours, baseline = evaluation.arms[arm].values[measure], evaluation.arms[BASELINE].values[measure]
        both = [query for query in queries if not math.isnan(ours[query.id]) and not math.isnan(baseline[query.id])]
        before, after = (evaluation.mean(name, measure, both) for name in (BASELINE, arm))
        said.append(f"Its answers: {label(measure)} {before:.3f} → {after:.3f}, {interval(d)}, n = {d.n}.")
    return " ".join([*said, *_standing(evaluation, arm, queries)])


def _standing(evaluation: Evaluation, arm: str, queries: Sequence[Query]) -> list[str]:
    """Return how an arm stands to the best of the others, and to each retriever that is not ours."""
    others = [one for one in evaluation.ranked(RANKING, queries) if one not in (arm, BASELINE)]
    if not others:
        return []
    own, mean = evaluation.labels[arm], evaluation.mean(arm, RANKING, queries)
    found = []
    for other in [others[0], *(one for one in others[1:] if one not in ALL_ARMS)]:
        d = evaluation.difference(arm, RANKING, queries, other)
        theirs = evaluation.mean(other, RANKING, queries)
        role = "" if other != others[0] else "the best arm, " if theirs > mean else "the next best arm, "
        found.append(f"{own} {verdict(d)} {role}{evaluation.labels[other]}, {theirs:.3f}: {interval(d)}.")
    return found


def verdict(d: PairedDifference) -> str:
    """Return what the interval allows to say, which is nothing with too few queries."""
    if d.n < FEW:
        return "cannot be told, with so few queries, from"
    if d.low > 0:
        return "is better than"
    if d.high < 0:
        return "is worse than"
    return "cannot be told from"


def interval(d: PairedDifference) -> str:
    """Return a difference with its interval, such as ``+0.173 [+0.135, +0.213]``; empty if no query was compared."""
    return f"{d.delta:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" if d.n else ""


def notes(evaluation: Evaluation) -> list[str]:
    """Return what a reader has to know.

    The notes are about too few queries, queries left out or drawn, the generator, the judge, and missing values.
    """
    found = _few_queries(evaluation)
    if evaluation.dataset.left_out:
        found.append(f"{evaluation.dataset.left_out} queries without a relevant passage were left out.")
    if evaluation.dataset.blank:
        found.append(f"{evaluation.dataset.blank} blank queries were left out.")
    if evaluation.dataset.repeated:
        found.append(
            f"{evaluation.dataset.repeated} queries repeat others; each question counts once, so that repetition makes "
            "nothing surer."
        )
    if evaluation.copies:
        found.append(
            f"{evaluation.copies} of {evaluation.n_passages} passages are copies of others. A text counts once in a "
            "ranking, and a copy of a relevant passage is relevant."
        )
    found += _conversations(evaluation)
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
        found += _refusals(evaluation)
    if evaluation.judge:
        found.append(
            f"Judged by {evaluation.judge}: {evaluation.usage.requests} requests and about {evaluation.usage.tokens} "
            "tokens in this run; what an earlier run had judged was not asked again. Similarity by "
            f"{evaluation.embedding or BACKBONE_EMBEDDING}."
        )
    found += [note for result in evaluation.arms.values() for note in result.notes]
    return found + _missing_values(evaluation)


def _conversations(evaluation: Evaluation) -> list[str]:
    """Return a note on the queries that continue a conversation, if there are any."""
    later = sum(bool(query.history) for query in evaluation.dataset.queries)
    if not later:
        return []
    if not evaluation.standalone.alone:
        return [f"{later} queries continue a conversation and were searched for as they are: no `condense` was given."]
    failed = evaluation.standalone.failed
    return [
        f"{later} queries continue a conversation and were made to stand alone before the search"
        + (f", but for {failed} where that failed." if failed else ".")
    ]


def _refusals(evaluation: Evaluation) -> list[str]:
    """Return a note on the answers that say that there is none, and one on replaced ones, if there are any."""
    answers = {arm: [one for one in result.answers.values() if one] for arm, result in evaluation.arms.items()}
    refused = {arm: sum(one.refused for one in all_) for arm, all_ in answers.items()}
    replaced = {arm: sum(one.replaced for one in all_) for arm, all_ in answers.items()}
    counts = {
        "Answers that say that the passages found hold none": refused,
        "Answers replaced, as they named an identifier that no passage found holds": replaced,
    }
    return [
        f"{what}: {', '.join(f'{evaluation.labels[arm]} {n}' for arm, n in by_arm.items())}."
        for what, by_arm in counts.items()
        if any(by_arm.values())
    ]


def _few_queries(evaluation: Evaluation) -> list[str]:
    """Return a note for each kind with too few queries, or too few with a value for some measure."""
    found = []
    arm = shown_arm(evaluation)
    for kind, queries in evaluation.kinds.items():
        if len(queries) < FEW:
            found.append(f"{kind}: only {len(queries)} queries; an interval over fewer than {FEW} says little.")
            continue
        measures = [measure for measure in (*OFFLINE, *STATED, *JUDGED) if measure in evaluation.arms[BASELINE].values]
        counts = {measure: evaluation.difference(arm, measure, queries).n for measure in measures}
        few = [f"{label(measure)} of {n}" for measure, n in counts.items() if 0 < n < FEW]
        if few:
            found.append(f"{kind}: {', '.join(few)} queries only; an interval over fewer than {FEW} says little.")
    return found


def judge_problem(evaluation: Evaluation) -> str:
    """Return why a judge judged nothing that it was asked, and what to do; empty if there is no such problem."""
    reasons: Counter[str] = Counter()
    for result in evaluation.arms.values():
        for measure in JUDGED:
            by_query = result.reasons.get(measure, {})
            if any(id not in by_query for id in result.values.get(measure, {})):
                return ""
            reasons.update(
                reason for reason in by_query.values() if "the judge" in reason and not reason.startswith("not asked")
            )
    if not evaluation.judge or not reasons:
        return ""
    return (
        f"The judge {evaluation.judge} judged nothing: {reasons.most_common(1)[0][0]}. Check that it runs, the model's "
        "name and OPENAI_API_KEY, and run again; all else is there."
    )


def _missing_values(evaluation: Evaluation) -> list[str]:
    """Return a note for each reason why values are missing or not the metric's own, with the counts by arm."""
    found: dict[str, list[str]] = {}
    for measure in evaluation.arms[BASELINE].values:
        counts: dict[tuple[str, str], Counter[str]] = {}
        for arm, result in evaluation.arms.items():
            for id, reason in result.reasons.get(measure, {}).items():
                value = result.values[measure][id]
                effect = "no value" if math.isnan(value) else f"counted as {value:g}"
                counts.setdefault((effect, reason), Counter())[evaluation.labels[arm]] += 1
        for (effect, reason), by_arm in counts.items():
            listed = ", ".join(f"{arm} {count}" for arm, count in by_arm.items())
            found.setdefault(f"{effect}, because {reason} ({listed})", []).append(label(measure))
    return [f"{', '.join(measures)}: {what}." for what, measures in found.items()]
