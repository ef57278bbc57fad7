"""lsb-rag: dense retrieval that also answers keyword-heavy questions (LexSemBridge, arXiv 2508.17858)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Loaded on first use, so that `import lsb_rag` does not wait for torch.
_HOME = {
    "DEFAULT_BACKBONE": "backbones.base",
    "CorpusBridge": "bridge.corpus",
    "CorpusStatistics": "statistics.in_memory",
    "Database": "store.client",
    "Embedder": "embedder",
    "ExternalStore": "store.external",
    "Explanation": "explain",
    "Fingerprint": "backbones.base",
    "Hit": "passage",
    "LearnedBridge": "bridge.learned",
    "LexSemBridgeEmbeddingFunction": "embedding_function",
    "LexSemBridgeEncoder": "encoder",
    "LsbRagError": "errors",
    "Passage": "passage",
    "PassageStore": "store.passage_store",
    "ProviderBackbone": "backbones.provider",
    "Reranker": "reranker",
    "Retriever": "retriever",
    "VectorIndex": "store.external",
    "VectorRecord": "store.records",
    "load_authors_checkpoint": "encoder",
}

if TYPE_CHECKING:
    from .backbones.base import DEFAULT_BACKBONE, Fingerprint
    from .backbones.provider import ProviderBackbone
    from .bridge.corpus import CorpusBridge
    from .bridge.learned import LearnedBridge
    from .embedder import Embedder
    from .embedding_function import LexSemBridgeEmbeddingFunction
    from .encoder import LexSemBridgeEncoder, load_authors_checkpoint
    from .errors import LsbRagError
    from .explain import Explanation
    from .passage import Hit, Passage
    from .reranker import Reranker
    from .retriever import Retriever
    from .statistics.in_memory import CorpusStatistics
    from .store.client import Database
    from .store.external import ExternalStore, VectorIndex
    from .store.passage_store import PassageStore
    from .store.records import VectorRecord

__all__ = [
    "DEFAULT_BACKBONE",
    "CorpusBridge",
    "CorpusStatistics",
    "Database",
    "Embedder",
    "Explanation",
    "ExternalStore",
    "Fingerprint",
    "Hit",
    "LearnedBridge",
    "LexSemBridgeEmbeddingFunction",
    "LexSemBridgeEncoder",
    "LsbRagError",
    "Passage",
    "PassageStore",
    "ProviderBackbone",
    "Reranker",
    "Retriever",
    "VectorIndex",
    "VectorRecord",
    "__version__",
    "load_authors_checkpoint",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "LearnedBridge":
        from .utils.extras import require_local

        require_local(name)
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
