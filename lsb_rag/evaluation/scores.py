"""Samples and scores of the metrics of contexts and answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..generation import Answer, is_refusal
from ..passage import Hit
from .dataset import Query

DIGITS = 9
"""Digits that a value is rounded to."""
Samples = Mapping[str, Mapping[str, "Sample"]]
"""``{arm: {query id: sample}}``."""
Metrics = Mapping[str, tuple[Callable[["Sample"], "Score"], tuple[str, ...]]]
"""Metrics by name, each with the fields of a sample that it looks at."""
_CITATION = re.compile(r"(?:\s+|^)\[(\d+(?:\s*,\s*\d+)*)\]")


@dataclass(frozen=True)
class Sample:
    """One answer of one arm, with everything that its metrics look at.

    :param question: Text of the query.
    :param references: Reference answers, any of which is right.
    :param answer: The answer without its citation marks; None where the generator failed.
    :param context_ids: Ids of the passages found, best first.
    :param contexts: Their texts.
    :param relevant_ids: Ids of the relevant passages.
    :param relevant: Their texts.
    """

    question: str
    references: tuple[str, ...]
    answer: str | None
    context_ids: tuple[str, ...]
    contexts: tuple[str, ...]
    relevant_ids: tuple[str, ...]
    relevant: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether the answer says that the passages contain none."""
        return self.answer is not None and is_refusal(self.answer)


@dataclass(frozen=True)
class Score:
    """A value, and the reason for it if it is not the metric's own.

    :param value: The value; NaN if there is none.
    :param reason: Why there is no value, or why it is not the metric's own; empty for the metric's own value.
    """

    value: float
    reason: str = ""


@dataclass
class Scores:
    """The scores of one arm.

    :param values: ``{measure: {query id: value}}``; NaN if there is none.
    :param reasons: ``{measure: {query id: reason}}``, for the scores that have a reason.
    """

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

    def put(self, measure: str, query: str, score: Score) -> None:
        """Add one score. A value that is not a number in [0, 1] counts as missing."""
        value, reason = score.value, score.reason
        if not math.isnan(value) and not -1e-6 <= value <= 1 + 1e-6:
            value, reason = math.nan, f"the metric gave {value:g}, which is not in [0, 1]"
        if math.isnan(value) and not reason:
            reason = "the metric gave no value"
        # RAGAS adds 1e-10 to a denominator. Without rounding, that alone would win and lose questions.
        self.values.setdefault(measure, {})[query] = round(value, DIGITS)
        if reason:
            self.reasons.setdefault(measure, {})[query] = reason


def score_all(
    samples: Samples, metrics: Metrics, progress: Callable[[int, int], None] | None = None
) -> dict[str, Scores]:
    """Score every arm's samples. What several arms have alike is scored once.

    :param progress: Called with the number of samples done and the total.
    :return: ``{arm: scores}``.
    """
    total, done = sum(map(len, samples.values())), 0
    found = {arm: Scores() for arm in samples}
    for id in dict.fromkeys(id for by_query in samples.values() for id in by_query):
        known: dict[tuple[object, ...], Score] = {}
        for arm, by_query in samples.items():
            if id not in by_query:
                continue
            sample = by_query[id]
            for name, (metric, fields) in metrics.items():
                key = (name, *(getattr(sample, field) for field in fields))
                if key not in known:
                    known[key] = metric(sample)
                found[arm].put(name, id, known[key])
            done += 1
            if progress:
                progress(done, total)
    return found


def score_answer(sample: Sample, similarity: Callable[[str, str], float]) -> Score:
    """Return the best similarity of an answer to one of its references.

    An answer that failed, and one without a reference, has no value. A refusal has 0.

    :param similarity: Of a reference and an answer, in this order.
    """
    if sample.answer is None:
        return no_value("the generator failed")
    if not sample.references:
        return no_value("the question has no reference answer")
    if sample.refused:
        return Score(0.0, "the answer is that there is none")  # its words may resemble the reference by chance
    best = max(similarity(reference, sample.answer) for reference in sample.references)
    return Score(min(1.0, max(0.0, best)))  # cosines can lie slightly outside


def no_value(reason: str) -> Score:
    """Return a score without a value."""
    return Score(math.nan, reason)


def without_citations(answer: Answer) -> str:
    """Return an answer without its citation marks, such as ``[1]``, and with white space folded."""

    def without_citation(match: re.Match[str]) -> str:
        numbers = map(int, match.group(1).split(","))
        is_citation = all(1 <= number <= len(answer.citations) for number in numbers)
        return "" if is_citation else match.group()

    return " ".join(_CITATION.sub(without_citation, answer.text).split())


def make_sample(
    query: Query, hits: Sequence[Hit], answer: Answer | None, relevant: Sequence[str], texts: Mapping[str, str]
) -> Sample:
    """Return the sample of one answer.

    :param relevant: Ids of the relevant passages.
    :param texts: ``{id: text}`` of the relevant passages that the collection holds.
    """
    return Sample(
        question=query.text,
        references=tuple(" ".join(reference.split()) for reference in query.answers if reference.strip()),
        answer=None if answer is None else without_citations(answer),
        context_ids=tuple(hit.id for hit in hits),
        contexts=tuple(hit.text for hit in hits),
        relevant_ids=tuple(relevant),
        relevant=tuple(texts[id] for id in relevant if id in texts),
    )
