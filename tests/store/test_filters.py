"""Filters: taken as Chroma takes them, and refused before it fails at them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lsb_rag import PassageStore
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.store.filters import as_filter


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": "notice"}
    for _ in range(levels):
        made = {"$and": [made, made]}
    return made


def test_what_chroma_does_not_take_becomes_what_it_does(store: PassageStore) -> None:
    assert as_filter(None) is as_filter({}) is None
    assert store.ids({"year": np.int64(2024)}) == ["office"]
    assert store.ids({"year": {"$in": (2024, 2025)}}) == ["office", "lunch"]
    assert store.ids(nested(3)) == ["office", "lunch"]


def test_what_it_would_fail_at_is_refused(store: PassageStore) -> None:
    cycle: dict[str, Any] = {}
    cycle["$and"] = [cycle]
    for deep in (nested(10_000), cycle):
        with pytest.raises(InvalidInputError, match="nested more than 100 deep"):
            store.query(np.ones(384, np.float32), where=deep)
    with pytest.raises(InvalidInputError, match="lone surrogate"):
        store.delete(where={"kind": "\ud800"})
    with pytest.raises(InvalidTypeError, match="not list"):
        as_filter([("kind", "notice")])  # type: ignore[arg-type]


def test_ids_are_strings(store: PassageStore) -> None:
    for call in (store.delete, store.get, store.vectors):
        with pytest.raises(InvalidTypeError, match=r"ids\[0\] must be a string, not list"):
            call([["a"]])  # type: ignore[list-item]
    assert store.delete(id for id in ("pump", "nobody")) == 1  # type: ignore[arg-type]
