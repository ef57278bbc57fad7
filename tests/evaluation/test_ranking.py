from __future__ import annotations

from collections.abc import Sequence

from lsb_rag import PassageStore
from lsb_rag.evaluation.corpus import Corpus
from lsb_rag.evaluation.ranking import rank, tied
from lsb_rag.passage import Hit


def scored(**scores: float) -> list[Hit]:
    return [Hit(id, score, f"text of {id}") for id, score in scores.items()]


def grouped(hits: Sequence[Hit]) -> list[list[str]]:
    return [[hit.id for hit in group] for group in tied(hits)]


def test_equal_scores_are_ties() -> None:
    assert grouped(scored(a=2.0, b=1.0, c=1.0 - 1e-8, d=0.5)) == [["a"], ["b", "c"], ["d"]]
    assert grouped(scored(a=1e-3, b=1e-3 - 1e-6)) == [["a"], ["b"]]
    assert grouped(scored(a=1.0, b=1.0, c=2.0)) == [["a"], ["b"], ["c"]]  # not ordered by the score
    assert grouped([]) == []


class Fixed:
    """An arm that finds the same for every query, and keeps how many it was asked for."""

    def __init__(self, hits: list[Hit]) -> None:
        self.hits = hits
        self.asked: list[tuple[int, int]] = []

    def __call__(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.asked.append((len(queries), k))
        return [self.hits[:k] for _ in queries]


def test_what_is_tied_with_the_last_is_looked_for(store: PassageStore) -> None:
    arm = Fixed(scored(z=3.0, d=2.0, c=2.0, b=2.0, a=2.0, e=1.0))
    (found,) = rank(arm, ["query"], 2, Corpus(store))
    assert [hit.id for hit in found.hits] == ["z", "a"]  # in the order of their texts
    assert found.ties == [("z",), ("d", "c", "b", "a")]
    assert arm.asked == [(1, 3), (1, 6)]
    (all_,) = rank(arm, ["query"], 100, Corpus(store))
    assert len(all_.hits) == 6


def test_copies_take_no_place(store: PassageStore) -> None:
    store.add(["Press reset.", "Press  reset.", "Press reset. ", "Call us."])
    corpus = Corpus(store)
    copies = [store.hit(id).id for id in store.ids() if "Press" in store.hit(id).text]
    assert len(copies) == 3
    hits = [Hit(id, 0.9, "Press reset.") for id in copies] + scored(pump=0.8, valve=0.7, lunch=0.6)
    arm = Fixed(hits)
    (found,) = rank(arm, ["query"], 3, corpus)
    assert [hit.id for hit in found.hits] == [min(copies), "pump", "valve"]
    (once,) = rank(Fixed(hits), ["query"], 3, corpus, deeper=False)
    assert [hit.id for hit in once.hits] == [min(copies)]
