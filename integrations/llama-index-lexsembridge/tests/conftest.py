"""The embedded backbone, loaded once, and the nodes of a small manual."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever

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
QUERY = "what does E-4012 mean"


def manual_nodes() -> list[TextNode]:
    """Nodes with metadata in the embedded text, one key left out of it, and a source document each."""
    return [
        TextNode(
            id_=id,
            text=text,
            metadata={"kind": "notice" if id in ("office", "lunch") else "fault", "page": page, "secret": f"S-{page}"},
            excluded_embed_metadata_keys=["secret"],
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=f"document-{id}")},
        )
        for page, (id, text) in enumerate(TEXTS.items(), start=1)
    ]


@pytest.fixture(autouse=True)
def _nothing_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, so that whatever falls back to OpenAI fails."""
    for name in ("OPENAI_API_KEY", "IS_TESTING"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def encoder() -> LexSemBridgeEncoder:
    """The embedded all-MiniLM-L6-v2."""
    return LexSemBridgeEncoder(device="cpu")


@pytest.fixture
def retriever(tmp_path: Path, encoder: LexSemBridgeEncoder) -> LexSemBridgeRetriever:
    """A retriever over the manual, in a folder."""
    return LexSemBridgeRetriever.from_nodes(
        manual_nodes(), persist_dir=tmp_path / "db", collection_name="manual", model=encoder, similarity_top_k=3
    )


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of width 32."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "model", "wordpiece", "cls")
