"""Print the tables and draw the picture of what :mod:`growth` has measured, without measuring again.

    python -m benchmarks.scale.growth_curves FOLDER

Each cost is fitted by a power law, ``a n^b``, by least squares of the logarithms over the three largest sizes; columns
for sizes that were not measured extrapolate that law.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from rich.console import Console

from lsb_rag.evaluation import ALL_ARMS

RESULTS, PICTURE = "growth.json", "growth.svg"
FITTED = 3
"""Number of largest sizes to fit a power law to; the small ones show what any collection costs."""
EXTRAPOLATED = (1_000_000, 10_000_000)
MINUS = "\N{MINUS SIGN}"
INK = "#1c2127"
COLOURS = {
    "vanilla": "#9aa4ad",
    "hybrid-convex": "#b7791f",
    "hybrid": "#b7791f",
    "lsb-vector": "#5aa9e6",
    "lsb": "#1a7f4b",
}
SEARCHES = {"vanilla": "vanilla", "LSB, vector only": "lsb-vector", "LexSemBridge": "lsb", "hybrid RRF": "hybrid"}

Series = dict[int, float]


def power_law(series: Mapping[int, float]) -> tuple[float, float]:
    """Return the factor a and the exponent b of ``a n^b``, fitted to the largest sizes."""
    sizes = sorted(series)[-FITTED:]
    b, log_a = np.polyfit(np.log(sizes), np.log([max(series[size], 1e-9) for size in sizes]), 1)
    return float(np.exp(log_a)), float(b)


def costs(sizes: Mapping[int, Any]) -> dict[str, Series]:
    """Return each cost at each size."""

    def of(*path: Any, unit: float = 1.0) -> Series:
        found: Series = {}
        for size, value in sizes.items():
            for step in path:
                value = value[step]
            found[size] = value / unit
        return found

    searches = {
        f"search, {name}, {at}, ms": of("latency ms", "all", name, at) for name in SEARCHES for at in ("p50", "p95")
    }
    return {
        "fit, s": of("fit seconds"),
        "of which a core computes, s": of("fit CPU seconds"),
        "of which the solution, ms": of("solve seconds", 0, unit=1e-3),
        "fit, peak extra memory, MB": of("peak extra bytes", unit=1e6),
        "add 1,000, s": of("add 1000 seconds", 0),
        "of which the statistics, s": of("count in 1000 seconds", 0),
        "delete 1,000, s": of("delete 1000 seconds", 0),
        "statistics, MB": of("statistics bytes", unit=1e6),
        "Chroma's folder, MB": of("Chroma bytes", unit=1e6),
        "a direction, ms": of("direction ms", 0),
        **searches,
    }


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, *rows)).replace("\n", f"\n|{'---|' * len(head)}\n", 1)


def share(value: float, signed: bool = False) -> str:
    """Format a number of at most 1 as in the documentation."""
    return (f"{value:+.3f}" if signed else f"{value:.3f}").replace("0.", ".", 1).replace("-", MINUS)


def paired(delta: float, low: float, high: float) -> str:
    """Format a difference with its interval."""
    return f"{share(delta, True)} [{share(low, True)}, {share(high, True)}]"


def rounded(value: float) -> str:
    """Format a number with three figures, or two decimals if it is below 10."""
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def costs_table(sizes: Mapping[int, Any]) -> str:
    """Return each cost at each size, its exponent, and its extrapolation to larger sizes."""
    rows = []
    for name, series in costs(sizes).items():
        a, b = power_law(series)
        beyond = [f"*{rounded(a * n**b)}*" for n in EXTRAPOLATED]
        rows.append([name, *(rounded(series[size]) for size in sorted(sizes)), f"{b:.2f}".replace("-", MINUS), *beyond])
    return markdown(
        ["passages", *(f"{n:,}" for n in sorted(sizes)), "exponent", *(f"*{n:,}*" for n in EXTRAPOLATED)], rows
    )


def quality_table(sizes: Mapping[int, Any]) -> str:
    """Return MRR@10 by kind of query and arm, its paired difference to vanilla with 95 % interval, and its exponent."""
    rows = []
    for kind, arms in sizes[min(sizes)]["quality"].items():
        for arm in arms:
            of_arm = {size: sizes[size]["quality"][kind][arm] for size in sorted(sizes)}
            cells = []
            for one in of_arm.values():
                difference = "" if arm == "vanilla" else f" ({paired(*one['delta'])})"
                cells.append(f"{share(one['mrr@10'])}{difference}")
            _, b = power_law({size: one["mrr@10"] for size, one in of_arm.items()})
            n = next(iter(of_arm.values()))["n"]
            rows.append([f"{kind}, n = {n}", ALL_ARMS[arm], *cells, share(b)])
    return markdown(["queries", "retriever", *(f"{n:,}" for n in sorted(sizes)), "exponent"], rows)


def latency_table(sizes: Mapping[int, Any]) -> str:
    """Return p50 / p95 in ms by part and task, and the ratio of medians to the part's first task with its range."""
    rows = []
    for part, tasks in sizes[min(sizes)]["latency ms"].items():
        for name in tasks:
            cells = []
            for size in sorted(sizes):
                one = sizes[size]["latency ms"][part][name]
                ratio = f"; {one['ratio']:.2f} ({one['least']:.2f} - {one['most']:.2f})" if len(tasks) > 1 else ""
                cells.append(f"{one['p50']:.1f} / {one['p95']:.1f}{ratio}")
            rows.append([part, name, *cells])
    return markdown(["part", "", *(f"{n:,}" for n in sorted(sizes))], rows)


def draw(sizes: Mapping[int, Any]) -> Figure:
    """Draw six panels over the number of passages: quality, fit, additions, queries, memory, disk."""
    figure = Figure(figsize=(11, 6), layout="constrained", facecolor="white")
    FigureCanvasSVG(figure)
    (quality, fit, add), (query, memory, disk) = figure.subplots(2, 3)
    numbers, of = sorted(sizes), costs(sizes)
    (keyword, *_) = sizes[numbers[0]]["quality"]
    for arm in sizes[numbers[0]]["quality"][keyword]:
        values = [sizes[n]["quality"][keyword][arm]["mrr@10"] for n in numbers]
        quality.plot(numbers, values, color=COLOURS[arm], marker="o", markersize=3, label=ALL_ARMS[arm])
    n_queries = sizes[numbers[0]]["quality"][keyword]["vanilla"]["n"]
    styled(quality, f"MRR@10, {keyword} queries, n = {n_queries}", numbers, logarithmic=False)
    quality.set_ylim(0, 1.02)
    curves(fit, "fit, seconds", {"fit": of["fit, s"]})
    curves(
        add, "add 1,000, seconds (embedding apart)", {n: of[n] for n in ("add 1,000, s", "of which the statistics, s")}
    )
    for name, arm in SEARCHES.items():
        for at, line in (("p50", "-"), ("p95", ":")):
            series = of[f"search, {name}, {at}, ms"]
            label = ALL_ARMS[arm] if at == "p50" else None
            query.plot(numbers, [series[n] for n in numbers], line, color=COLOURS[arm], label=label)
    styled(query, "a query, ms: p50, and p95 dotted", numbers)
    curves(memory, "fit, peak extra memory, MB", {"fit": of["fit, peak extra memory, MB"]})
    curves(disk, "disk, MB", {n: of[n] for n in ("statistics, MB", "Chroma's folder, MB")})
    return figure


def curves(axes: Axes, title: str, of: Mapping[str, Series]) -> None:
    """Plot measured points and their power laws, with the exponents in the legend."""
    for (name, series), colour in zip(of.items(), (COLOURS["lsb"], COLOURS["vanilla"]), strict=False):
        a, b = power_law(series)
        numbers = np.array(sorted(series))
        axes.plot(numbers, [series[n] for n in numbers], "o", color=colour, markersize=4)
        law = numbers[-FITTED:]
        axes.plot(law, a * law**b, color=colour, linewidth=1.2, label=f"{name.rpartition(',')[0] or name}: n^{b:.2f}")
    styled(axes, title, numbers.tolist())


def styled(axes: Axes, title: str, numbers: Sequence[int], *, logarithmic: bool = True) -> None:
    """Set title, scales and legend."""
    axes.set_xscale("log")
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize=7)
    axes.set_xticks(numbers, [f"{n / 1000:g}k" for n in numbers])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(title, fontsize=10, color=INK)
    axes.set_xlabel("passages", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def show(folder: Path, console: Console) -> None:
    """Print the tables in Markdown and draw the picture in `folder`."""
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    sizes = {int(size): found for size, found in results["sizes"].items()}
    about = ", ".join(f"{name} {value}" for name, value in results["about"].items())
    tables = (about, quality_table(sizes), costs_table(sizes), latency_table(sizes))
    console.print("\n\n".join(tables), markup=False, highlight=False, soft_wrap=True)
    if len(sizes) > 1:
        with rc_context({"svg.hashsalt": "lsb-rag"}):
            draw(sizes).savefig(folder / PICTURE, metadata={"Date": None, "Creator": None})
        console.print(f"\n{folder / PICTURE}", highlight=False)


def main(folder: Annotated[Path, typer.Argument(help="Folder written by `benchmarks.scale.growth --out`.")]) -> None:
    """Print the tables and draw the picture again."""
    show(folder, Console())


if __name__ == "__main__":
    typer.run(main)
