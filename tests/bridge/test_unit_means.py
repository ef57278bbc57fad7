from __future__ import annotations

import numpy as np
import pytest

from lsb_rag import CorpusStatistics
from lsb_rag.bridge import unit_means
from lsb_rag.lexical.information import idf, least_information

D = 4


def statistics_of(passages: list[list[str]], rows: np.ndarray | None = None) -> CorpusStatistics:
    statistics = CorpusStatistics(D)
    made = np.random.default_rng(0).normal(size=(len(passages), D)).astype(np.float16)
    statistics.add(passages, made if rows is None else rows)
    return statistics


def means_of(statistics: CorpusStatistics, information: dict[str, float]) -> dict[str, np.ndarray]:
    found = unit_means.unit_means(statistics, information)
    return dict(zip(found.units, found.means, strict=True))


def test_passages_that_hold_more_of_the_query_count_more() -> None:
    rows = np.eye(D)[:3]
    statistics = statistics_of([["pump", "e-4012"], ["pump"], ["valve"]], rows)
    means = means_of(statistics, {"pump": 1.0, "e-4012": 2.0})
    np.testing.assert_allclose(means["pump"], (3**4 * rows[0] + 1**4 * rows[1]) / (3**4 + 1**4))
    np.testing.assert_allclose(means["e-4012"], rows[0])
    np.testing.assert_allclose(means_of(statistics, {"pump": 1.0})["pump"], (rows[0] + rows[1]) / 2)


def test_so_many_are_averaged_over_and_those_that_hold_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_means, "AVERAGED", 2)
    statistics = statistics_of([["a", "b"], ["a"], ["a"], ["a", "b", "c"], ["c"], ["a", "b"]])
    means = means_of(statistics, {"a": 1.0, "b": 1.0, "c": 0.5})
    vectors = statistics.vectors(np.array([0, 3, 5]))  # the second best, and the one like it
    np.testing.assert_allclose(means["b"], np.average(vectors, axis=0, weights=[2**4, 2.5**4, 2**4]))
    np.testing.assert_allclose(means["c"], vectors[1])
    assert set(means_of(statistics, {"a": 1.0, "b": 1.0, "c": 0.1})) == {"a", "b", "c"}
    alone = statistics_of([["a", "b"], ["a", "b"], ["c"]])
    assert set(means_of(alone, {"a": 1.0, "b": 1.0, "c": 0.5})) == {"a", "b"}  # no passage averaged over holds c


def test_no_more_than_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_means, "AVERAGED", 2)
    monkeypatch.setattr(unit_means, "AVERAGED_AT_MOST", 3)
    statistics = statistics_of([["a"], ["a"], ["a", "b"], ["a"], ["a"]])
    means = means_of(statistics, {"a": 1.0, "b": 1.0})
    vectors = statistics.vectors(np.array([0, 2, 4]))  # the best, and others from first to last
    np.testing.assert_allclose(means["a"], np.average(vectors, axis=0, weights=[1, 2**4, 1]))


def test_units_that_are_everywhere_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = statistics_of([["the", "pump"], ["the"], ["the", "valve"]])
    assert set(means_of(statistics, {"the": 0.1, "pump": 1.0})) == {"the", "pump"}  # few passages: it costs nothing
    monkeypatch.setattr(unit_means, "COMMON", 2)
    assert set(means_of(statistics, {"the": 0.1, "pump": 1.0})) == {"pump"}
    assert means_of(statistics, {"the": 0.1}) == {}
    assert means_of(statistics, {}) == {}


def test_the_share_of_the_passage_that_holds_most(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = statistics_of([["the", "pump", "e-4012"], ["the", "pump"], ["the", "valve"]])
    information = {"the": 0.5, "pump": 1.0, "e-4012": 2.0, "valve": 2.5, "unknown": 3.0}
    assert unit_means.unit_means(statistics, information).share == pytest.approx(3.5 / 9)
    monkeypatch.setattr(unit_means, "COMMON", 2)
    assert unit_means.unit_means(statistics, information).share == pytest.approx(3 / 8.5)
    one_common = unit_means.unit_means(statistics, {"pump": 0.3})
    assert one_common.share == pytest.approx(0.3 / least_information(3))
    assert unit_means.unit_means(statistics, {"e-4012": idf(1, 3)}).share == 1
    assert unit_means.unit_means(statistics, {"unknown": 0.3}).share == 0


def test_the_rarest_units_come_first_where_there_are_too_many_postings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_means, "POSTINGS", 3)
    statistics = statistics_of([["often", "rare"], ["often", "seldom"], ["often"], ["seldom"]])
    found = unit_means.unit_means(statistics, {"often": 0.5, "seldom": 1.0, "rare": 2.0, "unknown": 3.0})
    assert set(found.units) == {"rare", "seldom"}
    assert found.share == pytest.approx(2 / 6)
