from __future__ import annotations

import math
from dataclasses import replace

from lsb_rag.evaluation import Dataset, Evaluation, report

from ..evaluations import repeated


def test_tables_say_of_how_many_queries_a_mean_is() -> None:
    found = repeated({"vanilla": (0.0, math.nan, 1.0), "lsb": (1.0, 1.0, 1.0)}, "faithfulness")
    assert "| vanilla dense | 0.500 (n 20) |" in report(found)
    assert "| LexSemBridge | 1.000 | +0.500" in report(found)
    none = repeated({"vanilla": (math.nan,), "lsb": (math.nan,)}, "faithfulness", times=30)
    assert "| LexSemBridge | \u2013 |  |  |  |" in report(none)


def test_what_comes_from_outside_is_plain_text_in_the_report() -> None:
    found = repeated({"vanilla": (0.1,), "lsb": (0.2,)}, times=30)
    hostile = "<img src=x onerror=alert(1)>\n\n# pwn \x1b[31m"
    queries = [replace(query, kind=hostile) for query in found.dataset.queries]
    written = report(replace(found, dataset=Dataset(hostile, queries, found.dataset.qrels)))
    assert "<img" not in written
    assert "\x1b" not in written
    assert not [line for line in written.splitlines() if line.startswith("# pwn")]


def test_drawn_queries_are_called_so(evaluation: Evaluation) -> None:
    assert "keyword, n = 1 (drawn from passages, not asked)" in report(evaluation)
