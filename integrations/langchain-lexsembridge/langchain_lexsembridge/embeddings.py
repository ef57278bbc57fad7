"""Embeddings for any LangChain vector store: passages plain, queries modulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

from langchain_core.embeddings import Embeddings
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SkipValidation,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from langchain_lexsembridge.backbones import encoder_of, is_embeddings, refused
from langchain_lexsembridge.construction import Plainly
from lsb_rag import Embedder, LexSemBridgeEncoder
from lsb_rag.errors import InvalidInputError
from lsb_rag.utils import Closable, progress_bar

EMBEDDINGS_ELSEWHERE = "Give LangChain embeddings as embeddings=."
_BACKBONES = ("model", "encoder", "embeddings")
_SOURCES = {*_BACKBONES, "cache_queries", "collection", "persist_directory", "client", "bridge"}


class LexSemBridgeEmbeddings(Closable, Plainly, Embeddings):
    """Embeddings whose *query* vectors are modulated by LexSemBridge (arXiv 2508.17858).

    Any LangChain embeddings, or a sentence-transformers model, are the backbone. Passages keep its vectors, so a vector
    store stays as it is. What modulates the
    queries, the bridge, is fitted without training on the passages: those of a Chroma collection (`collection`), those
    that a file was saved from (`bridge`), or else those that this object embeds in this process.

    Example:
        ```python
        from langchain_chroma import Chroma
        from langchain_lexsembridge import LexSemBridgeEmbeddings
        from langchain_openai import OpenAIEmbeddings

        embeddings = LexSemBridgeEmbeddings(
            embeddings=OpenAIEmbeddings(), collection="manuals", persist_directory="./db"
        )
        vector_store = Chroma("manuals", embeddings, persist_directory="./db")
        vector_store.similarity_search("what does E-4012 mean", k=5)
        ```

    Pickling keeps what was fitted here, and backbone and collection as references to where they are; given `embeddings`
    are pickled as they are, where they can be.

    Raises:
        InvalidInputError: For options that contradict each other, or a collection's name without its database.
        InvalidTypeError: For a backbone, collection or bridge that is something else.
    """

    # An error does not show what was given, as embeddings may hold a key.
    model_config = ConfigDict(
        arbitrary_types_allowed=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True
    )

    right_call: ClassVar[str] = "Give LangChain embeddings as embeddings=, or the name of a model as model=."
    instead: ClassVar[Mapping[str, str]] = {
        "embedding": "Give LangChain embeddings as embeddings=.",
        "vectorstore": "Give a Chroma vector store as collection=; another store's retriever is "
        "LexSemBridgeRetriever.from_vectorstore().",
    }

    model: str | None = Field(default=None, alias="model_name", frozen=True)
    """Backbone by hub name or path. Default: what the collection or bridge was made with, else all-MiniLM-L6-v2."""

    encoder: SkipJsonSchema[LexSemBridgeEncoder | None] = Field(default=None, exclude=True, repr=False, frozen=True)
    """A loaded encoder in place of `model`, for other paradigms, fusions or devices."""

    embeddings: SkipJsonSchema[SkipValidation[Embeddings | None]] = Field(
        default=None, exclude=True, repr=False, frozen=True
    )
    """LangChain embeddings in place of `model`, such as `OpenAIEmbeddings()`. Retries, limits and errors are theirs;
    batches too, unless `batch_size` is given."""

    cache_queries: bool = Field(default=True, frozen=True)
    """Whether a query that was asked lately costs `embeddings` no request; the last 256 are kept."""

    collection: Any = Field(default=None, exclude=True, frozen=True)
    """Where the bridge is fitted: a collection's name (with `persist_directory` or `client`), a
    `langchain_chroma.Chroma`, a Chroma collection or an `lsb_rag.PassageStore`. Opened, verified and fitted when first
    needed, and kept current as the collection changes."""

    persist_directory: str | Path | None = Field(default=None, frozen=True)
    """Folder of the Chroma database that holds `collection`."""

    client: Any = Field(default=None, exclude=True, repr=False, frozen=True)
    """Chroma client of the database that holds `collection`, in place of `persist_directory`."""

    bridge: Any = Field(default=None, exclude=True, frozen=True)
    """A file written by `save`, read and verified when first needed; or an `lsb_rag.CorpusBridge`."""

    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """How strongly the bridge acts; 0 gives the backbone's vectors. Default: the encoder's, 0.8."""

    vanilla: bool = False
    """True gives the backbone's plain query vectors: the baseline twin, which differs in nothing else."""

    batch_size: int | None = Field(default=None, ge=1)
    """Texts that the backbone embeds at once; by default what suits the device."""

    show_progress: bool | None = None
    """True shows a progress bar, False none; by default it comes after two seconds, in a terminal or a notebook."""

    _embedder: Embedder = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Tie the object to its encoder and the source of its bridge; nothing is loaded yet."""
        super().model_post_init(context)
        pairs = [*combinations(_BACKBONES, 2), ("persist_directory", "client"), ("collection", "bridge")]
        for one, other in pairs:
            if getattr(self, one) is not None and getattr(self, other) is not None:
                msg = f"Give {one}= or {other}=, not both."
                raise InvalidInputError(msg)
        if self.collection is None and (self.persist_directory is not None or self.client is not None):
            msg = "Name the collection= that the bridge is fitted on, beside its database."
            raise InvalidInputError(msg)
        if not self.cache_queries and self.embeddings is None:
            msg = "cache_queries=False is for embeddings=; a model that runs here gives a query the same vector again."
            raise InvalidInputError(msg)
        self._embedder = Embedder(
            self._backbone(self.collection), collection=self._source(self.collection), bridge=self.bridge
        )

    @field_validator(*_BACKBONES, mode="before")
    @classmethod
    def _checked(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return value
        if info.field_name == "embeddings" and not is_embeddings(value):
            raise refused(value, "embeddings= takes LangChain embeddings, such as OpenAIEmbeddings()")
        if info.field_name == "encoder" and not isinstance(value, LexSemBridgeEncoder):
            raise refused(value, "encoder= takes a LexSemBridgeEncoder", EMBEDDINGS_ELSEWHERE)
        if info.field_name == "model" and is_embeddings(value):
            raise refused(value, "model= takes a hub name or path", EMBEDDINGS_ELSEWHERE)
        return value

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; one with other query options, such as `vanilla`, shares what is fitted here."""
        copied = super().model_copy(update=update, deep=deep)
        if _SOURCES & set(update or ()):
            copied.model_post_init(None)
        return copied

    @classmethod
    def load(cls, path: str | Path, **kwargs: Any) -> LexSemBridgeEmbeddings:
        """Embeddings with a bridge that `save` wrote, read and verified at once.

        Args:
            path: The file.
            **kwargs: Further fields of the class.

        Raises:
            ReadError: When there is no such file.
            CorruptFileError: When it is damaged.
            FingerprintMismatchError: When it was fitted for another backbone than `model`.
        """
        embeddings = cls(bridge=path, **kwargs)
        embeddings.load_encoder()
        return embeddings

    def save(self, path: str | Path) -> None:
        """Write the bridge to one safetensors file, for `bridge=path` or `load(path)`.

        Raises:
            InvalidInputError: When nothing has been fitted yet.
            StoreError: When the file cannot be written.
        """
        self._embedder.save(path)

    def fit(self, texts: Sequence[str]) -> None:
        """Embed passages and fit the bridge on them, beside those seen before; a collection or file is let go."""
        elsewhere = self.collection is not None or self.bridge is not None
        embedder = Embedder(self._embedder.encoder) if elsewhere else self._embedder
        with progress_bar("Fitting", self.show_progress) as progress:
            embedder.fit(texts, batch_size=self.batch_size, progress=progress)
        self._adopt(embedder, collection=None, persist_directory=None, client=None, bridge=None)

    def fit_collection(self, collection: Any) -> None:
        """Fit the bridge on a Chroma collection, given as in the field `collection`, and follow it from now on.

        Raises:
            CollectionNotFoundError: When it is not there.
            FingerprintMismatchError: When its vectors come from another backbone.
        """
        backbone = self._embedder.loaded_encoder or self._backbone(collection)
        embedder = Embedder(backbone, collection=self._source(collection))
        with progress_bar("Fitting", self.show_progress) as progress:
            embedder.refresh(progress=progress)
        self._adopt(embedder, collection=collection, bridge=None)

    def refresh(self) -> None:
        """Fit on the collection again, for changes that left the number of its records as it was.

        Raises:
            InvalidInputError: Without a collection.
        """
        with progress_bar("Fitting", self.show_progress) as progress:
            self._embedder.refresh(progress=progress)

    def close(self) -> None:
        """Close the collection that was opened for them; it is opened again when it is next needed."""
        self._embedder.close()

    def _adopt(self, embedder: Embedder, **fields: Any) -> None:
        self._embedder = embedder
        self.__dict__.update(fields)  # frozen to everybody else

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed passages with the unmodified backbone.

        Args:
            texts: The passages.

        Returns:
            One vector for each, of length 1 or as `embeddings` give them.
        """
        with progress_bar("Embedding", self.show_progress) as progress:
            vectors = self._embedder.embed_documents(texts, batch_size=self.batch_size, progress=progress)
        return [list(map(float, vector)) for vector in vectors]

    def embed_query(self, text: str) -> list[float]:
        """Embed a query and modulate it.

        Args:
            text: The query.

        Returns:
            A vector of length 1, or as long as the stored ones where a collection compares longer ones.

        Raises:
            InvalidInputError: For a blank query.
        """
        return list(map(float, self._embedder.embed_query(text, strength=self._strength)))

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents` beside the event loop: by the asynchronous method of `embeddings`, else in a thread."""
        with progress_bar("Embedding", self.show_progress) as progress:
            vectors = await self._embedder.aembed_documents(texts, batch_size=self.batch_size, progress=progress)
        return [list(map(float, vector)) for vector in vectors]

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query` beside the event loop: by the asynchronous method of `embeddings`, else in a thread."""
        return list(map(float, await self._embedder.aembed_query(text, strength=self._strength)))

    def load_encoder(self) -> LexSemBridgeEncoder:
        """The encoder, loaded and verified against the collection or bridge."""
        return self._embedder.encoder

    def __getstate__(self) -> dict[Any, Any]:
        if self.embeddings is not None:
            encoder_of(self.embeddings).reference()  # which says so where they cannot be pickled
        return self._state()

    def _state(self) -> dict[Any, Any]:
        state = super().__getstate__()
        fields = dict(state["__dict__"])
        if self.client is not None or not isinstance(self.collection, str | None):
            # An open client cannot be pickled; the store refers to its folder, or says why it cannot.
            fields |= {"collection": self._embedder.store, "client": None}
        return {**state, "__dict__": fields}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied, memo = type(self).__new__(type(self)), {} if memo is None else memo
        memo[id(self.embeddings)] = self.embeddings  # shared, as they hold somebody else's client
        copied.__setstate__(deepcopy(self._state(), memo))
        return copied

    @property
    def _strength(self) -> float | None:
        return 0.0 if self.vanilla else self.strength

    def _backbone(self, collection: Any) -> str | LexSemBridgeEncoder | None:
        """What embeds: what was given, else the embeddings of a vector store; None for the collection's own."""
        if self.embeddings is not None:
            return encoder_of(self.embeddings, cache_queries=self.cache_queries)
        of_store = getattr(collection, "embeddings", None)
        if isinstance(of_store, LexSemBridgeEmbeddings):  # which may not be loaded yet
            of_store = of_store._embedder.loaded_encoder or of_store.model
        elif is_embeddings(of_store):
            of_store = encoder_of(of_store)
        return self.encoder or self.model or of_store

    def _source(self, collection: Any) -> Any:
        """`collection` as the library takes it."""
        if not isinstance(collection, str):
            return collection
        if self.client is None and self.persist_directory is None:
            msg = f"Give the database of the collection {collection!r} as persist_directory= or client=."
            raise InvalidInputError(msg)
        return (self.persist_directory if self.client is None else self.client, collection)
