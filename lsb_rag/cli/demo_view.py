"""The demo on the terminal: both retrievers side by side, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..demo.run import Shown, Side
from ..evaluation import Evaluation, summary
from .console import plain, shortened


def show_question(console: Console, number: int, shown: Shown) -> None:
    """One question: the top hits of both sides with the relevant passages marked, then both answers."""
    table = Table(title=Text(f"{number}. {shown.question.text}", style="bold"), title_justify="left", expand=True)
    table.add_column("#", no_wrap=True)
    table.add_column("vanilla dense", ratio=1, overflow="fold")
    table.add_column("LexSemBridge", ratio=1, overflow="fold")
    for rank in range(max(len(shown.vanilla.hits), len(shown.lsb.hits))):
        table.add_row(str(rank + 1), _hit(shown, shown.vanilla, rank), _hit(shown, shown.lsb, rank))
    table.add_section()
    table.add_row("→", _answer(shown.vanilla), _answer(shown.lsb))
    console.print(table)
    console.print()


def as_json(shown: Sequence[Shown], evaluation: Evaluation) -> dict[str, Any]:
    """The same as one JSON object."""
    return {
        "questions": [
            {
                "id": one.question.id,
                "question": one.question.text,
                "relevant": sorted(one.relevant),
                "arms": {
                    name: {
                        "ids": [hit.id for hit in side.hits],
                        "answer": side.answer.text,
                        "citations": list(side.answer.citations),
                    }
                    for name, side in (("vanilla", one.vanilla), ("lsb", one.lsb))
                },
            }
            for one in shown
        ],
        "summary": summary(evaluation),
    }


def _hit(shown: Shown, side: Side, rank: int) -> Text:
    if rank >= len(side.hits):
        return Text("")
    hit = side.hits[rank]
    relevant = hit.id in shown.relevant
    return plain(f"{'✓' if relevant else ' '} {hit.id}", "bold green" if relevant else "")


def _answer(side: Side) -> Group:
    cited = [plain(f"[{number}] {id}", "dim") for number, id in enumerate(side.answer.citations, start=1)]
    return Group(plain(shortened(side.answer.text, 400)), *cited)
