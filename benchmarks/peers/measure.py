"""What is measured of each arm, and its tables."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.arms import LABELS, Search
from benchmarks.peers.sets import Set
from lsb_rag.evaluation import PairedDifference, paired_difference, per_query

MEASURES = ("mrr@10", "ndcg@10", "recall@10")
MRR = MEASURES[0]
DEPTH = 10
OURS = "lsb"
TIMED = 50
"""Questions that are timed."""

Values = dict[str, dict[str, float]]
"""``{measure: {query id: value}}``."""


def values_of(search: Search, one: Set) -> Values:
    """Return every measure of every query of a set."""
    queries = one.dataset.queries
    found = search([query.text for query in queries], DEPTH)
    rankings = {query.id: ids for query, ids in zip(queries, found, strict=True)}
    return per_query(one.dataset.qrels, rankings, MEASURES)


def write_values(file: Path, values: Values) -> None:
    """Write the values of an arm."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values), encoding="utf-8")


def read_values(file: Path) -> Values | None:
    """Return the values of an arm, None if they are not there."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


@dataclass(frozen=True)
class Row:
    """The queries of one kind of a set, over one backbone.

    :param means: ``{arm: {measure: mean}}``.
    :param differences: ``{arm: {measure: LexSemBridge less the arm}}``.
    """

    backbone: str
    set: str
    kind: str
    n: int
    means: Mapping[str, Mapping[str, float]]
    differences: Mapping[str, Mapping[str, PairedDifference]]


def rows_of(backbone: str, one: Set, found: Mapping[str, Values]) -> list[Row]:
    """Return a row for each kind of query."""
    rows = []
    for kind in one.kinds:
        ids = [query.id for query in one.dataset.queries if query.kind == kind]
        of_kind = {
            arm: {measure: {id: by_query[id] for id in ids} for measure, by_query in values.items()}
            for arm, values in found.items()
        }
        means = {
            arm: {measure: statistics.fmean(by_query.values()) for measure, by_query in values.items()}
            for arm, values in of_kind.items()
        }
        differences = {
            arm: {measure: paired_difference(of_kind[OURS][measure], by_query) for measure, by_query in values.items()}
            for arm, values in of_kind.items()
            if arm != OURS
        }
        rows.append(Row(backbone, one.name, kind, len(ids), means, differences))
    return rows


def table_of_means(rows: Sequence[Row]) -> str:
    """Return MRR@10 of every arm as Markdown, the best of a row in bold.

    An arrow says that the interval of the paired difference to LexSemBridge leaves out 0: up for an arm that is better.
    """
    arms = [arm for arm in LABELS if any(arm in row.means for row in rows)]
    lines = [_line("set", "kind, n", *(LABELS[arm] for arm in arms)), "|---" * (len(arms) + 2) + "|"]
    for row in rows:
        best = max(round(of[MRR], 3) for of in row.means.values())
        lines.append(_line(row.set, f"{row.kind}, {row.n}", *(_mean(row, arm, best) for arm in arms)))
    return "\n".join(lines)


def _mean(row: Row, arm: str, best: float) -> str:
    if arm not in row.means:
        return ""
    mean = row.means[arm][MRR]
    cell = f"**{mean:.3f}**" if round(mean, 3) == best else f"{mean:.3f}"
    difference = row.differences[arm][MRR] if arm in row.differences else None
    if difference and difference.low > 0:
        return f"{cell} ↓"
    return f"{cell} ↑" if difference and difference.high < 0 else cell


def table_of_differences(rows: Sequence[Row]) -> str:
    """Return MRR@10 of LexSemBridge less that of every other arm, paired, as Markdown."""
    arms = [arm for arm in LABELS if any(arm in row.differences for row in rows)]
    head = _line("LexSemBridge less", *(f"{row.set}, {row.kind}, {row.n}" for row in rows))
    lines = [head, "|---" * (len(rows) + 1) + "|"]
    for arm in arms:
        cells = (row.differences[arm][MRR] if arm in row.differences else None for row in rows)
        shown = (f"{d.delta:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" if d else "" for d in cells)
        lines.append(_line(LABELS[arm], *shown))
    return "\n".join(lines)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    return "\n".join([_line(*head), "|---" * len(head) + "|", *(_line(*row) for row in rows)])


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def write(folder: Path, name: str, data: Any, text: str) -> None:
    """Write a result as JSON and as Markdown, and print the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(text)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON."""
    return [asdict(row) for row in rows]


def timed(do: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a call took, and what it returned."""
    start = time.perf_counter()
    result = do()
    return time.perf_counter() - start, result


def latencies(search: Search, queries: Sequence[str]) -> tuple[float, float]:
    """Return median and 95th percentile of the milliseconds of a search, one query at a time."""
    search(["warm"], DEPTH)  # loads what is loaded on first use
    seconds = sorted(timed(lambda query=query: search([query], DEPTH))[0] for query in queries)
    return 1000 * statistics.median(seconds), 1000 * statistics.quantiles(seconds, n=20)[-1]
