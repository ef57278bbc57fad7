"""Output on the terminal: progress, hits, explanations, evaluations. Text from passages is made safe for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from rich import box
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.markup import escape
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
    *("entity_recall", "token_f1", "answer_in_contexts"),
    *("faithfulness", "answer_correctness", "answer_relevancy"),
)
"""The measures that fit into a terminal."""
KINDS = {
    "keyword": "Keyword-heavy questions",
    "control": "Control: paraphrases that avoid the keywords",
}

SECONDS_PER_LINE = 5

# Progress and errors go to stderr, so that stdout holds the result alone.
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def plain(text: str, style: str = "") -> Text:
    """Return text from a passage without markup, escape sequences and direction overrides."""
    return Text(without_controls(text), style=style)


def shortened(text: str, characters: int) -> str:
    """Fold `text` into one line of at most `characters`."""
    folded = " ".join(text.split())
    return folded if len(folded) <= characters else folded[: characters - 1] + "…"


def say(text: str) -> None:
    """Print one line on stderr, for people, not for programs."""
    err.print(plain(text), soft_wrap=True)


def duration(seconds: float) -> str:
    """Return a number of seconds as text, such as ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class _Rate(ProgressColumn):
    """A column with the rate of a task, such as ``12 passages/s``.

    :param unit: The name of what is counted.
    """

    def __init__(self, unit: str = "") -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("", style="dim")
        digits = 0 if speed >= 10 else 1
        return Text(f"{speed:.{digits}f}{self.unit}/s", style="dim")


def _bar(*columns: ProgressColumn) -> Progress:
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


@contextmanager
def loading(label: str = "Loading") -> Iterator[None]:
    """Show a spinner with the elapsed time, for steps that cannot be counted."""
    with _bar(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as progress:
        progress.add_task(label, total=None)
        yield


@contextmanager
def passages_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar with passages per second and the remaining time. Yield a callback of (done, total)."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(" passages"),
        TimeRemainingColumn(),
    ]
    lines = _Lines()
    with _bar(*columns) as progress:
        task = progress.add_task(label, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            lines.say(f"{label}: {done:,} of {total:,} passages")

        yield update


@contextmanager
def files_progress(label: str) -> Iterator[Callable[[Path, int, int, int], None]]:
    """Show the file that is being read. Yield a callback of (file, passages so far, files done, files in all)."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    lines = _Lines()
    with _bar(*columns) as progress:
        task = progress.add_task(label, total=None)

        def update(file: Path, passages: int, done: int, total: int) -> None:
            name = shortened(without_controls(file.name), 40)
            said = f"{label} {name} ({passages:,} passages)"
            progress.update(task, description=escape(said), completed=done, total=total)
            lines.say(f"{said}, file {min(done + 1, total):,} of {total:,}")

        yield update


class _Lines:
    """Says how far work is where no bar can be drawn, on a line every few seconds."""

    def __init__(self) -> None:
        self._next = monotonic() + SECONDS_PER_LINE

    def say(self, text: str) -> None:
        if not err.is_terminal and monotonic() >= self._next:
            say(text)
            self._next = monotonic() + SECONDS_PER_LINE


@contextmanager
def steps_progress(label: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar that names the current step. Yield a callback of (step, done, total).

    The total is 0 where it is unknown.
    """
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    ]
    with _bar(*columns) as progress:
        task = progress.add_task(label, total=None)

        def update(step: str, done: int, total: int) -> None:
            description = f"{label}: {step}"
            if description != progress.tasks[0].description:
                progress.reset(task, description=description, total=total or None)
            progress.update(task, completed=done)

        yield update


def hits_table(hits: Sequence[Hit]) -> Table:
    """Return hits as a table of rank, score, confidence, title or id, and the beginning of the text."""
    table = Table(show_lines=False, expand=True)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("confidence", justify="right", no_wrap=True)
    table.add_column("passage", overflow="fold", ratio=1)
    for rank, hit in enumerate(hits, start=1):
        named = hit.citation != hit.id
        passage = plain(hit.citation if named else hit.title or hit.id, "bold")
        if hit.title and not named:
            passage.append_text(plain(f"  {hit.id}", "dim"))
        passage.append("\n").append_text(plain(shortened(hit.body, 240)))
        table.add_row(str(rank), f"{hit.score:.3f}", f"{hit.confidence:.2f}", passage)
    return table


def citations(ids: Sequence[str], hits: Sequence[Hit]) -> list[Text]:
    """Return a line for each passage that an answer cites: its number, and its file and headings or its id."""
    shown = {hit.id: hit.citation for hit in hits}
    return [plain(f"[{number}] {shown[id]}", "dim") for number, id in enumerate(ids, start=1)]


def explanation_chart(explanation: Explanation) -> Group:
    """Return the effects of a query's units as a bar chart. With a passage, it includes its scores."""
    angle = f"{explanation.degrees:.1f}° (cosine {explanation.cosine_to_vanilla:.3f})"
    lines = [plain(f"The bridge turns the query vector by {angle}.")]
    if explanation.passage is not None:
        scores = f"vanilla {explanation.vanilla_score:.3f}, LexSemBridge {explanation.score:.3f}"
        lines.append(plain(f"Score of {explanation.passage}: {scores}."))
        if explanation.sentence:
            lines.append(plain(f"Its best sentence adds {explanation.sentence_gain:+.3f}: {explanation.sentence}"))
    if not explanation.effects:
        lines.append(plain("No word of the query is known to the collection; the vector stays as it is."))
        return Group(*lines)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("word", overflow="fold")
    table.add_column("turns by", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    if explanation.passage is not None:
        table.add_column("cosines", justify="right", no_wrap=True)
        table.add_column("lexical", justify="right", no_wrap=True)
    widest = max(effect.degrees for effect in explanation.effects) or 1.0
    for effect in explanation.effects:
        row: list[RenderableType] = [
            plain(effect.unit),
            Text(f"{effect.degrees:.1f}°"),
            Bar(1, 0, round(effect.degrees / widest, 3), width=24),  # rounded: equal words get equal bars
        ]
        if explanation.passage is not None:
            row += [Text(f"{effect.cosine:+.3f}"), Text(f"{effect.lexical:+.3f}")]
        table.add_row(*row)
    return Group(*lines, table)


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print the means of each arm by kind, and its paired difference to vanilla with the 95 % interval."""
    from ..evaluation import ALL
    from ..evaluation.metric_names import groups
    from ..evaluation.results import BASELINE

    for kind, queries in evaluation.kinds.items():
        if kind == ALL:
            continue
        if all(query.drawn for query in queries):
            name = f"{kind} (drawn from passages, not asked)"
        else:
            name = KINDS.get(kind, kind)
        console.print(plain(f"{name}, n = {len(queries)}", "bold"))
        for title, measures, leading in groups(evaluation.arms[BASELINE].values):
            shown = [measure for measure in SHOWN if measure in measures]
            table = _means_table(evaluation, queries, title=title, measures=shown, leading=leading)
            console.print(table)
    console.print("Δ: mean paired difference to vanilla dense, with its 95 % bootstrap interval over questions.\n")


def _means_table(
    evaluation: Evaluation, queries: Sequence[Query], *, title: str, measures: Sequence[str], leading: str
) -> Table:
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
        table.add_row(plain(evaluation.labels[arm]), *means, difference, style="bold" if arm == "lsb" else "")
    return table
