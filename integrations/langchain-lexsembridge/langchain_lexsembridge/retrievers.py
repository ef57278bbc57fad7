"""A retriever over a vector store: modulated dense search and lexical rerank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import DeleteResponse, UpsertResponse
from langchain_core.indexing.base import DocumentIndex
from langchain_core.retrievers import LangSmithRetrieverParams
from langchain_core.runnables import RunnableConfig
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from langchain_lexsembridge.backbones import encoder_of_store, opened, refused, sorted_out
from langchain_lexsembridge.construction import Plainly
from langchain_lexsembridge.documents import to_document, to_documents, to_passages
from langchain_lexsembridge.vectorstores import index_of
from lsb_rag import (
    DEFAULT_BACKBONE,
    Database,
    ExternalStore,
    Hit,
    LexSemBridgeEncoder,
    Passage,
    PassageStore,
    ProviderBackbone,
    Retriever,
    VectorRecord,
)
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import Closable, in_background, passages_in_background, progress_bar

if TYPE_CHECKING:
    from langchain_chroma import Chroma

EMBEDDED_TOGETHER = 128
"""Queries of a batch that are embedded at once; an encoder keeps the vectors of twice as many."""
DEFAULT_COLLECTION = "langchain"
"""The collection that `langchain_chroma.Chroma` makes when it is given no name."""


class _Deleted(dict[str, Any]):
    """A `DeleteResponse`; true where all that was to be deleted was there."""

    def __init__(self, ids: Sequence[str], deleted: Sequence[str]) -> None:
        super().__init__(num_deleted=len(deleted), succeeded=list(deleted), failed=[], num_failed=0)
        self._all = len(deleted) == len(set(ids))

    def __bool__(self) -> bool:
        return self._all


class LexSemBridgeRetriever(Closable, Plainly, DocumentIndex):
    """Retrieves passages of a Chroma collection, or of another vector store, with LexSemBridge.

    The query vector is modulated by a bridge fitted on the passages, one search brings the candidates, and a lexical
    rerank over their own texts orders them. The stored vectors are the backbone's, so a store that is there already is
    taken as it is, whatever embeds it.

    Documents carry their id, and in a copy of their metadata `score` (cosine similarity; where they are reranked, with
    that of the best sentence and the lexical score), `confidence` (the probability that they are relevant, from 0 to 1)
    and `rank` (from 1).

    Example:
        ```python
        from langchain_lexsembridge import LexSemBridgeRetriever

        retriever = LexSemBridgeRetriever.from_vectorstore(vectorstore, k=5)  # Chroma, FAISS, Qdrant, ...
        retriever.invoke("what does E-4012 mean")
        ```

    A retriever on a folder can be pickled, as a reference to it. It is a `DocumentIndex`, so that LangChain's `index()`
    with a record manager writes into its collection.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    right_call: ClassVar[str] = (
        "A vector store goes to LexSemBridgeRetriever.from_vectorstore(), a folder, a server or a client of Chroma to "
        "from_chroma(), documents to from_documents(), texts to from_texts()."
    )
    instead: ClassVar[Mapping[str, str]] = {
        "vectorstore": right_call,
        "documents": right_call,
        "search_kwargs": "Give k=, filter= and the like by themselves.",
        "embedding": "Give LangChain embeddings as model=.",
        "embeddings": "Give LangChain embeddings as model=.",
        "top_k": "Give the number of documents as k=.",
    }

    store: SkipJsonSchema[PassageStore | ExternalStore] = Field(exclude=True)
    """The passages: in Chroma, or in another vector store."""

    k: int = Field(default=4, ge=1)
    """How many documents to retrieve."""

    score_threshold: float | None = Field(default=None, allow_inf_nan=False)
    """Leave out documents whose `score` is lower."""

    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """Leave out documents of a lower `confidence`, which unlike the score can be compared between queries."""

    filter: SkipJsonSchema[Any] = None
    """Metadata filter in Chroma's `where` language; of another vector store what its searches take as `filter`."""

    where_document: dict[str, Any] | None = None
    """Filter of the texts in Chroma's language, such as `{"$contains": "E-4012"}`; for Chroma alone."""

    rerank: bool | Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Weight of the lexical score; True is 0.4, False orders by the cosine similarity alone. Default: True, with
    `vanilla` False."""

    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How strongly the bridge acts; 0 searches with the backbone's vector. Default: the encoder's, 0.8."""

    candidates: int = Field(default=Retriever.CANDIDATES, ge=1)
    """How many passages the search brings for the rerank, at least."""

    sentences: bool = True
    """Whether the rerank looks at the sentences of the best candidates, see `PassageStore.sentences`."""

    vanilla: bool = False
    """True is the plain dense retriever over the same collection, the baseline twin; with `rerank=True` it differs in
    nothing but the modulation."""

    search_type: Literal["similarity", "mmr"] = "similarity"
    """`mmr` chooses documents by maximal marginal relevance, over the modulated query and the score."""

    fetch_k: int = Field(default=Retriever.FETCH_K, ge=1)
    """How many of the best documents `mmr` chooses from, at least."""

    lambda_mult: float = Field(default=0.5, ge=0, le=1)
    """Of `mmr`: 0 is all difference, 1 is all score."""

    collapse: bool = False
    """Whether of documents with equal texts the best alone is retrieved."""

    include_id: bool = False
    """Whether metadata hold the document's `id` too, as `EnsembleRetriever(id_key="id")` needs it."""

    include_scores: bool = True
    """False leaves `score`, `confidence` and `rank` out of the metadata, for what compares documents as a whole, such
    as `MultiQueryRetriever`."""

    show_progress: bool | None = None
    """True shows a progress bar while adding, False none; by default it comes after two seconds, in a terminal or a
    notebook."""

    @field_validator("store", mode="before")
    @classmethod
    def _checked_store(cls, value: Any) -> Any:
        if not isinstance(value, PassageStore | ExternalStore):
            raise refused(value, "store= takes an lsb_rag.PassageStore", cls.right_call)
        return value

    # -- constructors -------------------------------------------------------------------------------------------------

    @classmethod
    def from_vectorstore(
        cls,
        vectorstore: VectorStore | Any,
        *given: Any,
        documents: Iterable[Document] | None = None,
        texts: Iterable[str] | None = None,
        statistics: str | Path | None = None,
        model: str | LexSemBridgeEncoder | Embeddings | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over a vector store that is there already, with its own embeddings. No stored record is changed.

        `Chroma`, `FAISS`, `QdrantVectorStore` and `InMemoryVectorStore` are read and followed by themselves. Of another
        one that can be searched by vector, the bridge is fitted on `documents` or `texts`; see also `sync`.

        Args:
            vectorstore: The vector store.
            *given: Nothing.
            documents: Its documents, where it cannot list them; else not used. They are embedded once more, for the
                statistics.
            texts: The same as texts.
            statistics: File that keeps the statistics of another store than Chroma; else they are in memory, and fitted
                when first needed.
            model: What embeds, in place of the store's embeddings. A store without any takes what the collection was
                made with, else all-MiniLM-L6-v2.
            **kwargs: Fields of the retriever, such as `k`.

        Raises:
            FingerprintMismatchError: When its vectors come from another model.
            InvalidInputError: When it cannot list its documents, and they are not given either.
            InvalidTypeError: For what cannot be searched by vector.
        """
        if given:
            msg = "from_vectorstore() takes the vector store alone by position; the number of documents is k=."
            raise InvalidTypeError(msg)
        # By the class, as a collection of MongoDB has an attribute of every name.
        if hasattr(type(getattr(vectorstore, "_collection", None)), "upsert"):
            if statistics is not None:
                msg = "A Chroma collection has its statistics beside its database; leave statistics= out."
                raise InvalidInputError(msg)
            return cls.from_chroma(vectorstore, model=model, **kwargs)
        if documents is not None and texts is not None:
            msg = "Give documents= or texts=, not both."
            raise InvalidInputError(msg)
        index = index_of(vectorstore)
        backbone = opened(model) or encoder_of_store(vectorstore) or DEFAULT_BACKBONE
        encoder = backbone if isinstance(backbone, LexSemBridgeEncoder) else LexSemBridgeEncoder.open(backbone)
        store = ExternalStore(index, encoder, statistics=statistics)
        retriever = cls(store=store, **kwargs)
        if not index.lists:
            all_of_it = documents if texts is None else to_documents(texts, None)
            if all_of_it is None and not len(store):
                msg = f"{index.name} cannot list what it holds; give its documents as documents= or texts=."
                raise InvalidInputError(msg)
            if all_of_it is not None:
                retriever.sync(all_of_it)
        return retriever

    @classmethod
    def from_chroma(
        cls,
        source: Database | Chroma | Any,
        collection_name: str | None = None,
        *,
        model: str | LexSemBridgeEncoder | Embeddings | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over a collection that is there already. Not one stored record is changed.

        Args:
            source: Folder of the database, address of a server (`http://host:8000`), a Chroma client, a
                `langchain_chroma.Chroma`, or a Chroma collection.
            collection_name: Name of the collection, for a folder, a server or a client.
            model: What embeds: LangChain embeddings, a sentence-transformers model by hub name or path, or an encoder.
                Default: the embeddings of the `langchain_chroma.Chroma`, else what the collection was made with, else
                all-MiniLM-L6-v2.
            **kwargs: Fields of the retriever, such as `k`.

        Raises:
            CollectionNotFoundError: When it is not there.
            FingerprintMismatchError: When its vectors come from another model.
        """
        encoder = opened(model) or encoder_of_store(source)
        store = PassageStore.from_source(source, collection_name, encoder, default_name=DEFAULT_COLLECTION)
        return cls(store=store, **kwargs)

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        *given: Embeddings | Sequence[Any] | None,
        embedding: Embeddings | None = None,
        metadatas: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[str | None] | None = None,
        persist_directory: str | Path | None = None,
        collection_name: str | None = None,
        client: Any = None,
        model: str | LexSemBridgeEncoder | Embeddings | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over texts; see `from_documents`.

        Args:
            texts: The texts.
            *given: Metadatas and ids, or as for LangChain's vector stores embeddings, metadatas and ids.
            embedding: LangChain embeddings.
            metadatas: A dictionary for each text.
            ids: Their ids.
            persist_directory: See `from_documents`, as the following.
            collection_name: Name of the collection.
            client: Chroma client.
            model: In place of `embedding`.
            **kwargs: Fields of the retriever, such as `k`.
        """
        encoder, rest = sorted_out(given, embedding, model, metadatas=metadatas, ids=ids)
        return cls.from_documents(
            to_documents(texts, rest["metadatas"]),
            ids=rest["ids"],
            persist_directory=persist_directory,
            collection_name=collection_name,
            client=client,
            model=encoder,
            **kwargs,
        )

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *given: Embeddings | Sequence[Any] | None,
        embedding: Embeddings | None = None,
        ids: Sequence[str | None] | None = None,
        persist_directory: str | Path | None = None,
        collection_name: str | None = None,
        client: Any = None,
        model: str | LexSemBridgeEncoder | Embeddings | None = None,
        **kwargs: Any,
    ) -> LexSemBridgeRetriever:
        """A retriever over documents, however many; what a collection holds already is not embedded again.

        Args:
            documents: The documents.
            *given: Ids, or as for LangChain's vector stores embeddings and ids.
            embedding: LangChain embeddings. Default: all-MiniLM-L6-v2.
            ids: Their ids. Default: `Document.id`, else one made from content and metadata.
            persist_directory: Folder of the database. Default: in memory.
            collection_name: Name of the collection. Default: `langchain`; in memory a new one each time.
            client: Chroma client in place of `persist_directory`.
            model: In place of `embedding`; also a sentence-transformers model by hub name or path, or an encoder.
            **kwargs: Fields of the retriever, such as `k`.

        Raises:
            InvalidInputError: For a blank text, metadata that cannot be stored, or an id given twice with different
                content; nothing is stored then.
            InvalidTypeError: For embeddings that are something else.
        """
        encoder, rest = sorted_out(given, embedding, model, ids=ids)
        passages = to_passages(documents, rest["ids"])
        database = persist_directory if client is None else client
        store = PassageStore.for_passages(passages, database, collection_name, encoder, default_name=DEFAULT_COLLECTION)
        retriever = cls(store=store, **kwargs)
        retriever._add(passages)
        return retriever

    # -- retrieving ---------------------------------------------------------------------------------------------------

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,
        k: int | None = None,
        filter: Any = None,
        where_document: dict[str, Any] | None = None,
        score_threshold: float | None = None,
        min_confidence: float | None = None,
    ) -> list[Document]:
        options = self._search_options(k, filter, where_document)
        return self._documents(self._retriever(min_confidence, score_threshold).search(query, **options))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun | None = None,
        k: int | None = None,
        filter: Any = None,
        where_document: dict[str, Any] | None = None,
        score_threshold: float | None = None,
        min_confidence: float | None = None,
    ) -> list[Document]:
        options = self._search_options(k, filter, where_document)
        return self._documents(await self._retriever(min_confidence, score_threshold).asearch(query, **options))

    def _retriever(self, min_confidence: float | None = None, score_threshold: float | None = None) -> Retriever:
        """With the least confidence and score of a call, else the fields'."""
        return Retriever(
            self.store,
            strength=self.strength,
            rerank=self.rerank,
            candidates=self.candidates,
            sentences=self.sentences,
            vanilla=self.vanilla,
            min_confidence=self.min_confidence if min_confidence is None else min_confidence,
            min_score=self.score_threshold if score_threshold is None else score_threshold,
            collapse=self.collapse,
            mmr=self.lambda_mult if self.search_type == "mmr" else None,
            fetch_k=self.fetch_k,
        )

    def _search_options(self, k: int | None, filter: Any, where_document: dict[str, Any] | None) -> dict[str, Any]:
        """Those of a call, else the fields'."""
        return {
            "k": self.k if k is None else k,
            "where": self.filter if filter is None else filter,
            "where_document": self.where_document if where_document is None else where_document,
        }

    def _documents(self, hits: Sequence[Hit]) -> list[Document]:
        return [
            to_document(hit, rank if self.include_scores else None, include_id=self.include_id)
            for rank, hit in enumerate(hits, start=1)
        ]

    def batch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[list[Document]]:
        """Retrieve for several queries, which are embedded together where the model can."""
        found: list[list[Document]] = []
        for queries, configs in _parts(inputs, config):
            if self._embeds_together:
                with suppress(Exception):  # each query meets it again, by itself
                    self._retriever().embed(_texts(queries))
            found += super().batch(queries, configs, return_exceptions=return_exceptions, **kwargs)
        return found

    async def abatch(
        self,
        inputs: list[str],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[list[Document]]:
        """`batch` beside the event loop."""
        found: list[list[Document]] = []
        for queries, configs in _parts(inputs, config):
            if await in_background(lambda: self._embeds_together):
                with suppress(Exception):
                    await self._retriever().aembed(_texts(queries))
            found += await super().abatch(queries, configs, return_exceptions=return_exceptions, **kwargs)
        return found

    @property
    def _embeds_together(self) -> bool:
        """Whether one call embeds several queries; LangChain's embeddings take one, and a batch calls them at once."""
        backbone = self.store.encoder.backbone
        return not isinstance(backbone, ProviderBackbone) or backbone.batches_queries

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        provider = "Chroma" if isinstance(self.store, PassageStore) else self.store.name
        return LangSmithRetrieverParams(**super()._get_ls_params(**kwargs), ls_vector_store_provider=provider)

    # -- changing the collection --------------------------------------------------------------------------------------

    def add_documents(self, documents: Iterable[Document], ids: Sequence[str | None] | None = None) -> list[str]:
        """Embed and store documents, however many; an id that is stored with other content is replaced.

        Args:
            documents: The documents. Metadata that are None are left out, as they cannot be stored.
            ids: Their ids. Default: `Document.id`, else one made from content and metadata.

        Returns:
            Their ids.

        Raises:
            InvalidInputError: For a blank text, metadata that cannot be stored, or an id given twice with different
                content; nothing is stored then.
        """
        passages = to_passages(documents, ids)
        self._add(passages)
        given = [passage.id for passage in passages]
        return given if isinstance(self.store, PassageStore) else list(map(self.store.index.id_of, given))

    def _add(self, passages: Sequence[Passage]) -> None:
        with progress_bar("Adding documents", self.show_progress) as progress:
            self.store.add(passages, progress=progress)

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Embed and store texts; see `add_documents`."""
        return self.add_documents(to_documents(texts, metadatas), ids)

    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """Remove documents by id; unknown ids are passed over.

        Args:
            ids: Their ids.
            **kwargs: Not used.

        Returns:
            `num_deleted`, and in `succeeded` the ids that were there. It is true where all of them were.

        Raises:
            InvalidInputError: Without ids, which would be everything.
        """
        if ids is None:
            msg = "Give a list of ids."
            raise InvalidInputError(msg)
        present = [passage.id for passage in self.store.get(ids)]
        self.store.delete(ids)
        return cast("DeleteResponse", _Deleted(ids, present))

    def upsert(self, items: Sequence[Document], /, **kwargs: Any) -> UpsertResponse:
        """`add_documents`, as LangChain's `index()` calls it."""
        return {"succeeded": self.add_documents(items), "failed": []}

    def get(self, ids: Sequence[str], /, **kwargs: Any) -> list[Document]:
        """Those documents of `ids` that are stored."""
        return [to_document(VectorRecord.of(passage).hit()) for passage in self.store.get(ids)]

    def sync(self, documents: Iterable[Document] | None = None) -> None:
        """Fit on what is stored now, for changes that were not made through this retriever.

        Args:
            documents: All documents of the vector store, where it cannot list them. New ones are embedded for the
                statistics; those that are not among them are taken out of these.

        Raises:
            InvalidInputError: Without documents, when the store cannot list them.
        """
        if isinstance(self.store, PassageStore):
            self.refresh()
            return
        passages = None if documents is None else to_passages(documents, None)
        with progress_bar("Fitting", self.show_progress) as progress:
            self.store.sync(passages, progress=progress)

    def refresh(self) -> None:
        """Fit on the collection again, for changes by another program that left the number of its records as it was."""
        with progress_bar("Fitting", self.show_progress) as progress:
            self.store.refresh(progress=progress)

    def close(self) -> None:
        """Let go of the database's files and threads; a client or vector store that was given stays open."""
        self.store.close()

    async def aadd_documents(self, documents: Iterable[Document], ids: Sequence[str | None] | None = None) -> list[str]:
        """`add_documents` in a thread, so that the event loop goes on."""
        return await passages_in_background(self.add_documents, documents, ids)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """`add_texts` in a thread, so that the event loop goes on."""
        return await passages_in_background(self.add_texts, texts, metadatas, ids)

    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> DeleteResponse:
        """`delete` in a thread, so that the event loop goes on."""
        return await passages_in_background(self.delete, ids)


def _parts(inputs: list[str], config: RunnableConfig | list[RunnableConfig] | None) -> Iterator[tuple[list[str], Any]]:
    """The queries of a batch in parts, with their configurations."""
    for at in range(0, len(inputs), EMBEDDED_TOGETHER):
        part = slice(at, at + EMBEDDED_TOGETHER)
        yield inputs[part], config[part] if isinstance(config, list) else config


def _texts(queries: Sequence[Any]) -> list[str]:
    """Those queries that can be embedded; others are refused by themselves."""
    return [query for query in queries if isinstance(query, str) and query.strip()]
