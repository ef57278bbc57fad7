"""Draw the README's picture from a report of `lsb-rag evaluate demo --answers --out FOLDER`.

    python -m benchmarks.quality.picture docs/results/demo

It compares every retriever with the vanilla dense one: the mean difference in MRR@10 with its 95 % interval.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lsb_rag.evaluation import ALL_ARMS

PANELS = {"keyword": "questions that name something", "control": "control: paraphrases that avoid the words"}
GAIN, LOSS, UNSURE, INK, OURS = "#1a7f4b", "#c0392b", "#9aa4ad", "#1c2127", "lsb"


def draw(summary: dict[str, Any]) -> Figure:
    """Draw two panels, keyword-heavy questions and the control, with a bar for each retriever."""
    figure = Figure(figsize=(9, 3.1), layout="constrained", facecolor="white")
    FigureCanvasSVG(figure)
    arms = [arm for arm in reversed(summary["arms"]) if arm != "vanilla"]
    for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True, sharex=True), PANELS.items(), strict=True):
        of_kind = [c for c in summary["comparisons"] if c["kind"] == kind and c["metric"] == "mrr@10"]
        for row, arm in enumerate(arms):
            one = next(c for c in of_kind if c["arm"] == arm)
            low, high = one["ci95"]
            colour = GAIN if low > 0 else LOSS if high < 0 else UNSURE
            axes.barh(row, one["delta"], color=colour, height=0.66, alpha=1.0 if arm == OURS else 0.7)
            axes.plot([low, high], [row, row], color=INK, linewidth=1.2)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(arms)), [ALL_ARMS[arm] for arm in arms])
        for tick in axes.get_yticklabels():
            tick.set_fontweight("bold" if tick.get_text() == ALL_ARMS[OURS] else "normal")
        axes.set_title(f"{title}, n = {summary['arms']['vanilla'][kind]['n']}", fontsize=10)
        axes.set_xlabel("MRR@10 minus that of the vanilla dense retriever")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main(folder: Annotated[Path, typer.Argument(help="A report's folder.")]) -> None:
    """Draw `folder`/mrr.svg from `folder`/summary.json."""
    figure = draw(json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    with rc_context({"svg.hashsalt": "lsb-rag"}):
        figure.savefig(folder / "mrr.svg", metadata={"Date": None, "Creator": None})
    print(folder / "mrr.svg")


if __name__ == "__main__":
    typer.run(main)
