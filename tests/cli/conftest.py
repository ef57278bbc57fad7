from __future__ import annotations

import pytest

from lsb_rag import PassageStore
from lsb_rag.demo import corpus as demo_corpus
from lsb_rag.demo import run as demo_run


@pytest.fixture
def db(store: PassageStore) -> str:
    return str(store.path)


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo over a few modules: the real thing, a tenth of it."""
    modules = ["subprocess", "heapq", "json"]
    corpus = demo_corpus.build_demo_corpus(modules)
    symbols = {passage.metadata["symbol"] for passage in corpus}
    questions = [q for q in demo_run.load_questions() if set(q.gold) & symbols]
    monkeypatch.setattr(demo_run, "build_demo_corpus", lambda: corpus)
    monkeypatch.setattr(demo_run, "load_questions", lambda kind=None: [q for q in questions if kind in (None, q.kind)])
