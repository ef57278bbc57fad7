"""Charts of a report, as SVG that takes its colours from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Placeholders for the colours of the page's style sheet.
TEXT, GAIN, LOSS, TIE, MEAN = "#010203", "#010204", "#010205", "#010206", "#010207"
_COLOURS = {TEXT: "currentColor", GAIN: "var(--gain)", LOSS: "var(--loss)", TIE: "var(--soft)", MEAN: "var(--mean)"}
BINS = 5
MIN_PER_BIN = 5
"""Least number of questions in a bin whose mean is drawn."""


def differences_chart(differences: Sequence[float], measure: str) -> str:
    """Draw every question's difference, largest first: how many gain, how many lose, and how much.

    :param differences: One number per question; NaN is left out.
    :return: An ``<svg>`` element.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    values = np.sort(np.array([d for d in differences if not np.isnan(d)]))[::-1]
    figure, axes = _figure()
    axes.bar(np.arange(1, len(values) + 1), values, width=1.0, color=_colours(values))
    axes.axhline(0, color=TEXT, linewidth=0.6)
    axes.set_xlabel("questions, ordered by their difference")
    axes.set_ylabel(f"Δ {measure}")
    gains, losses = int((values > 0).sum()), int((values < 0).sum())
    return _svg(figure, f"Of {len(values)} questions {gains} gain in {measure} and {losses} lose.")


def heaviness_chart(heaviness: Sequence[float], differences: Sequence[float], measure: str) -> str:
    """Draw every question's difference over its keyword-heaviness, with the mean of each fifth of the scale.

    :param heaviness: One number in [0, 1] per question.
    :param differences: One number per question; NaN is left out.
    :return: An ``<svg>`` element.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    x, y = np.array(heaviness, np.float64), np.array(differences, np.float64)
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    figure, axes = _figure()
    # Many questions share a value. A little scatter, the same each time, shows how many.
    shift = np.random.default_rng(0).uniform(-0.012, 0.012, len(x))
    axes.scatter(x + shift, y, s=14, alpha=0.6, color=_colours(y), linewidths=0)
    axes.axhline(0, color=TEXT, linewidth=0.6)
    fifth = np.minimum((x * BINS).astype(int), BINS - 1)
    bins = [b for b in range(BINS) if (fifth == b).sum() >= MIN_PER_BIN]
    means = [float(y[fifth == b].mean()) for b in bins]
    axes.plot([(b + 0.5) / BINS for b in bins], means, color=MEAN, marker="o", markersize=4, linewidth=1.5)
    axes.set_xlim(-0.04, 1.04)
    if not y.any():
        axes.set_ylim(-1, 1)  # without any difference, matplotlib would pick a meaninglessly fine scale
    axes.set_xlabel("keyword-heaviness of the question")
    axes.set_ylabel(f"Δ {measure}")
    spoken = ", ".join(f"{b / BINS:.1f} to {(b + 1) / BINS:.1f}: {m:+.3f}" for b, m in zip(bins, means, strict=True))
    return _svg(figure, f"Mean difference in {measure} by keyword-heaviness: {spoken or 'too few questions'}.")


def _colours(differences: NDArray[np.float64]) -> list[str]:
    return [_colour(difference) for difference in differences]


def _colour(difference: float) -> str:
    if difference > 0:
        return GAIN
    return LOSS if difference < 0 else TIE


def _figure() -> tuple[Any, Axes]:
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("Charts need matplotlib. Install it with `pip install 'lsb-rag[eval]'`.") from error
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(TEXT)
    axes.tick_params(colors=TEXT)
    axes.xaxis.label.set_color(TEXT)
    axes.yaxis.label.set_color(TEXT)
    return figure, axes


def _svg(figure: Any, spoken: str) -> str:
    """Return the figure as an ``<svg>`` element, the same for the same figure.

    :param spoken: Text for readers who cannot see it.
    """
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": spoken}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = out.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)
    drawn = re.sub(r"font: ?([\d.]+px)[^;\"]*", r"font: \1 sans-serif", drawn)
    for placeholder, colour in _COLOURS.items():
        drawn = drawn.replace(placeholder, colour)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(spoken)}" ', 1)
