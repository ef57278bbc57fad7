from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError
from lsb_rag.evaluation.significance import PairedDifference
from lsb_rag.training import adapt, word_weights

NOUNS = ["pump", "valve", "sensor", "motor", "filter", "spring", "gasket", "nozzle", "relay", "fuse"]
FAULTS = ["is blocked by sand", "runs too hot at noon", "leaks oil on the floor", "stays open when worn"]


@pytest.fixture
def machines(tmp_path: Path, encoder: LexSemBridgeEncoder) -> PassageStore:
    store = PassageStore(tmp_path / "db", "machines", encoder)
    texts = [
        f"The {noun} {fault}, see error E-{100 + 4 * i + j} in the log of machine M{i}{j}. Replace it."
        for i, noun in enumerate(NOUNS)
        for j, fault in enumerate(FAULTS)
    ]
    store.add([Passage(text, id=str(n)) for n, text in enumerate(texts)])
    return store


def contents(store: PassageStore) -> str:
    found = store.collection.get(include=["documents", "metadatas", "embeddings"])
    rows = [found["ids"], found["documents"], found["metadatas"], np.asarray(found["embeddings"]).tolist()]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_it_is_kept_only_if_held_out_queries_gain(machines: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = contents(machines)
    before = Retriever(machines).embed("the pump of E-101")
    verdicts = [PairedDifference(0.1, 0.05, 0.15, 90), PairedDifference(0.1, -0.01, 0.2, 90)]
    steps: list[str] = []
    for verdict in verdicts:
        monkeypatch.setattr(word_weights, "paired_difference", lambda *_, verdict=verdict, **__: verdict)
        found = adapt(machines, queries=60, strengths=[0.9], progress=lambda step, *_: steps.append(step))
        assert found.kept == (verdict.low > 0)
        assert (machines.bridge.adaptation is not None) == found.kept
        assert np.array_equal(Retriever(machines).embed("the pump of E-101"), before) == (not found.kept)
        assert found.strength == 0.9
    assert contents(machines) == stored
    assert {"reading the collection", "encoding queries that teach", "encoding queries that decide"} <= set(steps)


def test_a_kind_of_query_that_loses_prevents_it(machines: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [(0.1, 0.05, 0.15, 90), (-0.1, -0.2, -0.01, 30), (0.2, 0.1, 0.3, 60)]
    answers = iter([PairedDifference(*verdict) for verdict in verdicts])
    monkeypatch.setattr(word_weights, "paired_difference", lambda *_, **__: next(answers))
    assert not adapt(machines, queries=60).kept
    assert machines.bridge.adaptation is None


def test_the_verdict_is_on_passages_that_did_not_teach(machines: PassageStore) -> None:
    found = adapt(machines, queries=80, seed=4)
    again = adapt(machines, queries=80, seed=4)
    assert found == again
    assert 0 < found.before <= 1
    assert found.difference.delta == pytest.approx(found.after - found.before)
    assert sum(one.n for one in found.by_kind.values()) == found.difference.n
    assert found.difference.n < found.taught
    assert found.strength == machines.encoder.strength
    assert found.kept == (found.difference.low > 0 and all(one.high >= 0 for one in found.by_kind.values()))


def test_a_second_run_begins_at_the_bridge_as_fitted(machines: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    first = adapt(machines, queries=60)
    monkeypatch.setattr(word_weights, "paired_difference", lambda *_, **__: PairedDifference(0.1, 0.05, 0.15, 90))
    assert adapt(machines, queries=60, strengths=[1.5]).kept
    second = adapt(machines, queries=60)
    assert second.before == first.before


def test_what_cannot_be_adapted(store: PassageStore, machines: PassageStore) -> None:
    with pytest.raises(InvalidInputError, match="holds 7 different texts"):
        adapt(store)
    llr = PassageStore(machines.path, "machines", LexSemBridgeEncoder(paradigm="llr", device="cpu"))
    with pytest.raises(InvalidInputError, match="weighted by SLR"):
        adapt(llr)
