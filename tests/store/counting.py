"""What tests of the statistics have in common: the same counted anew, a second store, a spy on what is counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lsb_rag import CorpusStatistics, PassageStore
from lsb_rag.statistics.base import Record, at_unit_length
from lsb_rag.statistics.on_disk import StatisticsFile


def from_scratch(store: PassageStore) -> CorpusStatistics:
    found = store.collection.get(include=["documents", "embeddings"])
    statistics = CorpusStatistics(store.encoder.dimension)
    for document, vector in zip(found["documents"], found["embeddings"], strict=True):
        if document:
            statistics.add([store.encoder.analyze(document)], at_unit_length(vector)[None])
    return statistics


def reopened(store: PassageStore) -> PassageStore:
    return PassageStore(store.path, store.name, store.encoder, create=False)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records are counted, and taken out, in each change of statistics."""
    calls: list[int] = []
    real = StatisticsFile.count

    def count(self: StatisticsFile, records: list[Record], gone: Sequence[str] = (), **options: bool) -> None:
        if records or gone:
            calls.append(len(records) + len(gone))
        real(self, records, gone, **options)

    monkeypatch.setattr(StatisticsFile, "count", count)
    return calls
