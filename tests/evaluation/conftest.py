from __future__ import annotations

import pytest

from lsb_rag import PassageStore
from lsb_rag.evaluation import Evaluation, evaluate

from .evaluations import DATASET


@pytest.fixture
def evaluation(store: PassageStore) -> Evaluation:
    return evaluate(store, DATASET, arms=["bm25", "lsb"], k=5)
