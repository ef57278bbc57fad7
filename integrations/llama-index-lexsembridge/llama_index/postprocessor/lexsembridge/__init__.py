"""LexSemBridge's rerank for LlamaIndex, over any retriever."""

from .base import LexSemBridgeRerank

__all__ = ["LexSemBridgeRerank"]
