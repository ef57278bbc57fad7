"""The rerank as a document compressor, over any retriever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.callbacks import Callbacks
from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, Field, PrivateAttr
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from langchain_lexsembridge.backbones import opened, refused
from langchain_lexsembridge.construction import Plainly
from langchain_lexsembridge.documents import to_passages, with_scores
from langchain_lexsembridge.retrievers import LexSemBridgeRetriever
from lsb_rag import ExternalStore, Hit, LexSemBridgeEncoder, Passage, PassageStore, Reranker
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import in_background


class LexSemBridgeRerank(Plainly, BaseDocumentCompressor):
    """Orders the documents of any retriever by LexSemBridge's score, for `ContextualCompressionRetriever`.

    With the vector store that the documents are in, a document has the score that `LexSemBridgeRetriever` gives it, and
    costs no embedding; see `from_vectorstore`. With `embeddings` alone, the documents of a query are embedded, and
    document frequencies are counted in them.

    Documents carry `score`, `confidence` and `rank` in a copy of their metadata.

    Example:
        ```python
        from langchain_classic.retrievers import ContextualCompressionRetriever
        from langchain_lexsembridge import LexSemBridgeRerank

        rerank = LexSemBridgeRerank.from_vectorstore(vectorstore, top_n=4)
        ContextualCompressionRetriever(base_compressor=rerank, base_retriever=retriever)
        ```

    Raises:
        InvalidInputError: For a store and embeddings both.
        InvalidTypeError: For embeddings or a store that is something else.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", hide_input_in_errors=True)

    right_call: ClassVar[str] = "Embeddings go to embeddings=, a vector store to LexSemBridgeRerank.from_vectorstore()."
    instead: ClassVar[Mapping[str, str]] = {
        "vectorstore": right_call,
        "model": "Give a name, an encoder or LangChain embeddings as embeddings=.",
        "embedding": "Give LangChain embeddings as embeddings=.",
        "base_retriever": "Give it to ContextualCompressionRetriever(base_compressor=rerank, base_retriever=...).",
        "top_k": "Give the number of documents as top_n=.",
        "k": "Give the number of documents as top_n=.",
    }

    embeddings: SkipJsonSchema[Any] = Field(default=None, exclude=True, repr=False, frozen=True)
    """LangChain embeddings, a model by hub name or path, or an encoder. Default: all-MiniLM-L6-v2."""

    store: SkipJsonSchema[Any] = Field(default=None, exclude=True, repr=False, frozen=True)
    """The passages that words are counted in, as `LexSemBridgeRetriever.store` has them; in place of `embeddings`."""

    top_n: int | None = Field(default=4, ge=1)
    """The most documents to keep; None keeps all."""

    rerank: float = Field(default=Reranker.RERANK, ge=0, allow_inf_nan=False, frozen=True)
    """Weight of the lexical score; 0 orders by the cosine similarity alone."""

    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False, frozen=True)
    """How strongly the bridge of the store acts. Default: the encoder's, 0.8."""

    sentences: bool = Field(default=True, frozen=True)
    """Whether sentences count, with a store."""

    min_confidence: float = Field(default=0.0, ge=0, le=1, frozen=True)
    """Leave out documents of a lower `confidence`."""

    collapse: bool = Field(default=False, frozen=True)
    """Whether of documents with equal texts the best alone is kept."""

    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Open what embeds; nothing is embedded yet."""
        super().model_post_init(context)
        if self.embeddings is not None and self.store is not None:
            msg = "Give embeddings= or store=, not both."
            raise InvalidInputError(msg)
        if self.store is not None and not isinstance(self.store, PassageStore | ExternalStore):
            hint = "A vector store goes to from_vectorstore()."
            raise refused(self.store, "store= takes the store of a LexSemBridgeRetriever", hint)
        given = opened(self.embeddings) if self.store is None else self.store
        if isinstance(given, str):
            given = LexSemBridgeEncoder.open(given)
        self._reranker = Reranker(
            given,
            strength=self.strength,
            rerank=self.rerank,
            sentences=self.sentences,
            min_confidence=self.min_confidence,
            collapse=self.collapse,
        )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with other options where they are given; the store is shared."""
        copied = super().model_copy(update=update, deep=deep)
        copied.model_post_init(None)
        return copied

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    @classmethod
    def from_vectorstore(
        cls,
        vectorstore: VectorStore | Any,
        *,
        documents: Iterable[Document] | None = None,
        texts: Iterable[str] | None = None,
        statistics: str | Path | None = None,
        model: str | LexSemBridgeEncoder | Embeddings | None = None,
        **kwargs: Any,
    ) -> Self:
        """A rerank with the vectors, the words and the embeddings of a vector store.

        Args:
            vectorstore: See `LexSemBridgeRetriever.from_vectorstore`, as the following.
            documents: Its documents, where it cannot list them.
            texts: The same as texts.
            statistics: File that keeps the statistics of another store than Chroma.
            model: What embeds, in place of the store's embeddings.
            **kwargs: Fields, such as `top_n`.
        """
        retriever = LexSemBridgeRetriever.from_vectorstore(
            vectorstore, documents=documents, texts=texts, statistics=statistics, model=model
        )
        return cls(store=retriever.store, **kwargs)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """The best documents, best first.

        Args:
            documents: What a retriever brought. Those of one id count once, and blank ones do not.
            query: The query.
            callbacks: Not used.

        Raises:
            InvalidInputError: For a blank query.
        """
        passages = _passages(documents)
        return self._documents(documents, passages, self._reranker.rank(query, passages, self.top_n))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """`compress_documents` in a thread."""
        return await in_background(self.compress_documents, documents, query)

    def _documents(
        self, documents: Sequence[Document], passages: Sequence[Passage], hits: Sequence[Hit]
    ) -> list[Document]:
        by_id = {passage.id: document for passage, document in zip(passages, documents, strict=True)}
        return [with_scores(by_id[hit.id], hit, rank) for rank, hit in enumerate(hits, start=1)]


def _passages(documents: Sequence[Document]) -> list[Passage]:
    if isinstance(documents, str | Document):
        msg = "Give a list of documents, then the query."
        raise InvalidTypeError(msg)
    return to_passages(documents, None)
