"""LexSemBridge embeddings for LlamaIndex: passages plain, queries modulated."""

from llama_index.embeddings.lexsembridge.base import LexSemBridgeEmbedding

__all__ = ["LexSemBridgeEmbedding"]
