"""A retriever over a vector store: modulated dense search and lexical rerank."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from weakref import WeakKeyDictionary

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.constants import DEFAULT_SIMILARITY_TOP_K
from llama_index.core.schema import BaseNode, IndexNode, NodeWithScore, QueryBundle
from llama_index.core.vector_stores import MetadataFilters
from llama_index.core.vector_stores.types import VectorStoreQueryMode
from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding
from llama_index.embeddings.lexsembridge.encoders import encoder_for, encoder_of

from lsb_rag import Database, ExternalStore, Hit, LexSemBridgeEncoder, Passage, PassageStore, Retriever
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import (
    Closable,
    Instead,
    Positive,
    Share,
    checked,
    passages_in_background,
    plainly_refused,
    progress_bar,
)

from .filters import where
from .nodes import checked_nodes, found_node, to_passage
from .vector_stores import vector_index

if TYPE_CHECKING:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

DEFAULT_COLLECTION = "llama_index"
RIGHT_CALLS = (
    "An index goes to LexSemBridgeRetriever.from_index(), a database, a client or a ChromaVectorStore to "
    "from_chroma(), nodes to from_nodes()."
)
INSTEAD = {
    "embed_model": "Give an embedding of LlamaIndex's as model=.",
    "index": RIGHT_CALLS,
    "vector_store": RIGHT_CALLS,
    "top_k": "Give the number of nodes as similarity_top_k=.",
    "k": "Give the number of nodes as similarity_top_k=.",
}

# So that the retrievers of an index share what is cached, also where one is made for each question.
_encoders: WeakKeyDictionary[VectorStoreIndex, LexSemBridgeEncoder] = WeakKeyDictionary()


class LexSemBridgeRetriever(Closable, BaseRetriever):
    """Retrieves nodes of a Chroma collection, or of an index on another vector store, with LexSemBridge.

    The query vector is modulated by a bridge fitted on the nodes, one search brings the candidates, and a lexical
    rerank over the texts they were embedded by orders them. The stored vectors are the backbone's, so what is there
    already is taken as it is. `NodeWithScore.score` is the cosine similarity; where nodes are reranked, with
    that of the best sentence and the lexical score. The metadata of a node hold its `confidence`, the probability that
    it is relevant, from 0 to 1; prompts leave it out.

    Args:
        store: The passages; see also `from_chroma`, `from_index` and `from_nodes`.
        similarity_top_k: How many nodes to retrieve.
        filters: Metadata filters.
        where_document: Filter of the texts in Chroma's language, such as `{"$contains": "E-4012"}`; for Chroma alone.
        rerank: Weight of the lexical score; True is 0.4, False orders by the cosine similarity alone. Default: True,
            with `vanilla` False.
        strength: How strongly the bridge acts, 0.8 by default; 0 searches with the backbone's vector.
        candidates: How many passages the search brings for the rerank, at least.
        sentences: Whether the rerank looks at the sentences of the best candidates, see `PassageStore.sentences`.
        vanilla: True is the plain dense retriever over the same collection, the baseline twin; with `rerank=True` it
            differs in nothing but the modulation.
        min_confidence: Leave out nodes of a lower confidence, a number from 0 to 1. Unlike the score, it can be
            compared between queries.
        collapse: Whether of nodes with equal texts the best alone is retrieved.
        vector_store_query_mode: `mmr` chooses nodes by maximal marginal relevance, over the modulated query and the
            score; `default` takes the best.
        mmr_threshold: Of `mmr`: 0 is all difference, 1 is all score.
        fetch_k: How many of the best nodes `mmr` chooses from, at least.
        callback_manager: LlamaIndex's callbacks.
        object_map: Objects of index nodes, by index id.
        objects: Index nodes with their objects.
        verbose: Whether recursive retrieval prints where it goes.

    Raises:
        InvalidInputError: For an option that cannot be used.

    Examples:
        ```python
        from llama_index.retrievers.lexsembridge import LexSemBridgeRetriever

        retriever = LexSemBridgeRetriever.from_chroma("./db", "manuals", similarity_top_k=5)
        retriever.retrieve("what does E-4012 mean")
        ```
    """

    @checked
    def __init__(
        self,
        store: Annotated[PassageStore | ExternalStore, Instead(RIGHT_CALLS)],
        similarity_top_k: Positive = DEFAULT_SIMILARITY_TOP_K,
        filters: MetadataFilters | None = None,
        rerank: bool | float | None = None,
        strength: float | None = None,
        candidates: int = Retriever.CANDIDATES,
        vanilla: bool = False,
        callback_manager: CallbackManager | None = None,
        object_map: dict[str, Any] | None = None,
        objects: list[IndexNode] | None = None,
        verbose: bool = False,
        where_document: dict[str, Any] | None = None,
        min_confidence: float = 0.0,
        sentences: bool = True,
        collapse: bool = False,
        vector_store_query_mode: VectorStoreQueryMode | str = "default",
        mmr_threshold: Share = 0.5,
        fetch_k: Positive = Retriever.FETCH_K,
    ) -> None:
        self.store = store
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self.where_document = where_document
        if vector_store_query_mode not in ("default", "mmr"):
            raise InvalidInputError(
                f"vector_store_query_mode= is 'default' or 'mmr', not {str(vector_store_query_mode)!r}."
            )
        if isinstance(store, PassageStore):
            where(filters)  # refused now, not at the first question
        self._retriever = Retriever(
            store,
            strength=strength,
            rerank=rerank,
            candidates=candidates,
            sentences=sentences,
            vanilla=vanilla,
            min_confidence=min_confidence,
            collapse=collapse,
            mmr=mmr_threshold if vector_store_query_mode == "mmr" else None,
            fetch_k=fetch_k,
        )
        super().__init__(callback_manager, object_map, objects, verbose)

    # -- constructors -----------------------------------------------------------------------------------------------

    @classmethod
    def from_chroma(
        cls,
        source: Database | BasePydanticVectorStore | Any,
        collection_name: str | None = None,
        *,
        model: str | LexSemBridgeEncoder | BaseEmbedding | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over a collection that is there already. Not one stored record is changed.

        Args:
            source: Folder of the database, address of a server (`http://host:8000`), a Chroma client, a
                `ChromaVectorStore`, or a Chroma collection.
            collection_name: Name of the collection, for a folder, a server or a client.
            model: Backbone by hub name or path, a loaded encoder, or an embedding of LlamaIndex's. Default: the one the
                collection was made with, for one that another program made all-MiniLM-L6-v2.
            **kwargs: Arguments of the retriever, such as `similarity_top_k`.

        Raises:
            CollectionNotFoundError: When it is not there.
            FingerprintMismatchError: When its vectors come from another backbone.
        """
        if not PassageStore.opens(source):
            raise InvalidInputError(
                f"{type(source).__name__} is not backed by Chroma; give the index on it to from_index(), or the "
                "nodes to from_nodes()."
            )
        store = PassageStore.from_source(source, collection_name, encoder_for(model), default_name=DEFAULT_COLLECTION)
        return cls._over(store, kwargs)

    @classmethod
    def from_index(
        cls,
        index: VectorStoreIndex,
        *given: Any,
        nodes: Sequence[BaseNode] | None = None,
        statistics: str | Path | None = None,
        model: str | LexSemBridgeEncoder | BaseEmbedding | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over a `VectorStoreIndex`, whatever vector store it is on. Nothing that is stored is changed.

        An index on a `ChromaVectorStore` or a `QdrantVectorStore`, and one that keeps its nodes in its docstore, as on
        a `SimpleVectorStore`, is read and followed by itself. For another, give its nodes.

        Args:
            index: The index.
            *given: Nothing.
            nodes: Its nodes, where it cannot list them. They are embedded once more, for the statistics; see `sync`.
            statistics: File that keeps the statistics of another vector store than Chroma; else they are in memory, and
                fitted when first needed.
            model: Backbone by hub name or path, a loaded encoder, or an embedding of LlamaIndex's. Default: the index's
                embed_model, whatever it is; of a `LexSemBridgeEmbedding` also `strength` and `vanilla`.
            **kwargs: Arguments of the retriever, such as `similarity_top_k`.

        Raises:
            FingerprintMismatchError: When its vectors come from another backbone.
            InvalidInputError: When it cannot list its nodes, and they are not given either.
            InvalidTypeError: For anything but a VectorStoreIndex whose vector store is searched by a vector.
        """
        if given:
            raise InvalidTypeError("from_index() takes the index alone by position; the number is similarity_top_k=.")
        if not hasattr(index, "vector_store") or isinstance(index, type):
            what = f"the class {index.__name__}" if isinstance(index, type) else type(index).__name__
            raise InvalidTypeError(f"from_index() takes a VectorStoreIndex, not {what}.")
        embed_model = index._embed_model
        if isinstance(embed_model, LexSemBridgeEmbedding):
            kwargs = {"strength": embed_model.strength, "vanilla": embed_model.vanilla, **kwargs}
        if model is None:
            model = _encoders[index] = encoder_of(embed_model)
        kwargs = {"object_map": index._object_map, "callback_manager": index._callback_manager, **kwargs}
        if PassageStore.opens(index.vector_store):
            if statistics is not None:
                raise InvalidInputError(
                    "A Chroma collection has its statistics beside its database; leave statistics= out."
                )
            return cls.from_chroma(index.vector_store, model=model, **kwargs)
        backbone, over = encoder_for(model), vector_index(index)
        encoder = backbone if isinstance(backbone, LexSemBridgeEncoder) else LexSemBridgeEncoder.open(str(backbone))
        store = ExternalStore(over, encoder, statistics=statistics)
        retriever = cls._over(store, kwargs)
        if not over.lists:
            if nodes is None and not len(store):
                raise InvalidInputError(f"{over.name} cannot list what it holds; give its nodes as nodes=.")
            if nodes is not None:
                retriever.sync(nodes)
        return retriever

    @classmethod
    def from_nodes(
        cls,
        nodes: Sequence[BaseNode],
        *,
        persist_dir: str | Path | None = None,
        collection_name: str | None = None,
        client: Any = None,
        model: str | LexSemBridgeEncoder | BaseEmbedding | None = None,
        show_progress: bool | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over nodes, however many; one that a collection holds already, by its id, is not embedded again.

        They are stored as `ChromaVectorStore` stores them, so it reads the collection too.

        Args:
            nodes: The nodes.
            persist_dir: Folder of the database. Default: in memory.
            collection_name: Name of the collection. Default: `llama_index`; in memory a new one each time.
            client: Chroma client in place of `persist_dir`.
            model: Backbone by hub name or path, a loaded encoder, or an embedding of LlamaIndex's. Default:
                all-MiniLM-L6-v2.
            show_progress: True shows a progress bar, False none; by default it comes after two seconds, in a terminal
                or a notebook.
            **kwargs: Arguments of the retriever, such as `similarity_top_k`.

        Raises:
            InvalidInputError: For a node without text, or metadata that cannot be stored; nothing is stored then.
        """
        nodes = checked_nodes(nodes)
        passages = [to_passage(node) for node in nodes]
        database = persist_dir if client is None else client
        store = PassageStore.for_passages(
            passages, database, collection_name, encoder_for(model), default_name=DEFAULT_COLLECTION
        )
        retriever = cls._over(store, kwargs)
        retriever._add(nodes, passages, show_progress)
        return retriever

    @classmethod
    def _over(cls, store: PassageStore | ExternalStore, options: dict[str, Any]) -> LexSemBridgeRetriever:
        with plainly_refused(cls.__name__, signature(cls).parameters, options, instead=INSTEAD):
            return cls(store, **options)

    # -- retrieving -------------------------------------------------------------------------------------------------

    # An embedding in the bundle is not used: LlamaIndex's own retrievers leave theirs there for whoever comes next. The
    # texts that a query transform gives in place of the query are.

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts = query_bundle.custom_embedding_strs
        vector = self._retriever.embed(texts).mean(axis=0) if texts else None
        query, k, filters = self._search(query_bundle)
        return _scored(self._retriever.search(query, k, vector=vector, **filters))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        texts = query_bundle.custom_embedding_strs
        vector = (await self._retriever.aembed(texts)).mean(axis=0) if texts else None
        query, k, filters = self._search(query_bundle)
        return _scored(await self._retriever.asearch(query, k, vector=vector, **filters))

    def _search(self, query_bundle: QueryBundle) -> tuple[str, int, dict[str, Any]]:
        own = where(self.filters) if isinstance(self.store, PassageStore) else self.filters
        filters = {"where": own, "where_document": self.where_document}
        return query_bundle.query_str, self.similarity_top_k, filters

    # -- changing the collection ------------------------------------------------------------------------------------

    def add_nodes(self, nodes: Sequence[BaseNode], show_progress: bool | None = None) -> list[str]:
        """Embed and store nodes, however many; one whose id is stored with other content is replaced.

        Returns:
            Their ids.

        Raises:
            InvalidInputError: For a node without text, or metadata that cannot be stored; nothing is stored then.
        """
        nodes = checked_nodes(nodes)
        passages = [to_passage(node) for node in nodes]
        self._add(nodes, passages, show_progress)
        return [passage.id for passage in passages]

    def _add(self, nodes: Sequence[BaseNode], passages: Sequence[Passage], show_progress: bool | None) -> None:
        # Objects behind index nodes are kept here, as an index keeps them; they cannot be stored.
        self.object_map.update({n.index_id: n.obj for n in nodes if isinstance(n, IndexNode) and n.obj is not None})
        with progress_bar("Adding nodes", show_progress) as progress:
            self.store.add(passages, progress=progress)

    def delete_nodes(self, node_ids: Sequence[str]) -> None:
        """Remove nodes by id; unknown ids are passed over."""
        self.store.delete(node_ids)

    def delete_ref_doc(self, ref_doc_id: str) -> None:
        """Remove all nodes of a document."""
        if isinstance(self.store, PassageStore):
            self.store.delete(self.store.ids({"document_id": ref_doc_id}))
        else:
            over: Any = self.store.index
            over.index.delete_ref_doc(ref_doc_id, delete_from_docstore=True)
            self.store.fit()

    def sync(self, nodes: Sequence[BaseNode] | None = None, show_progress: bool | None = None) -> None:
        """Fit on what is stored now, for changes that were not made through this retriever.

        Args:
            nodes: All nodes of the vector store, where it cannot list them. New ones are embedded for the statistics;
                those that are not among them are taken out of these.
            show_progress: See `from_nodes`.

        Raises:
            InvalidInputError: Without nodes, when the vector store cannot list them.
        """
        if isinstance(self.store, PassageStore):
            self.refresh(show_progress)
            return
        passages = None if nodes is None else [to_passage(node) for node in checked_nodes(nodes)]
        with progress_bar("Fitting", show_progress) as progress:
            self.store.sync(passages, progress=progress)

    def refresh(self, show_progress: bool | None = None) -> None:
        """Fit on the collection again, for changes by another program that left the number of its records as it was."""
        with progress_bar("Fitting", show_progress) as progress:
            self.store.refresh(progress=progress)

    def close(self) -> None:
        """Let go of the database's files and threads; a client or vector store that was given stays open."""
        self.store.close()

    async def aadd_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """`add_nodes` in a thread, so that the event loop goes on."""
        return await passages_in_background(self.add_nodes, nodes)


def _scored(hits: Sequence[Hit]) -> list[NodeWithScore]:
    return [NodeWithScore(node=found_node(hit), score=hit.score) for hit in hits]
