"""A collection that plain LlamaIndex wrote answers better, and not one of its records changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.existing_collection import before_and_after, written_by_llama_index
from lsb_rag import LexSemBridgeEncoder
from lsb_rag.demo.corpus import build_demo_corpus
from lsb_rag.demo.questions import demo_qrels, load_questions

QUESTIONS = 60


def test_llama_indexes_own_collection_answers_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = build_demo_corpus()
    questions = load_questions("keyword")[:QUESTIONS]
    asked_for = {id for relevant in demo_qrels(questions, corpus).values() for id in relevant}
    passages = [passage for row, passage in enumerate(corpus) if passage.id in asked_for or row % 30 == 0]
    index = written_by_llama_index(tmp_path, passages, show_progress=False)
    collection = index.vector_store.client
    before = collection.get(include=["documents", "metadatas", "embeddings"])
    embedded: list[int] = []
    real = LexSemBridgeEncoder.encode_document

    def counted(self: LexSemBridgeEncoder, texts: list[str], **options: Any) -> Any:
        embedded.append(len(texts))
        return real(self, texts, **options)

    monkeypatch.setattr(LexSemBridgeEncoder, "encode_document", counted)
    hit_at_1 = before_and_after(index, QUESTIONS, sentences=False)[0]
    assert sum(embedded) <= 8  # the sample that proves the backbone
    assert hit_at_1.difference.n == QUESTIONS
    assert hit_at_1.difference.low > 0
    after = collection.get(include=["documents", "metadatas", "embeddings"])
    assert (after["ids"], after["documents"], after["metadatas"]) == (
        before["ids"],
        before["documents"],
        before["metadatas"],
    )
    np.testing.assert_array_equal(after["embeddings"], before["embeddings"])
