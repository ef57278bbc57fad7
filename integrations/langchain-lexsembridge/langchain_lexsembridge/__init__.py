"""LexSemBridge for LangChain: embeddings and a retriever that also answer keyword-heavy questions."""

from langchain_lexsembridge.embeddings import LexSemBridgeEmbeddings
from langchain_lexsembridge.retrievers import LexSemBridgeRetriever

__all__ = ["LexSemBridgeEmbeddings", "LexSemBridgeRetriever"]
