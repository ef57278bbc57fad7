"""The embedded backbone, loaded once, and a retriever over a small manual."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_lexsembridge import LexSemBridgeRetriever

from lsb_rag import LexSemBridgeEncoder
from tests.tiny import save_tiny

os.environ["LSB_RAG_PRECISION"] = "float32"  # as in tests/conftest.py
os.environ["LSB_RAG_GRAPHS"] = str(Path(__file__).parents[3] / ".pytest_cache" / "graphs")
TEXTS = {
    "pump": "E-4012: the pump stopped because the inlet is blocked. Clean the filter.",
    "drain": "E-4013: the pump stopped because the outlet is blocked. Open the drain.",
    "valve": "The valve stays open when its spring is worn. Replace part ZX81.",
    "office": "Our office is closed on public holidays.",
    "lunch": "Lunch is served in the canteen from noon.",
}
DOCUMENTS = [
    Document(id=id, page_content=text, metadata={"kind": "notice" if id in ("office", "lunch") else "fault"})
    for id, text in TEXTS.items()
]
QUERY = "what does E-4012 mean"


@pytest.fixture(scope="session")
def encoder() -> LexSemBridgeEncoder:
    """The embedded all-MiniLM-L6-v2."""
    return LexSemBridgeEncoder(device="cpu")


@pytest.fixture
def retriever(tmp_path: Path, encoder: LexSemBridgeEncoder) -> LexSemBridgeRetriever:
    """A retriever over the manual, in a folder."""
    return LexSemBridgeRetriever.from_documents(
        DOCUMENTS, persist_directory=tmp_path / "db", collection_name="manual", model=encoder, k=3
    )


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 32."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "wordpiece", "cls")
