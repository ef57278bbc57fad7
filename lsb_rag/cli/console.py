"""What the command line shows: progress, hits, text from passages made safe for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ..utils.text import without_controls

if TYPE_CHECKING:
    from ..evaluation import Evaluation, Query
    from ..explain import Explanation
    from ..passage import Hit

SHOWN = (
    *("hit@1", "hit@5", "mrr@10", "ndcg@10"),
    *("string_present", "rouge_score", "chrf_score"),
    *("faithfulness", "answer_correctness", "answer_relevancy"),
)
"""The measures there is room for in a terminal."""
KINDS = {
    "keyword": "Keyword-heavy questions",
    "control": "Control: paraphrases that avoid the keywords",
}

# Progress and errors go to stderr, so that stdout holds the result alone.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def plain(text: str, style: str = "") -> Text:
    """Text from a passage for the terminal: no markup, no escape sequences, no direction overrides."""
    return Text(without_controls(text), style=style)


def shortened(text: str, characters: int) -> str:
    """One line of at most `characters`."""
    folded = " ".join(text.split())
    return folded if len(folded) <= characters else folded[: characters - 1] + "…"


def say(text: str) -> None:
    """One line on stderr: what was done, for the eye alone."""
    err.print(plain(text), soft_wrap=True)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Rate(ProgressColumn):
    """How many a second.

    :param of: Of what.
    """

    def __init__(self, of: str = "") -> None:
        super().__init__()
        self.of = of

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.{0 if speed >= 10 else 1}f}{self.of}/s" if speed else "", style="dim")


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


@contextmanager
def loading(label: str = "Loading") -> Iterator[None]:
    """A spinner with the seconds gone, for what cannot be counted."""
    with _bar(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        progress.add_task(label, total=None)
        yield


@contextmanager
def passages_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with passages per second and the time left, as a callback of (done, all)."""
    text, rate = TextColumn("{task.description}"), _Rate(" passages")
    with _bar(text, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def steps_progress(label: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar that names the step at work, as a callback of (step, done, all); all is 0 where that is not known."""
    text, rate = TextColumn("{task.description}"), _Rate()
    with _bar(SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()) as progress:
        task = progress.add_task(label, total=None)

        def update(step: str, done: int, total: int) -> None:
            description = f"{label}: {step}"
            if description != progress.tasks[0].description:
                progress.reset(task, description=description, total=total or None)
            progress.update(task, completed=done)

        yield update


def hits_table(hits: Sequence[Hit]) -> Table:
    """Hits as a table: rank, score, title or id, the beginning of the text."""
    table = Table(show_lines=False, expand=True)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("passage", overflow="fold", ratio=1)
    for rank, hit in enumerate(hits, start=1):
        passage = plain(hit.title or hit.id, "bold")
        if hit.title:
            passage.append_text(plain(f"  {hit.id}", "dim"))
        passage.append("\n").append_text(plain(shortened(hit.body, 240)))
        table.add_row(str(rank), f"{hit.score:.3f}", passage)
    return table


def explanation_chart(explained: Explanation) -> Group:
    """The effects of a query's units as a small bar chart; with a passage, its scores too."""
    moved = f"The bridge turns the query vector by {explained.degrees:.1f}° (cosine {explained.cosine_to_vanilla:.3f})."
    lines = [plain(moved)]
    if explained.passage is not None:
        scores = f"vanilla {explained.vanilla_score:.3f}, LexSemBridge {explained.score:.3f}"
        lines.append(plain(f"Score of {explained.passage}: {scores}."))
    if not explained.effects:
        lines.append(plain("No word of the query is known to the collection; the vector stays as it is."))
        return Group(*lines)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("word", overflow="fold")
    table.add_column("turns by", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    if explained.passage is not None:
        table.add_column("cosine", justify="right", no_wrap=True)
        table.add_column("lexical", justify="right", no_wrap=True)
    widest = max(effect.degrees for effect in explained.effects) or 1.0
    for effect in explained.effects:
        row: list[RenderableType] = [
            plain(effect.unit),
            Text(f"{effect.degrees:.1f}°"),
            Bar(1, 0, round(effect.degrees / widest, 3), width=24),  # rounded: equal words get equal bars
        ]
        if explained.passage is not None:
            row += [Text(f"{effect.cosine:+.3f}"), Text(f"{effect.lexical:+.3f}")]
        table.add_row(*row)
    return Group(*lines, table)


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Every arm's means by kind, and its paired difference to vanilla with the 95 % interval."""
    from ..evaluation import ALL
    from ..evaluation.metric_names import groups
    from ..evaluation.results import BASELINE

    for kind, queries in evaluation.kinds.items():
        if kind == ALL:
            continue
        drawn = all(query.drawn for query in queries)
        name = f"{kind} (drawn from passages, not asked)" if drawn else KINDS.get(kind, kind)
        console.print(plain(f"{name}, n = {len(queries)}", "bold"))
        for title, measures, leading in groups(evaluation.arms[BASELINE].values):
            shown = [measure for measure in SHOWN if measure in measures]
            console.print(_means_table(evaluation, queries, title, shown, leading))
    console.print("Δ: mean paired difference to vanilla dense, with its 95 % bootstrap interval over questions.\n")


def _means_table(
    evaluation: Evaluation, queries: Sequence[Query], title: str, measures: Sequence[str], leading: str
) -> Table:
    from ..evaluation import ALL_ARMS
    from ..evaluation.metric_names import label
    from ..evaluation.reports.wording import cell, interval
    from ..evaluation.results import BASELINE

    table = Table(
        title=title,
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("retriever", no_wrap=True)
    for measure in measures:
        table.add_column(label(measure).replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column(f"Δ {label(leading)}\n[95 %]", justify="right", no_wrap=True)
    for arm in evaluation.arms:
        means = [cell(evaluation, arm, measure, queries) for measure in measures]
        difference = "" if arm == BASELINE else interval(evaluation.difference(arm, leading, queries))
        table.add_row(ALL_ARMS[arm], *means, difference, style="bold" if arm == "lsb" else "")
    return table
