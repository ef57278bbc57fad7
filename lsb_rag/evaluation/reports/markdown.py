"""A report in Markdown."""

from __future__ import annotations

from html import escape
from typing import Any

from ...utils.arguments import checked
from ...utils.text import without_controls
from ..arms import ARMS
from ..metric_names import groups, label
from ..results import BASELINE, Evaluation
from ..significance import RESAMPLES
from .summary import SLICED, slices
from .wording import cell, headline, interval, notes

EXPLAINED = (
    f"Δ: mean paired difference to {ARMS[BASELINE]}, 95 % bootstrap interval over queries ({RESAMPLES:,} "
    "resamples); p: paired randomisation test, by Holm's method over the measures; W/T/L: queries won, tied, lost."
)


@checked
def report(evaluation: Evaluation) -> str:
    """Return a report with a headline, tables by kind, differences by keyword-heaviness, and latencies."""
    lines = [f"# {_inline(evaluation.dataset.name)}", "", _inline(headline(evaluation)), ""]
    lines += [f"- {_inline(note)}" for note in notes(evaluation)]
    for kind, queries in evaluation.kinds.items():
        drawn = " (drawn from passages, not asked)" if queries and all(query.drawn for query in queries) else ""
        lines += ["", f"## {_inline(kind)}, n = {len(queries)}{drawn}"]
        for title, measures, leading in groups(evaluation.arms[BASELINE].values):
            columns = ["arm", *(label(measure) for measure in measures), f"Δ {label(leading)} [95 %]", "p", "W/T/L"]
            lines += ["", f"{title}:", "", _row(columns), "|---" * len(columns) + "|"]
            for arm in evaluation.arms:
                values = [cell(evaluation, arm, measure, queries) for measure in measures]
                lines.append(
                    _row([_name(evaluation, arm), *values, *_comparison_cells(evaluation, arm, kind, leading)])
                )
    sliced = slices(evaluation)
    lines += ["", f"## By keyword-heaviness, Δ {label(SLICED)} [95 %]", ""]
    lines += [_row(["arm", *(f"{name}, n = {one['n']}" for name, one in sliced.items())]), "|---" * 4 + "|"]
    for arm in evaluation.arms:
        if arm != BASELINE:
            lines.append(
                _row([_name(evaluation, arm), *(_slice_cell(one["arms"].get(arm)) for one in sliced.values())])
            )
    lines += ["", "## Latency of single searches, ms", "", "| arm | p50 | p95 |", "|---|---|---|"]
    lines += [
        _row([_name(evaluation, arm), f"{result.latency_ms(50):.1f}", f"{result.latency_ms(95):.1f}"])
        for arm, result in evaluation.arms.items()
    ]
    return "\n".join([*lines, "", EXPLAINED]) + "\n"


def _inline(text: str) -> str:
    """Return text that may come from outside, on one line and without HTML."""
    return escape(without_controls(" ".join(text.split())), quote=False)


def _name(evaluation: Evaluation, arm: str) -> str:
    return _inline(evaluation.labels[arm]).replace("|", "\\|")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _comparison_cells(evaluation: Evaluation, arm: str, kind: str, measure: str) -> list[str]:
    """Return the difference, p-value and counts of an arm; empty cells for the baseline and without any value."""
    one = next((c for c in evaluation.comparisons if (c.arm, c.kind, c.measure) == (arm, kind, measure)), None)
    if one is None or not one.difference.n:
        return ["", "", ""]
    d = one.difference
    return [interval(d), f"{one.p:.2g}", f"{d.wins}/{d.ties}/{d.losses}"]


def _slice_cell(one: dict[str, Any] | None) -> str:
    if one is None or one["delta"] is None:
        return ""
    low, high = one["ci95"]
    return f"{one['delta']:+.3f} [{low:+.3f}, {high:+.3f}]"
