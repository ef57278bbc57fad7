"""A LexSemBridge retriever for LlamaIndex, over Chroma collections."""

from llama_index.retrievers.lexsembridge.base import LexSemBridgeRetriever

__all__ = ["LexSemBridgeRetriever"]
