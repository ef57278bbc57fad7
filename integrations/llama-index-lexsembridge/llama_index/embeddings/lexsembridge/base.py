"""Embeddings for any LlamaIndex index: passages plain, queries modulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager

from lsb_rag import DEFAULT_BACKBONE, Embedder, Fingerprint, LexSemBridgeEncoder, PassageStore, ProviderBackbone
from lsb_rag.errors import (
    CollectionNotFoundError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from lsb_rag.utils import (
    Closable,
    checked,
    in_background,
    passages_in_background,
    plainly_refused,
    progress_bar,
)

from .encoders import checked_embed_model, encoder_for, encoder_of, name_of, reported_by
from .options import loaded, options_of

OTHER_OPTIONS = (
    "collection",
    "persist_dir",
    "bridge",
    "strength",
    "vanilla",
    "cache_queries",
    "embed_batch_size",
    "num_workers",
)
"""Options that do not change passage vectors."""
MOST_AT_ONCE = 2048
"""The largest embed_batch_size that LlamaIndex takes."""


INSTEAD = {
    "embedding": "Give an embedding of LlamaIndex's as embed_model=.",
    "model": "Give the name of a model as model_name=.",
    "persist_directory": "Give the folder of the database as persist_dir=.",
    "index": "Give its vector store, on Chroma, as collection=; for another see LexSemBridgeRetriever.from_index().",
}


class _OtherOptions(dict[str, Any]):
    """Options that an ingestion cache must not depend on, or changing one would embed every passage again.

    LlamaIndex keys the cache by the text of `to_dict()`, from which it takes out what reads ``<… at 0x…>``.
    """

    def __repr__(self) -> str:
        return "<other options at 0x0>"


class LexSemBridgeEmbedding(Closable, BaseEmbedding):
    """Embeddings whose *query* vectors are modulated by LexSemBridge (arXiv 2508.17858), over any model.

    Text embeddings are the unmodified backbone's. What modulates the queries, the bridge, is fitted without training on
    the passages: those of a Chroma collection (`collection`), those that a file was saved from (`bridge`), or else
    those that this object embeds in this process.

    Args:
        model_name: Backbone by hub name or path. Default: what an open `collection` was made with, else the embedded
            all-MiniLM-L6-v2.
        encoder: A loaded encoder in place of `model_name`, for other paradigms, fusions or devices.
        embed_model: An embedding of LlamaIndex's in place of `model_name`. Texts and queries are embedded by its own
            methods, with its batches, retries and limits; `embed_batch_size` and `num_workers` are its own too, unless
            given.
        collection: Where the bridge is fitted: a collection's name (with `persist_dir` or `client`), a
            `ChromaVectorStore`, a Chroma collection or an `lsb_rag.PassageStore`. Verified and fitted when first
            needed, and kept current as the collection changes.
        persist_dir: Folder of the Chroma database that holds `collection`.
        client: Chroma client of that database, in place of `persist_dir`.
        bridge: A file that `save` wrote; read and verified when first needed.
        strength: How strongly the bridge acts, 0.8 by default; 0 gives the backbone's vectors.
        vanilla: True gives the backbone's plain query vectors: the baseline twin, which differs in nothing else.
        cache_queries: False embeds a query anew each time it is asked; only with `embed_model`.
        embed_batch_size: Texts that are handed to the backbone at once; of so many it makes batches of like length.

    Raises:
        InvalidInputError: When both a collection and a bridge are given, or a collection's name without its database.
        InvalidTypeError: For an embed_model or an encoder that is none.

    Examples:
        ```python
        from llama_index.core import VectorStoreIndex
        from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding

        index = VectorStoreIndex.from_documents(documents, embed_model=LexSemBridgeEmbedding())
        ```
    """

    model_config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True, extra="forbid")

    model_name: str = Field(default=DEFAULT_BACKBONE, description="Backbone by hub name or path.", frozen=True)
    embed_batch_size: int = Field(default=256, gt=0, le=MOST_AT_ONCE, description="Texts handed over at once.")
    fingerprint: dict[str, Any] | None = Field(default=None, description="Of an encoder given loaded.", frozen=True)
    encoder: LexSemBridgeEncoder | None = Field(default=None, exclude=True, repr=False, frozen=True)
    embed_model: BaseEmbedding | None = Field(default=None, exclude=True, repr=False, frozen=True)
    collection: str | None = Field(default=None, description="Collection that the bridge is fitted on.", frozen=True)
    persist_dir: str | None = Field(default=None, description="Folder of the collection's database.", frozen=True)
    bridge: str | None = Field(default=None, description="File of a saved bridge.", frozen=True)
    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Of the bridge.")
    vanilla: bool = Field(default=False, description="Queries as the backbone embeds them.")
    cache_queries: bool = Field(default=True, description="Whether a query costs one request.", frozen=True)

    _embedder: Embedder = PrivateAttr()

    def __init__(
        self,
        model_name: str | None = None,
        *,
        encoder: LexSemBridgeEncoder | None = None,
        embed_model: BaseEmbedding | None = None,
        collection: Any = None,
        persist_dir: str | Path | None = None,
        client: Any = None,
        bridge: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        for one, other, both in (
            ("encoder", "model_name", encoder is not None and model_name is not None),
            ("embed_model", "model_name", embed_model is not None and model_name is not None),
            ("embed_model", "encoder", embed_model is not None and encoder is not None),
            ("persist_dir", "client", persist_dir is not None and client is not None),
        ):
            if both:
                raise InvalidInputError(f"Give {one}= or {other}=, not both.")
        if collection is None and (persist_dir is not None or client is not None):
            raise InvalidInputError("Name the collection= that the bridge is fitted on, beside its database.")
        if not (encoder is None or isinstance(encoder, LexSemBridgeEncoder)):
            raise InvalidTypeError(
                f"encoder= takes a LexSemBridgeEncoder, not {type(encoder).__name__}; an embedding of LlamaIndex's is "
                "given as embed_model=."
            )
        if not (model_name is None or isinstance(model_name, str)):
            raise InvalidTypeError(
                f"model_name= takes a name or path, not {type(model_name).__name__}; an embedding of LlamaIndex's is "
                "given as embed_model=."
            )
        if not (bridge is None or isinstance(bridge, str | Path)):
            raise InvalidTypeError(f"bridge= takes a file that save() wrote, not {type(bridge).__name__}.")
        over = None
        if embed_model is not None:
            over = _over(embed_model, cache_queries=kwargs.get("cache_queries", True))
            kwargs.setdefault("embed_batch_size", min(embed_model.embed_batch_size, MOST_AT_ONCE))
            kwargs.setdefault("num_workers", embed_model.num_workers)
        elif not kwargs.get("cache_queries", True):
            raise InvalidInputError("cache_queries= goes with embed_model=; a model that runs here keeps its own.")
        store = _opened(collection)
        source: Any = store
        if isinstance(collection, str):
            if client is None and persist_dir is None:
                raise InvalidInputError(
                    f"Give the database of the collection {collection!r} as persist_dir= or client=."
                )
            source = (str(persist_dir) if client is None else client, collection)
        elif store is not None:
            persist_dir = store.path
        backbone: LexSemBridgeEncoder | str | None = over or encoder or encoder_for(model_name)
        if embed_model is not None:
            model_name = name_of(embed_model)
        elif encoder is not None:
            model_name, kwargs["fingerprint"] = encoder.name, _identity(encoder)
        elif model_name is None:
            made_with = _made_with(source)
            model_name = made_with.backbone if made_with else DEFAULT_BACKBONE
            backbone = None if made_with else model_name  # None: the collection knows its own
        persist_dir = Path(persist_dir).resolve() if persist_dir else None
        kwargs |= {
            "model_name": model_name,
            "encoder": encoder,
            "embed_model": embed_model,
            "collection": store.name if store is not None else collection,
            "persist_dir": str(persist_dir) if persist_dir else None,
            "bridge": str(bridge) if bridge else None,
        }
        with plainly_refused("LexSemBridgeEmbedding", type(self).model_fields, kwargs, instead=INSTEAD):
            super().__init__(**kwargs)
        self._embedder = Embedder(backbone, collection=source, bridge=self.bridge)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised configurations."""
        return "LexSemBridgeEmbedding"

    # -- the bridge --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, path: str | Path, **kwargs: Any) -> LexSemBridgeEmbedding:
        """Embeddings with a bridge that `save` wrote, read and verified at once.

        Raises:
            ReadError: When there is no such file.
            CorruptFileError: When it is damaged.
            FingerprintMismatchError: When it was fitted for another backbone than `model_name`.
        """
        embedding = cls(bridge=path, **kwargs)
        embedding.load_encoder()
        return embedding

    def save(self, path: str | Path) -> None:
        """Write the bridge to one safetensors file, for `bridge=path` or `load(path)`.

        Raises:
            InvalidInputError: When nothing has been fitted yet.
            StoreError: When the file cannot be written.
        """
        self._embedder.save(path)

    def fit(self, texts: Sequence[str], show_progress: bool | None = None) -> None:
        """Embed texts and fit the bridge on them, beside those seen before; a collection or file is let go."""
        elsewhere = self.collection is not None or self.bridge is not None
        embedder = Embedder(self.load_encoder()) if elsewhere else self._embedder
        with progress_bar("Fitting", show_progress) as progress:
            embedder.fit(texts, progress=progress)
        self._adopt(embedder, collection=None, persist_dir=None, bridge=None)

    def fit_collection(self, collection: Any, show_progress: bool | None = None) -> None:
        """Fit the bridge on a Chroma collection, and follow it from now on.

        Args:
            collection: A `ChromaVectorStore`, a Chroma collection or an `lsb_rag.PassageStore`.
            show_progress: True shows a progress bar, False none; by default it comes after two seconds, in a terminal
                or a notebook.

        Raises:
            FingerprintMismatchError: When its vectors come from another backbone.
        """
        store = _opened(collection)
        if store is None:
            raise InvalidInputError("fit_collection() takes a ChromaVectorStore or a Chroma collection.")
        embedder = Embedder(self._embedder.loaded_encoder or self.model_name, collection=store)
        with progress_bar("Fitting", show_progress) as progress:
            embedder.refresh(progress=progress)
        folder = str(store.path) if store.path else None
        self._adopt(embedder, collection=store.name, persist_dir=folder, bridge=None)

    def refresh(self, show_progress: bool | None = None) -> None:
        """Fit on the collection again, for changes that left the number of its records as it was.

        Raises:
            InvalidInputError: Without a collection.
        """
        with progress_bar("Fitting", show_progress) as progress:
            self._embedder.refresh(progress=progress)

    def close(self) -> None:
        """Close the collection that was opened for it; it is opened again when it is next needed."""
        self._embedder.close()

    def _adopt(self, embedder: Embedder, **fields: Any) -> None:
        self._embedder = embedder
        self.__dict__.update(fields)  # frozen to everybody else

    def load_encoder(self) -> LexSemBridgeEncoder:
        """The encoder, loaded and verified against the collection or bridge.

        Raises:
            FingerprintMismatchError: When it is another than the one these embeddings were made with.
        """
        encoder = self._embedder.encoder
        if self.fingerprint is not None and "weights" in self.fingerprint:
            differences = Fingerprint(**self.fingerprint).differences(encoder.fingerprint)
            if differences:
                raise FingerprintMismatchError(
                    f"These embeddings were made with {self.model_name}, which is not the backbone at hand, "
                    f"{encoder.name} ({'; '.join(differences)}); give theirs as encoder=."
                )
        return encoder

    # -- embedding ---------------------------------------------------------------------------------------------------

    def get_query_embedding(self, query: str) -> Embedding:
        """Embed a query and modulate it. The `embeddings_cache` is passed by: it would give the text's vector."""
        return BaseEmbedding.get_query_embedding(self._without_cache(), query)

    async def aget_query_embedding(self, query: str) -> Embedding:
        """`get_query_embedding` beside the event loop: on it where the `embed_model` can, else in a thread."""
        return await BaseEmbedding.aget_query_embedding(self._without_cache(), query)

    def _without_cache(self) -> LexSemBridgeEmbedding:
        return self if self.embeddings_cache is None else self.model_copy(update={"embeddings_cache": None})

    def _get_query_embedding(self, query: str) -> Embedding:
        self.load_encoder()
        with reported_by(self.callback_manager):
            return list(map(float, self._embedder.embed_query(query, strength=self._strength)))

    async def _aget_query_embedding(self, query: str) -> Embedding:
        await in_background(self.load_encoder)
        with reported_by(self.callback_manager):
            return list(map(float, await self._embedder.aembed_query(query, strength=self._strength)))

    @property
    def _strength(self) -> float | None:
        return 0.0 if self.vanilla else self.strength

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        self.load_encoder()
        with reported_by(self.callback_manager):
            vectors = self._embedder.embed_documents(texts)
        return [list(map(float, vector)) for vector in vectors]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        await passages_in_background(self.load_encoder)
        with reported_by(self.callback_manager):
            vectors = await self._embedder.aembed_documents(texts)
        return [list(map(float, vector)) for vector in vectors]

    # -- copies ------------------------------------------------------------------------------------------------------

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The options, for `from_dict`; without keys, weights, a cache, and what was fitted here (see `save`)."""
        data = super().to_dict(**kwargs)
        data.pop("embeddings_cache", None)
        others = _OtherOptions((name, data.pop(name)) for name in OTHER_OPTIONS if name in data)
        if self.embed_model is not None:
            data["embed_model"], others["embed_model"] = options_of(self.embed_model)
        data["other_options"] = others
        return data

    @classmethod
    @checked
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> LexSemBridgeEmbedding:
        """Embeddings with the options that `to_dict` gave; keys of an embed_model come from the environment.

        Args:
            data: The options.
            **kwargs: Arguments in place of them, such as `embed_model` or `encoder`.

        Raises:
            InvalidInputError: When LlamaIndex cannot make the embed_model from its options.
        """
        options = {key: value for key, value in data.items() if key not in ("other_options", "class_name")}
        others = dict(data.get("other_options", {}))
        theirs = {**options.pop("embed_model", {}), **others.pop("embed_model", {})}
        given = {"encoder", "embed_model", "model_name"}.intersection(kwargs)
        if theirs and not given:
            kwargs["embed_model"] = loaded(theirs)
        if theirs or given:
            options = {key: value for key, value in options.items() if key not in ("model_name", "fingerprint")}
        return cls(**{**options, **others, **kwargs})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> LexSemBridgeEmbedding:
        memo = {} if memo is None else memo
        if self.embed_model is not None:
            memo[id(self.embed_model)] = self.embed_model  # it holds a client, and the encoder is over it
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[str, Any]:
        if self.embed_model is not None and self._embedder.loaded_encoder is not None:
            self._embedder.loaded_encoder.reference()  # says why it cannot be pickled
        # LlamaIndex's own drops in silence what cannot be pickled, and every private attribute with it.
        state = BaseModel.__getstate__(self)
        # Handlers and caches are of this process.
        state["__dict__"] = {**state["__dict__"], "callback_manager": CallbackManager([]), "embeddings_cache": None}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        BaseModel.__setstate__(self, state)


def _opened(collection: Any) -> PassageStore | None:
    """The store of an open collection in any form; None for a name."""
    if collection is None or isinstance(collection, str | PassageStore):
        return collection if isinstance(collection, PassageStore) else None
    return PassageStore.from_collection(collection)


def _over(embed_model: BaseEmbedding, *, cache_queries: bool) -> LexSemBridgeEncoder:
    """The encoder over an embed_model that is not one of ours."""
    if isinstance(checked_embed_model(embed_model), LexSemBridgeEmbedding):
        raise InvalidTypeError("This embed_model is a LexSemBridgeEmbedding already; take it as it is.")
    return encoder_of(embed_model, cache_queries=cache_queries)


def _identity(encoder: LexSemBridgeEncoder) -> dict[str, Any]:
    """What tells an encoder that was given from others; of a provider's what costs no request."""
    if isinstance(encoder.backbone, ProviderBackbone):
        return {"backbone": encoder.name, "kind": encoder.backbone.kind}
    return asdict(encoder.fingerprint)


def _made_with(source: Any) -> Fingerprint | None:
    """The fingerprint that a collection is marked with; None where it is not there yet, or another program's."""
    try:
        store = PassageStore(*source, create=False) if isinstance(source, tuple) else source
    except CollectionNotFoundError:
        return None
    return store.fingerprint if store is not None else None
