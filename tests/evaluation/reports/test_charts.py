from __future__ import annotations

import math

import pytest
from bs4 import BeautifulSoup

from lsb_rag.evaluation.reports.charts import differences_chart, heaviness_chart


@pytest.mark.parametrize("differences", [[0.5, -0.5, math.nan], [0.0] * 40, []])
def test_charts_of_any_differences(differences: list[float]) -> None:
    for chart in (
        differences_chart(differences, "MRR@10"),
        heaviness_chart([0.5] * len(differences), differences, "MRR@10"),
    ):
        assert chart.startswith('<svg role="img" aria-label="')
        assert BeautifulSoup(chart, "html.parser").find("svg") is not None


def test_ties_are_no_gains_and_no_scale_is_made_of_nothing() -> None:
    chart = heaviness_chart([0.5] * 30, [0.0] * 30, "MRR@10")
    assert "var(--gain)" not in chart
    assert "var(--soft)" in chart
    assert "0.00" in chart  # an axis of whole and half points, not of thousandths
    assert "0.010" not in chart


def test_the_chart_by_heaviness_says_its_means() -> None:
    heaviness = [0.1] * 5 + [0.9] * 5 + [0.5] * 2
    chart = heaviness_chart(heaviness, [0.0] * 5 + [0.5] * 5 + [1.0] * 2, "MRR@10")
    assert "0.0 to 0.2: +0.000, 0.8 to 1.0: +0.500." in chart  # two questions make no mean
