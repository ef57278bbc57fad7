"""The page of an evaluation: what it says, and that nothing from outside gets out of its place."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bs4 import BeautifulSoup

from lsb_rag.evaluation import Dataset, Evaluation, Query
from lsb_rag.evaluation.reports.html import QUESTIONS, page
from lsb_rag.evaluation.results import ArmResult
from lsb_rag.generation import Answer
from lsb_rag.passage import Hit

HOSTILE = '</mark></div><script>alert(1)</script><img src=x onerror="alert(2)">\x1b[31m\u202e{{ 7 * 7 }}]]>&amp;'


def evaluation(n: int = 30, text: str = "The pump stopped, error E-4012.", **options: Any) -> Evaluation:
    """`n` questions of which the first half gains and the last one loses."""
    queries = [Query(f"q{i}", f"what is E-4012, question {i}? {text}", answers=(text,)) for i in range(n)]
    vanilla = {query.id: 0.5 for query in queries}
    lsb = {query.id: 1.0 if i < n // 2 else 0.25 if i == n - 1 else 0.5 for i, query in enumerate(queries)}
    hits = {query.id: [Hit("pump", 1.0, f"{text}\n{text}", text), Hit("other", 0.5, "Nothing.")] for query in queries}
    answers = {query.id: Answer(f"{text} [1]", ("pump",)) for query in queries}
    arms = {
        name: ArmResult(hits, {"mrr@10": values, "string_present": values}, [0.001], dict(answers))
        for name, values in (("vanilla", vanilla), ("lsb", lsb))
    }
    dataset = Dataset(text, queries, {query.id: {"pump": 1, "other": 0} for query in queries})
    heaviness = {query.id: i / n for i, query in enumerate(queries)}
    marked = {query.id: frozenset({"e-4012", "e", "4012"}) for query in queries}
    return Evaluation(dataset, 7, 5, arms, heaviness, marked=marked, generator="extractive", **options)


def test_the_page_holds_what_the_report_promises() -> None:
    shown = BeautifulSoup(page(evaluation()), "html.parser")
    text = shown.get_text(" ")
    assert "LexSemBridge is better than vanilla dense on 30 queries" in text
    assert next(svg["aria-label"] for svg in shown.find_all("svg")) == "Of 30 questions 15 gain in MRR@10 and 1 lose."
    assert len(shown.find_all("svg")) == 4  # two of the ranking, two of the answers
    assert len(shown.find_all("details")) == QUESTIONS + 1
    first = shown.find("details")
    assert first is not None
    assert [mark.get_text() for mark in first.select(".passage mark")][:2] == ["E-4012", "E-4012"]
    assert first.select(".passage.relevant .name")[0].get_text().endswith("· relevant")
    assert len(first.select("section")) == 2
    assert "The pump stopped, error E-4012. [1]" in first.get_text()
    assert "Questions that lose most" in text
    assert "p50, ms" in text
    assert "+0.242" in text  # the difference, with its interval


def test_the_page_needs_no_network_and_is_the_same_again() -> None:
    html = page(evaluation())
    shown = BeautifulSoup(html, "html.parser")
    assert shown.find_all(["script", "link", "img", "iframe", "object"]) == []
    policy = shown.find("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy is not None
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    addresses = {value for tag in shown.find_all() for name, value in tag.attrs.items() if name in ("src", "href")}
    assert {address for address in addresses if not str(address).startswith("#")} == set()
    assert "prefers-color-scheme: dark" in html
    assert "#01020" not in html  # every stand-in colour has become one of the page's
    assert page(evaluation()) == html


def test_hostile_text_stays_text() -> None:
    plain, hostile = page(evaluation()), page(evaluation(text=HOSTILE, judge=HOSTILE))
    before, after = (BeautifulSoup(html, "html.parser") for html in (plain, hostile))
    assert after.find_all(["script", "img"]) == []
    assert {name for tag in after.find_all() for name in tag.attrs} == {n for t in before.find_all() for n in t.attrs}
    assert "<script>alert(1)</script>" in after.get_text()
    assert "{{ 7 * 7 }}" in after.get_text()
    assert "\x1b" not in hostile
    assert "\u202e" not in hostile


def test_text_that_is_not_valid_unicode_does_not_stop_the_page() -> None:
    assert "a\ud800b" in page(evaluation(text="a\ud800b"))


def test_an_evaluation_of_the_baseline_alone_has_a_page() -> None:
    found = evaluation()
    alone = Evaluation(found.dataset, 7, 5, {"vanilla": found.arms["vanilla"]}, found.heaviness)
    shown = BeautifulSoup(page(alone), "html.parser")
    assert "alone was run" in shown.get_text()
    assert shown.find_all("svg") == []
    assert shown.find_all("details") == []


def test_values_that_are_missing_are_shown_as_missing() -> None:
    found = evaluation()
    found.arms["lsb"].values["string_present"] = dict.fromkeys(found.heaviness, math.nan)
    shown = BeautifulSoup(page(found), "html.parser")
    assert len(shown.find_all("svg")) == 2
    assert "\u2013" in shown.find_all("table")[1].get_text()
    assert "nan" not in " ".join(table.get_text() for table in shown.find_all("table"))


def test_only_gains_are_gains_and_drawn_questions_are_not_shown() -> None:
    found = evaluation()
    queries = [replace(query, drawn=True) if i == 0 else query for i, query in enumerate(found.dataset.queries)]
    partly = replace(found, dataset=Dataset("d", queries, found.dataset.qrels))
    shown = BeautifulSoup(page(partly), "html.parser")
    assert next(svg["aria-label"] for svg in shown.find_all("svg")) == "Of 29 questions 14 gain in MRR@10 and 1 lose."
    assert not any("question 0?" in summary.get_text() for summary in shown.find_all("summary"))
    for values in (found.arms["lsb"].values["mrr@10"], found.arms["lsb"].values["string_present"]):
        values.update({"q0": 0.5, "q1": 1.0} | {f"q{i}": 0.5 for i in range(2, 30)})
    assert len(BeautifulSoup(page(found), "html.parser").find_all("details")) == 1


def test_a_passage_of_grade_zero_is_not_relevant() -> None:
    first = BeautifulSoup(page(evaluation()), "html.parser").find("details")
    assert first is not None
    names = [name.get_text() for name in first.select(".name")]
    assert [name for name in names if name.startswith("other")] == ["other", "other"]
