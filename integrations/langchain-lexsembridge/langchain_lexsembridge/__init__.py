"""LexSemBridge for LangChain: embeddings, a retriever and a rerank that also answer keyword-heavy questions."""

from langchain_lexsembridge.compressors import LexSemBridgeRerank
from langchain_lexsembridge.embeddings import LexSemBridgeEmbeddings
from langchain_lexsembridge.retrievers import LexSemBridgeRetriever

__all__ = ["LexSemBridgeEmbeddings", "LexSemBridgeRerank", "LexSemBridgeRetriever"]
