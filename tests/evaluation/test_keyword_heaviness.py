from __future__ import annotations

import math

import numpy as np
import pytest

from lsb_rag import CorpusStatistics
from lsb_rag.evaluation import keyword_heaviness
from lsb_rag.evaluation.keyword_heaviness import heaviness_slice
from lsb_rag.lexical.units import words


@pytest.fixture(scope="module")
def statistics() -> CorpusStatistics:
    """1,000 passages: "common" in all, "some" in 100, "rare" in 10, "unique" in one."""
    made = CorpusStatistics(2)
    for n in range(1000):
        units = [unit for unit, df in (("common", 1000), ("some", 100), ("rare", 10), ("unique", 1)) if n < df]
        made.add([units], np.ones((1, 2)))
    return made


def idf(df: int) -> float:
    return math.log1p((1000 - df + 0.5) / (df + 0.5))


def test_worked_out_by_hand(statistics: CorpusStatistics) -> None:
    def heaviness(query: str) -> float:
        return keyword_heaviness(query, statistics, words)

    assert heaviness("unique rare") == 1.0
    assert heaviness("common some") == 0.0
    assert heaviness("some rare") == pytest.approx(idf(10) / (idf(10) + idf(100)))
    assert heaviness("some rare rare unheard-of") == heaviness("some rare")  # each once, and what is unknown not at all
    assert heaviness("nothing known") == 0.0


def test_slices() -> None:
    assert [heaviness_slice(score) for score in (0, 0.3, 1 / 3, 0.6, 2 / 3, 1)] == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]
