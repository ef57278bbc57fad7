"""Embeddings for any LlamaIndex index: passages plain, queries modulated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager

from lsb_rag import DEFAULT_BACKBONE, Embedder, Fingerprint, LexSemBridgeEncoder, PassageStore
from lsb_rag.errors import (
    CollectionNotFoundError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from lsb_rag.utils import in_background, passages_in_background, progress_bar

OTHER_OPTIONS = ("collection", "persist_dir", "bridge", "strength", "vanilla", "embed_batch_size", "num_workers")
"""Options that do not change passage vectors."""


class _OtherOptions(dict[str, Any]):
    """Options that an ingestion cache must not depend on, or changing one would embed every passage again.

    LlamaIndex keys the cache by the text of `to_dict()`, from which it takes out what reads ``<… at 0x…>``.
    """

    def __repr__(self) -> str:
        return "<other options at 0x0>"


class LexSemBridgeEmbedding(BaseEmbedding):
    """Sentence-transformers embeddings whose *query* vectors are modulated by LexSemBridge (arXiv 2508.17858).

    Text embeddings are the unmodified backbone's. What modulates the queries, the bridge, is fitted without training on
    the passages: those of a Chroma collection (`collection`), those that a file was saved from (`bridge`), or else
    those that this object embeds in this process.

    Args:
        model_name: Backbone by hub name or path. Default: what an open `collection` was made with, else the embedded
            all-MiniLM-L6-v2.
        encoder: A loaded encoder in place of `model_name`, for other paradigms, fusions or devices.
        collection: Where the bridge is fitted: a collection's name (with `persist_dir` or `client`), a
            `ChromaVectorStore`, a Chroma collection or an `lsb_rag.PassageStore`. Verified and fitted when first
            needed, and kept current as the collection changes.
        persist_dir: Folder of the Chroma database that holds `collection`.
        client: Chroma client of that database, in place of `persist_dir`.
        bridge: A file that `save` wrote; read and verified when first needed.
        strength: How strongly the bridge acts, 0.8 by default; 0 gives the backbone's vectors.
        vanilla: True gives the backbone's plain query vectors: the baseline twin, which differs in nothing else.
        embed_batch_size: Texts that are handed to the backbone at once; of so many it makes batches of like length.

    Raises:
        InvalidInputError: When both a collection and a bridge are given, or a collection's name without its database.

    Examples:
        ```python
        from llama_index.core import VectorStoreIndex
        from llama_index.embeddings.lexsembridge import LexSemBridgeEmbedding

        index = VectorStoreIndex.from_documents(documents, embed_model=LexSemBridgeEmbedding())
        ```
    """

    model_config = ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True, extra="forbid")

    model_name: str = Field(default=DEFAULT_BACKBONE, description="Backbone by hub name or path.", frozen=True)
    embed_batch_size: int = Field(default=256, gt=0, le=2048, description="Texts handed to the backbone at once.")
    fingerprint: dict[str, Any] | None = Field(default=None, description="Of an encoder given loaded.", frozen=True)
    encoder: LexSemBridgeEncoder | None = Field(default=None, exclude=True, repr=False, frozen=True)
    collection: str | None = Field(default=None, description="Collection that the bridge is fitted on.", frozen=True)
    persist_dir: str | None = Field(default=None, description="Folder of the collection's database.", frozen=True)
    bridge: str | None = Field(default=None, description="File of a saved bridge.", frozen=True)
    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="Of the bridge.")
    vanilla: bool = Field(default=False, description="Queries as the backbone embeds them.")

    _embedder: Embedder = PrivateAttr()

    def __init__(
        self,
        model_name: str | None = None,
        *,
        encoder: LexSemBridgeEncoder | None = None,
        collection: Any = None,
        persist_dir: str | Path | None = None,
        client: Any = None,
        bridge: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        for one, other, both in (
            ("encoder", "model_name", encoder is not None and model_name is not None),
            ("persist_dir", "client", persist_dir is not None and client is not None),
        ):
            if both:
                raise InvalidInputError(f"Give {one}= or {other}=, not both.")
        if collection is None and (persist_dir is not None or client is not None):
            raise InvalidInputError("Name the collection= that the bridge is fitted on, beside its database.")
        if not (bridge is None or isinstance(bridge, str | Path)):
            raise InvalidTypeError(f"bridge= takes a file that save() wrote, not {type(bridge).__name__}.")
        store = _opened(collection)
        source: Any = store
        if isinstance(collection, str):
            if client is None and persist_dir is None:
                raise InvalidInputError(
                    f"Give the database of the collection {collection!r} as persist_dir= or client=."
                )
            source = (client or str(persist_dir), collection)
        elif store is not None:
            persist_dir = store.path
        made_with = encoder.fingerprint if encoder is not None else None
        if made_with is not None:
            kwargs["fingerprint"] = asdict(made_with)
        elif model_name is None:
            made_with = _made_with(source)
        persist_dir = Path(persist_dir).resolve() if persist_dir else None
        kwargs |= {
            "model_name": made_with.backbone if made_with else model_name or DEFAULT_BACKBONE,
            "encoder": encoder,
            "collection": store.name if store is not None else collection,
            "persist_dir": str(persist_dir) if persist_dir else None,
            "bridge": str(bridge) if bridge else None,
        }
        super().__init__(**kwargs)
        backbone = encoder or (None if made_with else self.model_name)  # None: the collection knows its own
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

    def _adopt(self, embedder: Embedder, **fields: Any) -> None:
        self._embedder = embedder
        self.__dict__.update(fields)  # frozen to everybody else

    def load_encoder(self) -> LexSemBridgeEncoder:
        """The encoder, loaded and verified against the collection or bridge.

        Raises:
            FingerprintMismatchError: When it is another than the one these embeddings were made with.
        """
        encoder = self._embedder.encoder
        if self.fingerprint is not None:
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
        """`get_query_embedding` in a thread, so that the event loop goes on."""
        return await BaseEmbedding.aget_query_embedding(self._without_cache(), query)

    def _without_cache(self) -> LexSemBridgeEmbedding:
        return self if self.embeddings_cache is None else self.model_copy(update={"embeddings_cache": None})

    def _get_query_embedding(self, query: str) -> Embedding:
        self.load_encoder()
        strength = 0.0 if self.vanilla else self.strength
        return list(map(float, self._embedder.embed_query(query, strength=strength)))

    async def _aget_query_embedding(self, query: str) -> Embedding:
        return await in_background(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> Embedding:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> Embedding:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        self.load_encoder()
        vectors = self._embedder.embed_documents(texts)
        return [list(map(float, vector)) for vector in vectors]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[Embedding]:
        return await passages_in_background(self._get_text_embeddings, texts)

    # -- copies ------------------------------------------------------------------------------------------------------

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """The options, for `from_dict`; without weights, a cache, and what was fitted here (see `save`)."""
        data = super().to_dict(**kwargs)
        data.pop("embeddings_cache", None)
        data["other_options"] = _OtherOptions((name, data.pop(name)) for name in OTHER_OPTIONS if name in data)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> LexSemBridgeEmbedding:
        """Embeddings with the options that `to_dict` gave."""
        flat = {key: value for key, value in data.items() if key not in ("other_options", "class_name")}
        return cls(**flat, **data.get("other_options", {}), **kwargs)

    def __getstate__(self) -> dict[str, Any]:
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


def _made_with(source: Any) -> Fingerprint | None:
    """The fingerprint that a collection is marked with; None where it is not there yet, or another program's."""
    try:
        store = PassageStore(*source, create=False) if isinstance(source, tuple) else source
    except CollectionNotFoundError:
        return None
    return store.fingerprint if store is not None else None
