"""LexSemBridge as sentence-transformers modules: a pipeline with them is a SentenceTransformer like any other."""

from __future__ import annotations

from .lexical_transformer import LexicalTransformer
from .query_modulation import QueryModulation

__all__ = ["LexicalTransformer", "QueryModulation"]
