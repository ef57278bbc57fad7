"""A report as an HTML page: one file that needs no network, with all text from outside escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...lexical.excerpt import Piece, excerpt
from ...passage import Hit
from ...utils.templates import html_template
from ..dataset import Query
from ..metric_names import groups, label
from ..results import BASELINE, Evaluation
from .charts import differences_chart, heaviness_chart
from .markdown import EXPLAINED
from .summary import SLICED, slices
from .wording import ANSWERS, RANKING, answer_measure, cell, headline, interval, notes, number, shown_arm

if TYPE_CHECKING:
    from markupsafe import Markup

QUESTIONS = 10
"""Number of best and of worst questions shown."""
PASSAGES = 3
"""Number of passages of each arm shown for a question."""


@dataclass(frozen=True)
class ShownPassage:
    """A passage of a question shown: its title or id, its text in pieces, and whether it is relevant."""

    name: str
    pieces: list[Piece]
    relevant: bool


@dataclass(frozen=True)
class Side:
    """The results of one arm for a question shown."""

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
    """Return the whole page as HTML.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    template = html_template("lsb_rag.evaluation.reports", "report.html.jinja", "eval")
    arm = shown_arm(evaluation)
    charts = _charts(evaluation, arm) if arm != BASELINE else []
    best, worst = _extremes(evaluation, arm, evaluation.asked) if arm != BASELINE else ([], [])
    return template.render(
        evaluation=evaluation,
        title=evaluation.dataset.name,
        headline=headline(evaluation),
        notes=notes(evaluation),
        kinds=[_kind_tables(evaluation, kind, queries) for kind, queries in evaluation.kinds.items()],
        labels=evaluation.labels,
        baseline=BASELINE,
        arm=arm,
        charts=charts,
        asked=len(evaluation.asked),
        slices=slices(evaluation),
        sliced=label(SLICED),
        best=[_shown_question(evaluation, arm, query, difference) for difference, query in best],
        worst=[_shown_question(evaluation, arm, query, difference) for difference, query in worst],
        explained=EXPLAINED,
        interval=interval,
        number=number,
    )


def _charts(evaluation: Evaluation, arm: str) -> list[tuple[str, Markup, Markup]]:
    """Return the charts of the ranking and of the answers: label, differences, differences by keyword-heaviness."""
    from markupsafe import Markup

    queries = evaluation.asked
    heaviness = [evaluation.heaviness[query.id] for query in queries]
    answers = answer_measure(evaluation, arm, queries)
    charts = []
    for measure in (RANKING,) if answers is None else (RANKING, answers):
        differences = [_difference(evaluation, arm, measure, query) for query in queries]
        if all(map(math.isnan, differences)):
            continue
        # Safe markup: the charts are drawn from numbers and our own names, not from questions or passages.
        by_question = Markup(differences_chart(differences, label(measure)))  # noqa: S704
        by_heaviness = Markup(heaviness_chart(heaviness, differences, label(measure)))  # noqa: S704
        charts.append((label(measure), by_question, by_heaviness))
    return charts


def _kind_tables(evaluation: Evaluation, kind: str, queries: Sequence[Query]) -> dict[str, Any]:
    """Return the tables of one kind: one row per arm, with the value and the comparison of every measure."""
    compared = {(c.arm, c.measure): c for c in evaluation.comparisons if c.kind == kind}
    tables = []
    for title, measures, _ in groups(evaluation.arms[BASELINE].values):
        rows = []
        for arm in evaluation.arms:
            cells = [(cell(evaluation, arm, measure, queries), compared.get((arm, measure))) for measure in measures]
            rows.append((arm, cells))
        tables.append({"title": title, "measures": [label(measure) for measure in measures], "rows": rows})
    return {"name": kind, "n": len(queries), "drawn": all(query.drawn for query in queries), "groups": tables}


def _difference(evaluation: Evaluation, arm: str, measure: str, query: Query) -> float:
    return evaluation.arms[arm].values[measure][query.id] - evaluation.arms[BASELINE].values[measure][query.id]


def _extremes(
    evaluation: Evaluation, arm: str, queries: Sequence[Query]
) -> tuple[list[tuple[float, Query]], list[tuple[float, Query]]]:
    """Return the questions that gain most and those that lose most in the ranking, each with its difference.

    Equal ones keep their order.
    """
    differences = [(_difference(evaluation, arm, RANKING, query), query) for query in queries]
    gains = sorted([one for one in differences if one[0] > 0], key=lambda one: -one[0])
    losses = sorted([one for one in differences if one[0] < 0], key=lambda one: one[0])
    return gains[:QUESTIONS], losses[:QUESTIONS]


def _shown_question(evaluation: Evaluation, arm: str, query: Query, difference: float) -> ShownQuestion:
    relevant = set(evaluation.dataset.relevant(query.id))
    marked = evaluation.marked.get(query.id, frozenset())
    sides = []
    for name in (BASELINE, arm):
        result = evaluation.arms[name]
        measures = [m for m in (RANKING, *ANSWERS) if m in result.values]
        values = [(label(m), number(result.values[m][query.id], 2)) for m in measures]
        answer = result.answers.get(query.id)
        passages = [_shown_passage(hit, marked, relevant) for hit in result.hits[query.id][:PASSAGES]]
        text = answer.text if answer else ""
        sides.append(Side(arm=evaluation.labels[name], values=values, answer=text, passages=passages))
    return ShownQuestion(query, evaluation.heaviness[query.id], difference, sides)


def _shown_passage(hit: Hit, marked: frozenset[str], relevant: set[str]) -> ShownPassage:
    return ShownPassage(hit.title or hit.id, excerpt(hit.body, marked), hit.id in relevant)
