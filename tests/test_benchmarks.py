"""What the benchmarks of growth rely on: passages kept between runs, the same queries, the power law."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import installed_docs
from benchmarks.scale.growth_curves import power_law
from benchmarks.scale.known_items import known_items


def test_embedding_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed_docs, "installed_passages", lambda limit: [f"passage {n}" for n in range(limit)])
    monkeypatch.setattr(installed_docs, "BATCH", 4)
    embedded: list[str] = []

    def encode(texts: list[str]) -> Any:
        if len(embedded) == 4:
            embedded.append("interrupted")
            raise KeyboardInterrupt
        embedded.extend(texts)
        return np.array([[float(text.split()[1])] for text in texts], np.float32)

    encoder = SimpleNamespace(encode_document=encode, dimension=1, fingerprint=SimpleNamespace(weights="0123456789"))
    with pytest.raises(KeyboardInterrupt):
        installed_docs.embedded_passages(encoder, 10, tmp_path)
    texts, vectors = installed_docs.embedded_passages(encoder, 10, tmp_path)
    assert texts == [f"passage {n}" for n in range(10)]
    assert vectors[:, 0].tolist() == list(range(10))
    assert [text for text in embedded if text != "interrupted"] == texts  # each once
    fewer, rows = installed_docs.embedded_passages(encoder, 3, tmp_path)
    assert (fewer, len(rows), len(embedded)) == (texts[:3], 3, 11)


def test_a_known_item_is_asked_for_by_its_own_words() -> None:
    texts = [f"the pump number{n} stands beside the valve of part{n} and is blocked" for n in range(20)]
    asked = known_items(texts, 10)
    assert asked == known_items(texts, 10)
    for id, query in asked["keyword"].texts.items():
        assert {f"number{id}", f"part{id}"} <= set(query.split())
        assert 2 <= len(query.split()) <= 4
    for id, query in asked["part of passage"].texts.items():
        assert query in texts[int(id)]
        assert asked["part of passage"].qrels[id] == {id: 1}


def test_the_power_law_is_that_of_the_largest_sizes() -> None:
    a, b = power_law({10: 7.0, 100: 3e4, 1000: 3e6, 10_000: 3e8})
    assert (a, b) == (pytest.approx(3.0), pytest.approx(2.0))
