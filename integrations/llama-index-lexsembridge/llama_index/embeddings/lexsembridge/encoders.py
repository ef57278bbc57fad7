"""An embedding of LlamaIndex's, whatever it is, as the backbone of an encoder."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding, Embedding
from llama_index.core.callbacks import CallbackManager

from lsb_rag import LexSemBridgeEncoder, ProviderBackbone
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import ByIdentity, awaits

LOCAL = "local:"
"""What LlamaIndex puts before the name of a model that runs here."""

_encoders: ByIdentity[LexSemBridgeEncoder] = ByIdentity()
_reported: ContextVar[CallbackManager | None] = ContextVar("reported", default=None)


def encoder_of(embed_model: BaseEmbedding, *, cache_queries: bool = True) -> LexSemBridgeEncoder:
    """The encoder over an embed_model, one for each; it makes no request before it is used.

    Raises:
        InvalidTypeError: For anything but an embedding of LlamaIndex's.
    """
    own = getattr(checked_embed_model(embed_model), "load_encoder", None)
    if own is not None:
        return own()  # type: ignore[no-any-return]
    return _encoders.get(embed_model, cache_queries, lambda: LexSemBridgeEncoder(_backbone(embed_model, cache_queries)))


def encoder_for(model: str | LexSemBridgeEncoder | BaseEmbedding | None) -> str | LexSemBridgeEncoder | None:
    """What a store takes as its encoder for what a user gives as `model=`.

    Raises:
        InvalidInputError: For a model's name as only LlamaIndex writes it.
        InvalidTypeError: For anything else that is none of these.
    """
    if isinstance(model, str) and model.startswith(LOCAL):
        raise InvalidInputError(f"{model!r} is LlamaIndex's way to name a model; leave {LOCAL!r} out.")
    return model if model is None or isinstance(model, str | LexSemBridgeEncoder) else encoder_of(model)


def checked_embed_model(embed_model: Any) -> BaseEmbedding:
    """An embedding of LlamaIndex's, as it is.

    Raises:
        InvalidTypeError: For anything else.
    """
    if isinstance(embed_model, BaseEmbedding):
        return embed_model
    if inspect.isclass(embed_model):
        raise InvalidTypeError(f"{embed_model.__name__} is a class; give an instance of it, {embed_model.__name__}().")
    if isinstance(embed_model, str):
        name = embed_model.removeprefix(LOCAL)
        raise InvalidTypeError(
            f"embed_model= takes an embedding of LlamaIndex's; give the name as model_name={name!r}."
        )
    if hasattr(embed_model, "embed_documents") and hasattr(embed_model, "embed_query"):
        raise InvalidTypeError(
            f"{type(embed_model).__name__} is an embedding of LangChain's; wrap it in LangchainEmbedding, of "
            "llama-index-embeddings-langchain."
        )
    raise InvalidTypeError(
        f"An embedding of LlamaIndex's is needed, such as OpenAIEmbedding(), not {type(embed_model).__name__}."
    )


def name_of(embed_model: BaseEmbedding) -> str:
    """Name of the model behind an embed_model; its class where it has none."""
    known = embed_model.model_name not in (None, "", "unknown")
    return str(embed_model.model_name) if known else type(embed_model).__name__


@contextmanager
def reported_by(callback_manager: CallbackManager) -> Iterator[None]:
    """Within it, handlers that hear of a call from `callback_manager` do not hear of it from the embed_model again."""
    token = _reported.set(callback_manager)
    try:
        yield
    finally:
        _reported.reset(token)


def _backbone(embed_model: BaseEmbedding, cache_queries: bool) -> ProviderBackbone:
    calls, kind = _Calls(embed_model), type(embed_model)
    model = getattr(embed_model, "_model", None)  # as HuggingFaceEmbedding has it
    # LlamaIndex's own asynchronous methods call the synchronous ones, and so block the loop.
    each = kind._aget_text_embeddings is BaseEmbedding._aget_text_embeddings
    awaits_texts = awaits(kind._aget_text_embedding if each else kind._aget_text_embeddings)
    return ProviderBackbone(
        calls.embed_texts,
        calls.embed_query,
        aembed_texts=calls.aembed_texts if awaits_texts else None,
        aembed_query=calls.aembed_query if awaits(kind._aget_query_embedding) else None,
        name=name_of(embed_model),
        kind=f"LlamaIndex {kind.__name__}",
        model=model if hasattr(model, "max_seq_length") else None,
        cache_queries=cache_queries,
        owner=embed_model,
    )


class _Calls:
    """The methods of an embed_model that a backbone calls: the public ones, with batches, limits and callbacks."""

    def __init__(self, embed_model: BaseEmbedding) -> None:
        self._embed_model = embed_model

    def embed_texts(self, texts: list[str]) -> list[Embedding]:
        return self._heard_once().get_text_embedding_batch(texts)

    def embed_query(self, text: str) -> Embedding:
        return self._without_cache().get_query_embedding(text)

    async def aembed_texts(self, texts: list[str]) -> list[Embedding]:
        return await self._heard_once().aget_text_embedding_batch(texts)

    async def aembed_query(self, text: str) -> Embedding:
        return await self._without_cache().aget_query_embedding(text)

    def _without_cache(self) -> BaseEmbedding:
        """The embed_model for a query: its cache would give the same words as a text (run-llama/llama_index#23181)."""
        model = self._heard_once()
        return model if model.embeddings_cache is None else _changed(model, embeddings_cache=None)

    def _heard_once(self) -> BaseEmbedding:
        model, reported = self._embed_model, _reported.get()
        heard = reported.handlers if reported is not None else []
        others = [handler for handler in model.callback_manager.handlers if handler not in heard]
        if len(others) == len(model.callback_manager.handlers):
            return model
        return _changed(model, callback_manager=CallbackManager(others))


def _changed(model: BaseEmbedding, **fields: Any) -> BaseEmbedding:
    copy = model.model_copy(update=fields)
    # A client that a call makes is to be kept: the private attributes are the model's own, not copies.
    object.__setattr__(copy, "__pydantic_private__", model.__pydantic_private__)
    return copy
