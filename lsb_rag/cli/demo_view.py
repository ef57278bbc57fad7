"""The output of the demo: both retrievers side by side, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..demo.run import ComparedQuestion, Side
from ..evaluation import Evaluation, summary
from .console import citations, plain, shortened


def show_comparison(console: Console, number: int, comparison: ComparedQuestion) -> None:
    """Print the top hits of both sides, with the relevant passages marked, and both answers."""
    title = Text(f"{number}. {comparison.question.text}", style="bold")
    table = Table(title=title, title_justify="left", expand=True)
    table.add_column("#", no_wrap=True)
    table.add_column("vanilla dense", ratio=1, overflow="fold")
    table.add_column("LexSemBridge", ratio=1, overflow="fold")
    vanilla, lsb = comparison.vanilla, comparison.lsb
    for rank in range(max(len(vanilla.hits), len(lsb.hits))):
        table.add_row(str(rank + 1), _hit(comparison, vanilla, rank), _hit(comparison, lsb, rank))
    table.add_section()
    table.add_row("→", _answer(vanilla), _answer(lsb))
    console.print(table)
    console.print()


def as_json(comparisons: Sequence[ComparedQuestion], evaluation: Evaluation) -> dict[str, Any]:
    """Return the questions and the evaluation as one JSON object."""
    questions = [
        {
            "id": comparison.question.id,
            "question": comparison.question.text,
            "relevant": sorted(comparison.relevant),
            "arms": {"vanilla": _side_json(comparison.vanilla), "lsb": _side_json(comparison.lsb)},
        }
        for comparison in comparisons
    ]
    return {"questions": questions, "summary": summary(evaluation)}


def _side_json(side: Side) -> dict[str, Any]:
    return {
        "ids": [hit.id for hit in side.hits],
        "answer": side.answer.text,
        "citations": list(side.answer.citations),
    }


def _hit(comparison: ComparedQuestion, side: Side, rank: int) -> Text:
    if rank >= len(side.hits):
        return Text("")
    hit = side.hits[rank]
    if hit.id in comparison.relevant:
        return plain(f"✓ {hit.id}", "bold green")
    return plain(f"  {hit.id}")


def _answer(side: Side) -> Group:
    return Group(plain(shortened(side.answer.text, 400)), *citations(side.answer.citations, side.hits))
