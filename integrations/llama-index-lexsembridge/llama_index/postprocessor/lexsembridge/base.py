"""The rerank as a node postprocessor, over any retriever."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.embeddings.lexsembridge.encoders import encoder_for
from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever
from llama_index.retrievers.lexsembridge.nodes import to_passage

from lsb_rag import ExternalStore, LexSemBridgeEncoder, PassageStore, Reranker
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import in_background, plainly_refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core import VectorStoreIndex


INSTEAD = {
    "embed_model": "Give an embedding of LlamaIndex's as model=.",
    "index": "An index goes to LexSemBridgeRerank.from_index().",
    "top_k": "Give the number of nodes as top_n=.",
    "similarity_top_k": "Give the number of nodes as top_n=.",
}


class LexSemBridgeRerank(BaseNodePostprocessor):
    """Orders the nodes of any retriever by LexSemBridge's score.

    With the index that the nodes are in, a node has the score that `LexSemBridgeRetriever` gives it, and costs no
    embedding; see `from_index`. With a model alone, the nodes of a query are embedded, and document frequencies are
    counted in them.

    Args:
        model: A backbone by hub name or path, a loaded encoder, or an embedding of LlamaIndex's. Default:
            all-MiniLM-L6-v2.
        store: The passages that words are counted in, as `LexSemBridgeRetriever.store` has them; in place of `model`.
        top_n: The most nodes to keep; None keeps all.
        rerank: Weight of the lexical score; 0 orders by the cosine similarity alone.
        strength: How strongly the bridge of the store acts, 0.8 by default.
        sentences: Whether sentences count, with a store.
        min_confidence: Leave out nodes of a lower confidence, a number from 0 to 1.
        collapse: Whether of nodes with equal texts the best alone is kept.

    Raises:
        InvalidInputError: For a store and a model both.
        InvalidTypeError: For a store that is something else.

    Examples:
        ```python
        from llama_index.postprocessor.lexsembridge import LexSemBridgeRerank

        rerank = LexSemBridgeRerank.from_index(index, top_n=4)
        index.as_query_engine(similarity_top_k=50, node_postprocessors=[rerank])
        ```
    """

    top_n: int | None = Field(default=4, ge=1, description="The most nodes to keep; None keeps all.")
    rerank: float = Field(
        default=Reranker.RERANK, ge=0, allow_inf_nan=False, description="Of the lexical score.", frozen=True
    )
    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Of the bridge.", frozen=True)
    sentences: bool = Field(default=True, description="Whether sentences count, with a store.", frozen=True)
    min_confidence: float = Field(
        default=0.0, ge=0, le=1, description="Nodes of a lower one are left out.", frozen=True
    )
    collapse: bool = Field(default=False, description="Whether equal texts count once.", frozen=True)

    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        model: str | LexSemBridgeEncoder | BaseEmbedding | None = None,
        *,
        store: PassageStore | ExternalStore | None = None,
        **kwargs: Any,
    ) -> None:
        if model is not None and store is not None:
            raise InvalidInputError("Give model= or store=, not both.")
        if not isinstance(store, PassageStore | ExternalStore | None):
            raise InvalidTypeError(
                f"store= takes the store of a LexSemBridgeRetriever, not {type(store).__name__}; an index goes to "
                "from_index()."
            )
        with plainly_refused("LexSemBridgeRerank", type(self).model_fields, kwargs, instead=INSTEAD):
            super().__init__(**kwargs)
        given: Any = encoder_for(model) if store is None else store
        self._reranker = Reranker(
            LexSemBridgeEncoder.open(given) if isinstance(given, str) else given,
            strength=self.strength,
            rerank=self.rerank,
            sentences=self.sentences,
            min_confidence=self.min_confidence,
            collapse=self.collapse,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LexSemBridgeRerank:
        return self.model_copy()

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised configurations."""
        return "LexSemBridgeRerank"

    @classmethod
    def from_index(
        cls,
        index: VectorStoreIndex,
        *,
        nodes: Sequence[BaseNode] | None = None,
        statistics: str | Path | None = None,
        model: str | LexSemBridgeEncoder | BaseEmbedding | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRerank:
        """A rerank with the vectors, the words and the embedding of an index.

        Args:
            index: See `LexSemBridgeRetriever.from_index`, as the following.
            nodes: Its nodes, where it cannot list them.
            statistics: File that keeps the statistics of another vector store than Chroma.
            model: What embeds, in place of the index's embed_model.
            **kwargs: Arguments, such as `top_n`.
        """
        retriever = LexSemBridgeRetriever.from_index(index, nodes=nodes, statistics=statistics, model=model)
        return cls(store=retriever.store, **kwargs)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, given = _query(query_bundle), {node.node_id: node for node in nodes}
        hits = self._reranker.rank(query, [to_passage(node.node) for node in given.values()], self.top_n)
        return [NodeWithScore(node=given[hit.id].node, score=hit.score) for hit in hits]

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        return await in_background(self._postprocess_nodes, nodes, query_bundle)


def _query(query_bundle: QueryBundle | None) -> str:
    if query_bundle is None:
        raise InvalidInputError("The rerank needs the query: postprocess_nodes(nodes, query_str=...).")
    return query_bundle.query_str
