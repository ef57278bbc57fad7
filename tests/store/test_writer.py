from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.errors import (
    StoreError,
)
from lsb_rag.store import collection

from ..conftest import MANUAL
from .test_passage_store import records, reopened


def test_what_is_stored_is_not_embedded_again(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[str] = []
    real = store.encoder.encode_document
    monkeypatch.setattr(store.encoder, "encode_document", lambda texts: embedded.extend(texts) or real(texts))
    changed = Passage("Replaced text", id="lunch", metadata={"kind": "new"})
    relabelled = Passage(MANUAL[5].text, id="office", metadata={"year": 2030})
    assert store.add([*MANUAL[:5], relabelled, changed]) == 1
    assert embedded == ["Replaced text"]
    assert records(store)["lunch"] == ("Replaced text", {"kind": "new"})  # "year" is gone
    assert records(store)["office"] == (MANUAL[5].text, {"year": 2030})
    assert len(store) == len(MANUAL)


def test_an_interrupted_add_goes_on(
    tmp_path: Path, encoder: LexSemBridgeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection, "BATCH", 10)
    texts = [f"passage number {n} about part P-{n}" for n in range(45)]

    def stop(done: int, total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PassageStore(tmp_path, "parts", encoder).add(texts, progress=stop)
    again = PassageStore(tmp_path, "parts", encoder)
    assert len(again) == 20
    seen: list[tuple[int, int]] = []
    assert again.add(texts, progress=lambda done, total: seen.append((done, total))) == 25
    assert seen == [(30, 45), (40, 45), (45, 45)]  # what is stored already says nothing of the rate
    assert len(again) == 45
    assert again.bridge.statistics.n_passages == 45
    assert again.bridge.statistics.df("p-7") == 1


def test_a_failed_write_leaves_no_wrong_statistics(store: PassageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fit()

    def fail(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(store.collection), "upsert", fail)
        with pytest.raises(StoreError, match="No space left on device"):
            store.add(["a new passage about E-9999"])
    assert store.bridge.statistics.df("e-9999") == 0
    assert store.bridge.statistics.n_passages == len(store) == len(MANUAL)
    assert reopened(store).bridge.statistics.n_passages == len(MANUAL)


def test_a_passage_that_somebody_replaces_while_it_is_relabelled(
    store: PassageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = reopened(store, store.encoder)
    real = store.fitted.changing
    theirs = [Passage("Beta gamma delta", id="lunch", metadata={"b": 2})]

    def changing(ids: list[str]) -> object:
        if theirs:  # between our reading and our lock
            other.add([theirs.pop()])
        return real(ids)

    monkeypatch.setattr(store.fitted, "changing", changing)
    ours = Passage(MANUAL[6].text, id="lunch", metadata={"c": 3})
    store.add([ours])
    assert store.get(["lunch"]) == [ours]
    np.testing.assert_allclose(store.vectors(["lunch"])[0], store.encoder.encode_document(ours.text), atol=1e-6)
    assert store.bridge.statistics.df("gamma") == 0
    assert other.bridge.statistics.df("canteen") == 1


@pytest.mark.parametrize("largest", [100, -1])
def test_any_batch_is_written_in_parts(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    store = PassageStore(tmp_path, "parts", LexSemBridgeEncoder(tiny_backbone, device="cpu"))
    written: list[int] = []
    real = type(store.collection).upsert
    monkeypatch.setattr(
        type(store.collection), "upsert", lambda self, **r: written.append(len(r["ids"])) or real(self, **r)
    )
    monkeypatch.setattr(type(store.collection._client), "get_max_batch_size", lambda _: largest)
    store.add([f"part {number}" for number in range(250)])
    assert written == ([100, 100, 50] if largest == 100 else [250])
    assert store.delete(random.Random(0).sample(store.ids(), 220)) == 220
    assert store.bridge.statistics.n_passages == len(store) == 30
