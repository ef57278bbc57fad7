"""Hybrid search by the classes of LangChain and of LlamaIndex themselves, over the same texts and vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import chromadb
from langchain_chroma import Chroma
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever as LangChainBm25
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever, VectorIndexRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever as LlamaIndexBm25
from llama_index.vector_stores.chroma import ChromaVectorStore

Search = Callable[[Sequence[str], int], list[list[str]]]
"""From queries and k to the ids of the k best passages of each, best first."""
EmbedQuery = Callable[[str], Any]
CANDIDATES = 100
"""What each of two retrievers brings to a fusion whose weights were chosen; with the defaults it is k."""


class KnownVectors(Embeddings):
    """Embeddings of LangChain's that are known already."""

    def __init__(self, passages: Mapping[str, Any], embed_query: EmbedQuery) -> None:
        self._passages, self._embed_query = passages, embed_query

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the known vectors of passages."""
        return [self._passages[text].tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return list(map(float, self._embed_query(text)))


class KnownEmbedding(BaseEmbedding):
    """The same of LlamaIndex's. Nodes bring their own vectors."""

    known: Any = None

    def _get_query_embedding(self, query: str) -> list[float]:
        return list(map(float, self.known(query)))

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        raise NotImplementedError("Nodes bring their vectors.")


class LangChain:
    """``EnsembleRetriever`` of ``BM25Retriever`` and ``Chroma``.

    :param vectors: Of the passages, shape ``[n, d]``.
    """

    def __init__(self, name: str, ids: Sequence[str], texts: Sequence[str], vectors: Any, embed_query: EmbedQuery):
        self._documents = [Document(page_content=text, id=id) for id, text in zip(ids, texts, strict=True)]
        embeddings = KnownVectors(dict(zip(texts, vectors, strict=True)), embed_query)
        self._chroma = Chroma.from_documents(
            self._documents, embeddings, collection_name=f"langchain-{name}", client=chromadb.EphemeralClient()
        )

    @cached_property
    def lexical(self) -> LangChainBm25:
        """BM25 as LangChain has it: ``rank_bm25`` over words cut at white space."""
        return LangChainBm25.from_documents(self._documents)

    def ensemble(self, weight: float | None = None) -> Search:
        """Return its search.

        :param weight: Of BM25, the dense ranking having the rest, with 100 candidates each. None takes the defaults.
        """

        def search(queries: Sequence[str], k: int) -> list[list[str]]:
            each = k if weight is None else CANDIDATES
            self.lexical.k = each
            retriever = EnsembleRetriever(
                retrievers=[self.lexical, self._chroma.as_retriever(search_kwargs={"k": each})],
                **({} if weight is None else {"weights": [weight, 1 - weight]}),
            )
            return [[str(found.id) for found in retriever.invoke(query)[:k]] for query in queries]

        return search


class LlamaIndex:
    """``QueryFusionRetriever`` of ``BM25Retriever`` and ``VectorIndexRetriever``, and the first of the two alone.

    :param vectors: Of the passages, shape ``[n, d]``.
    """

    def __init__(self, name: str, ids: Sequence[str], texts: Sequence[str], vectors: Any, embed_query: EmbedQuery):
        self._nodes = [TextNode(id_=id, text=text) for id, text in zip(ids, texts, strict=True)]
        collection = chromadb.EphemeralClient().create_collection(f"llama-index-{name}")
        self._index = VectorStoreIndex(
            [
                node.model_copy(update={"embedding": vector.tolist()})
                for node, vector in zip(self._nodes, vectors, strict=True)
            ],
            storage_context=StorageContext.from_defaults(vector_store=ChromaVectorStore(chroma_collection=collection)),
            embed_model=KnownEmbedding(model_name="known", known=embed_query),
        )

    @cached_property
    def lexical(self) -> LlamaIndexBm25:
        """BM25 as LlamaIndex has it: ``bm25s`` over stems, without English stop words."""
        return LlamaIndexBm25.from_defaults(nodes=self._nodes, similarity_top_k=CANDIDATES)

    def bm25(self, queries: Sequence[str], k: int) -> list[list[str]]:
        """Search by BM25 alone."""
        self.lexical.similarity_top_k = min(k, len(self._nodes))
        return [[found.node.node_id for found in self.lexical.retrieve(query)] for query in queries]

    def fusion(self, mode: str | None = None, weight: float | None = None) -> Search:
        """Return search by the fusion of both.

        :param mode: How it fuses; None takes the default.
        :param weight: Of BM25, the dense scores having the rest, with 100 candidates each. None takes the defaults.
        """
        options = {} if mode is None else {"mode": FUSION_MODES(mode)}

        def search(queries: Sequence[str], k: int) -> list[list[str]]:
            each = min(k if weight is None else CANDIDATES, len(self._nodes))
            self.lexical.similarity_top_k = each
            retriever = QueryFusionRetriever(
                [self.lexical, VectorIndexRetriever(self._index, similarity_top_k=each)],
                llm=MockLLM(),  # never asked, as there is one query
                num_queries=1,
                similarity_top_k=k,
                use_async=False,
                retriever_weights=None if weight is None else [weight, 1 - weight],
                **options,
            )
            return [[found.node.node_id for found in retriever.retrieve(query)] for query in queries]

        return search
