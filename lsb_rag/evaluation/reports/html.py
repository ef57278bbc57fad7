"""An evaluation as a page: one file that needs no network, with everything from outside escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...lexical.excerpt import Piece, excerpt
from ...passage import Hit
from ...utils.templates import html_template
from ..arms import ALL_ARMS
from ..dataset import Query
from ..metric_names import groups, label
from ..results import BASELINE, Evaluation
from .charts import differences_chart, heaviness_chart
from .markdown import EXPLAINED
from .summary import SLICED, slices
from .wording import ANSWERS, RANKING, answer_measure, cell, headline, interval, notes, number, shown_arm

QUESTIONS = 10
"""Best and worst questions shown."""
PASSAGES = 3
"""Passages of each arm shown for a question."""


@dataclass(frozen=True)
class ShownPassage:
    """A passage of a question that is shown: its title or id, its text in pieces, whether it is relevant."""

    name: str
    pieces: list[Piece]
    relevant: bool


@dataclass(frozen=True)
class Side:
    """What one arm made of a question that is shown."""

    arm: str
    values: list[tuple[str, str]]
    answer: str
    passages: list[ShownPassage]


@dataclass(frozen=True)
class ShownQuestion:
    """One of the best or worst questions, with both arms' passages and answers."""

    query: Query
    heaviness: float
    difference: float
    sides: list[Side]


def page(evaluation: Evaluation) -> str:
    """The whole page as HTML.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    template = html_template("lsb_rag.evaluation.reports", "report.html.jinja", "eval")
    from markupsafe import Markup

    arm = shown_arm(evaluation)
    asked = evaluation.asked
    measure = answer_measure(evaluation, arm, asked) or RANKING
    charts = []
    for one in dict.fromkeys([RANKING, measure]) if arm != BASELINE else ():
        differences = [_difference(evaluation, arm, one, query) for query in asked]
        heaviness = [evaluation.heaviness[query.id] for query in asked]
        if any(not math.isnan(d) for d in differences):
            # Drawn from numbers and names of our own; nothing in it comes from a question or a passage.
            drawn = (
                differences_chart(differences, label(one)),
                heaviness_chart(heaviness, differences, label(one)),
            )
            charts.append((label(one), *(Markup(svg) for svg in drawn)))  # noqa: S704
    best, worst = _extremes(evaluation, arm, asked) if arm != BASELINE else ([], [])
    return template.render(
        evaluation=evaluation,
        title=evaluation.dataset.name,
        headline=headline(evaluation),
        notes=notes(evaluation),
        kinds=[_kind(evaluation, kind, queries) for kind, queries in evaluation.kinds.items()],
        labels=ALL_ARMS,
        baseline=BASELINE,
        arm=arm,
        charts=charts,
        asked=len(asked),
        slices=slices(evaluation),
        sliced=label(SLICED),
        best=[_shown(evaluation, arm, query, d) for d, query in best],
        worst=[_shown(evaluation, arm, query, d) for d, query in worst],
        explained=EXPLAINED,
        interval=interval,
        number=number,
    )


def _kind(evaluation: Evaluation, kind: str, queries: Sequence[Query]) -> dict[str, Any]:
    """The tables of one kind: a row an arm, with the value and the comparison of every measure."""
    compared = {(c.arm, c.measure): c for c in evaluation.comparisons if c.kind == kind}
    return {
        "name": kind,
        "n": len(queries),
        "drawn": all(query.drawn for query in queries),
        "groups": [
            {
                "title": title,
                "measures": [label(measure) for measure in measures],
                "rows": [
                    (
                        arm,
                        [
                            (cell(evaluation, arm, measure, queries), compared.get((arm, measure)))
                            for measure in measures
                        ],
                    )
                    for arm in evaluation.arms
                ],
            }
            for title, measures, _ in groups(evaluation.arms[BASELINE].values)
        ],
    }


def _difference(evaluation: Evaluation, arm: str, measure: str, query: Query) -> float:
    ours, theirs = (evaluation.arms[name].values[measure][query.id] for name in (arm, BASELINE))
    return ours - theirs


def _extremes(
    evaluation: Evaluation, arm: str, queries: Sequence[Query]
) -> tuple[list[tuple[float, Query]], list[tuple[float, Query]]]:
    """The questions that gain most and those that lose most in the ranking; of equal ones the first."""
    differences = [(_difference(evaluation, arm, RANKING, query), query) for query in queries]
    ordered = sorted(differences, key=lambda one: one[0])
    return (
        sorted([one for one in differences if one[0] > 0], key=lambda one: -one[0])[:QUESTIONS],
        [one for one in ordered if one[0] < 0][:QUESTIONS],
    )


def _shown(evaluation: Evaluation, arm: str, query: Query, difference: float) -> ShownQuestion:
    relevant = set(evaluation.dataset.relevant(query.id))
    marked = evaluation.marked.get(query.id, frozenset())
    sides = []
    for name in (BASELINE, arm):
        result = evaluation.arms[name]
        measures = [m for m in (RANKING, *ANSWERS) if m in result.values]
        values = [(label(m), number(result.values[m][query.id], 2)) for m in measures]
        answer = result.answers.get(query.id)
        passages = [_passage(hit, marked, relevant) for hit in result.hits[query.id][:PASSAGES]]
        sides.append(Side(ALL_ARMS[name], values, answer.text if answer else "", passages))
    return ShownQuestion(query, evaluation.heaviness[query.id], difference, sides)


def _passage(hit: Hit, marked: frozenset[str], relevant: set[str]) -> ShownPassage:
    return ShownPassage(hit.title or hit.id, excerpt(hit.body, marked), hit.id in relevant)
