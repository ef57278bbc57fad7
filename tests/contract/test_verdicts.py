"""The promise of an evaluation: ids, places, copies and repetitions decide nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.evaluation import ARMS, Dataset, Evaluation, Query, evaluate, headline
from lsb_rag.evaluation.reports.wording import notes

PARTS = ["pump", "valve", "sensor", "filter", "drain", "fan", "belt", "lamp"]
STATES = ["is blocked", "is worn", "stays open", "is too hot", "has no signal"]
# Entries alike but for a code, so that many score alike, and questions that name no code, one, or two.
ENTRIES = [
    Passage(f"E-{number}: the {part} {state}.", id=f"entry-{number}")
    for number, (part, state) in enumerate(((part, state) for part in PARTS for state in STATES), start=4010)
]
QUERIES = [
    Query(f"q{n}", text)
    for n, text in enumerate(
        [
            *(f"what does E-{number} mean" for number in range(4010, 4050, 3)),
            *(f"my {part} {state}, what now" for part, state in zip(PARTS, STATES * 2, strict=False)),
            "the pump and the valve",
            "which part is worn",
            "E-4011 or E-4049",
            "something is blocked",
        ]
    )
]


def judged() -> Dataset:
    qrels = {}
    for query in QUERIES:
        words = set(query.text.replace(",", "").split())
        overlap = {
            entry.id: len(words & set(entry.text.replace(":", "").replace(".", "").split())) for entry in ENTRIES
        }
        best = max(overlap.values())
        qrels[query.id] = {id: 1 for id, n in overlap.items() if n == best}
    # One of many alike is judged: where it stands among them must not be an accident.
    qrels = {query: dict([list(of_query.items())[len(of_query) // 2]]) for query, of_query in qrels.items()}
    return Dataset("entries", QUERIES, qrels)


DATASET = judged()


def evaluated(
    folder: Path,
    encoder: LexSemBridgeEncoder,
    passages: Sequence[Passage],
    dataset: Dataset,
    arms: Sequence[str] = tuple(ARMS),
) -> Evaluation:
    with PassageStore(folder / "db", "entries", encoder) as store:
        store.add(passages)
        own = Retriever(store, vanilla=True)
        return evaluate(store, dataset, arms=arms, retrievers={"mine": own})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, encoder: LexSemBridgeEncoder) -> Evaluation:
    return evaluated(tmp_path_factory.mktemp("plain"), encoder, ENTRIES, DATASET)


def renamed(names: Callable[[Passage], str]) -> tuple[list[Passage], Dataset]:
    name = {entry.id: names(entry) for entry in ENTRIES}
    qrels = {query: {name[id]: score for id, score in of.items()} for query, of in DATASET.qrels.items()}
    return [replace(entry, id=name[entry.id]) for entry in ENTRIES], replace(DATASET, qrels=qrels)


def shuffled(seed: int) -> tuple[list[Passage], Dataset]:
    draw = random.Random(seed)
    passages, dataset = renamed(lambda entry: f"{draw.random()}")
    draw.shuffle(passages)
    return passages, dataset


def copied(name: Callable[[str], str], times: int = 1) -> list[Passage]:
    return [*ENTRIES, *(replace(entry, id=name(f"{entry.id}-{n}")) for entry in ENTRIES for n in range(times))]


def measures(evaluation: Evaluation) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    return {
        arm: {
            measure: {id: round(value, 9) for id, value in by_query.items()} for measure, by_query in one.values.items()
        }
        for arm, one in evaluation.arms.items()
    }


@pytest.mark.parametrize("seed", range(2))
def test_names_and_places_decide_nothing(
    tmp_path: Path, encoder: LexSemBridgeEncoder, plain: Evaluation, seed: int
) -> None:
    found = evaluated(tmp_path, encoder, *shuffled(seed))
    assert measures(found) == measures(plain)
    assert headline(found) == headline(plain)


@pytest.mark.parametrize(("name", "times"), [("a-{}", 4), ("zz-{}", 1)], ids=["before", "after"])
def test_copies_decide_nothing(
    tmp_path: Path, encoder: LexSemBridgeEncoder, plain: Evaluation, name: str, times: int
) -> None:
    found = evaluated(tmp_path, encoder, copied(name.format, times), DATASET)
    assert measures(found) == measures(plain)
    assert headline(found) == headline(plain)
    said = f"{40 * times} of {40 + 40 * times} passages are copies of others."
    assert said in " ".join(notes(found))
    assert all(
        len({hit.text for hit in hits}) == 10
        for one in found.arms.values()
        for hits in one.hits.values()
        if len(hits) == 10
    )


def test_which_copy_is_judged_decides_nothing(tmp_path: Path, encoder: LexSemBridgeEncoder, plain: Evaluation) -> None:
    passages = copied("copy-of-{}".format)
    other = {query: {f"copy-of-{id}-0": score for id, score in of.items()} for query, of in DATASET.qrels.items()}
    found = evaluated(tmp_path, encoder, passages, replace(DATASET, qrels=other))
    assert measures(found) == measures(plain)


def test_repetition_makes_nothing_surer(tmp_path: Path, encoder: LexSemBridgeEncoder) -> None:
    ten = replace(DATASET, queries=QUERIES[:10])
    again = [
        replace(query, id=f"{query.id}-{n}", text=f" {query.text.upper()}") for query in QUERIES[:10] for n in range(3)
    ]
    qrels = {**DATASET.qrels, **{query.id: DATASET.qrels[query.id.split("-")[0]] for query in again}}
    once = evaluated(tmp_path / "once", encoder, ENTRIES, ten)
    repeated = evaluated(tmp_path / "repeated", encoder, ENTRIES, Dataset("entries", [*QUERIES[:10], *again], qrels))
    assert headline(repeated) == headline(once)
    assert "cannot be told, with so few queries, from" in headline(repeated)
    assert "30 queries repeat others" in " ".join(notes(repeated))
    kinds = [
        replace(query, kind=f"kind-{n}", text=QUERIES[n % 10].text) for n, query in enumerate([*QUERIES[:10], *again])
    ]
    for order in (1, -1):
        dataset = Dataset("entries", kinds[::order], qrels)
        by_kind = evaluated(tmp_path / f"kinds{order}", encoder, ENTRIES, dataset, arms=["lsb"])
        assert "on 10 queries: MRR@10 0.675 → 1.000" in headline(by_kind)


def test_the_arms_that_are_run_by_default_take_part(plain: Evaluation) -> None:
    assert list(plain.arms) == [*ARMS, "mine"]
    # The questions tell the arms apart, and some passages score alike: else nothing would be tested above.
    assert len({tuple(one.values["mrr@10"].values()) for one in plain.arms.values()}) >= 4
    assert any(
        value not in {1 / rank for rank in range(1, 11)} | {0} for value in plain.arms["bm25"].values["mrr@10"].values()
    )
