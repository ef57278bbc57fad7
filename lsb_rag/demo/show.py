"""The demo on the terminal: both retrievers side by side, their answers, and the summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ..console import plain, shortened
from ..evaluation import ALL, ALL_ARMS, Evaluation, summary
from ..evaluation.evaluate import BASELINE
from ..evaluation.summary import MEASURE_NAMES, interval
from .run import Shown, Side

SUMMARY_MEASURES = ("hit@1", "hit@5", "mrr@10", "ndcg@10")
KINDS = {
    "keyword": "Keyword-heavy questions",
    "control": "Control: paraphrases that avoid the keywords",
}


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


def show_summary(console: Console, evaluation: Evaluation) -> None:
    """Every arm's means by kind, and its paired difference to vanilla with the 95 % interval."""
    for kind, queries in evaluation.kinds.items():
        if kind == ALL:
            continue
        drawn = all(query.drawn for query in queries)
        name = f"{kind} (drawn from passages, not asked)" if drawn else KINDS.get(kind, kind)
        table = Table(
            title=f"{name}, n = {len(queries)}",
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
        )
        table.add_column("retriever", no_wrap=True)
        for measure in SUMMARY_MEASURES:
            table.add_column(MEASURE_NAMES.get(measure, measure), justify="right", no_wrap=True)
        table.add_column("Δ MRR@10 [95 %]", justify="right", no_wrap=True)
        for arm in evaluation.arms:
            means = [f"{evaluation.mean(arm, measure, queries):.3f}" for measure in SUMMARY_MEASURES]
            difference = "" if arm == BASELINE else interval(evaluation.difference(arm, "mrr@10", queries))
            table.add_row(ALL_ARMS[arm], *means, difference, style="bold" if arm == "lsb" else "")
        console.print(table)
    console.print("Δ: mean paired difference to vanilla dense, with its 95 % bootstrap interval over questions.\n")


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
