"""LangChain's embeddings as the backbone of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard
from weakref import WeakKeyDictionary

from langchain_core.embeddings import Embeddings

from lsb_rag import LexSemBridgeEncoder, ProviderBackbone
from lsb_rag.errors import InvalidInputError, InvalidTypeError
from lsb_rag.utils import ByIdentity

if TYPE_CHECKING:
    from langchain_lexsembridge.embeddings import LexSemBridgeEmbeddings

_encoders: ByIdentity[LexSemBridgeEncoder] = ByIdentity()
_of_stores: WeakKeyDictionary[object, LexSemBridgeEncoder] = WeakKeyDictionary()
"""By vector store, so that retrievers share what is cached, also where one is made for each question."""


def encoder_of(embeddings: Embeddings, *, cache_queries: bool = True) -> LexSemBridgeEncoder:
    """The encoder over LangChain embeddings: one for each object while it is in use, with its cached queries.

    Raises:
        InvalidTypeError: For anything but an instance of embeddings.
    """
    if not is_embeddings(embeddings):
        raise refused(embeddings, "Give LangChain embeddings, such as OpenAIEmbeddings()")
    ours = _ours(embeddings)
    if ours is not None:
        return ours.load_encoder()
    return _encoders.get(embeddings, cache_queries, lambda: LexSemBridgeEncoder(_backbone(embeddings, cache_queries)))


def encoder_of_store(vectorstore: object) -> LexSemBridgeEncoder | None:
    """The encoder over the embeddings of a vector store; None without any, and for anything else."""
    embeddings: object = getattr(vectorstore, "embeddings", None)
    if not is_embeddings(embeddings):
        return None
    encoder = _of_stores[vectorstore] = encoder_of(embeddings)
    return encoder


def opened(model: str | LexSemBridgeEncoder | Embeddings | None) -> str | LexSemBridgeEncoder | None:
    """`model` as the library takes it.

    Raises:
        InvalidTypeError: For anything but a name, an encoder and embeddings.
    """
    if model is None or isinstance(model, str | LexSemBridgeEncoder):
        return model
    if not is_embeddings(model):
        raise refused(model, "model= takes a hub name or path, a LexSemBridgeEncoder or LangChain embeddings")
    return encoder_of(model)


def sorted_out(
    given: Sequence[Any], embedding: Embeddings | None, model: Any, **named: Any
) -> tuple[Any, dict[str, Any]]:
    """What follows the texts or documents, in our order or with LangChain's embeddings first: model, and the rest.

    Args:
        given: The positional arguments.
        embedding: The embeddings by keyword.
        model: The backbone by keyword.
        **named: The others by keyword, in the order of the positional ones.

    Raises:
        InvalidInputError: For something that is given twice.
        InvalidTypeError: For anything else in place of the embeddings, and for too many.
    """
    names = list(named)
    if given and is_embeddings(given[0]):
        names.insert(0, "embedding")
    elif given and given[0] is not None and (isinstance(given[0], str) or not isinstance(given[0], Sequence)):
        raise refused(given[0], f"Give a list of {names[0]} here, or LangChain embeddings")
    if len(given) > len(names):
        msg = f"There are {len(given)} positional arguments, and no more than {', '.join(names)}; name the others."
        raise InvalidTypeError(msg)
    by_name = {"embedding": embedding, **named}
    for name, value in zip(names, given, strict=False):
        if by_name[name] is not None and value is not None:
            msg = f"Give {name} once, by position or by name."
            raise InvalidInputError(msg)
        by_name[name] = by_name[name] if value is None else value
    embedding = by_name.pop("embedding")
    if embedding is not None and model is not None:
        msg = "Give embedding= or model=, not both."
        raise InvalidInputError(msg)
    return opened(model) if embedding is None else encoder_of(embedding), by_name


def is_embeddings(value: object) -> TypeGuard[Embeddings]:
    """Whether `value` is an instance of embeddings, of LangChain's class or with its two methods."""
    methods = (getattr(value, name, None) for name in ("embed_documents", "embed_query"))
    return not isinstance(value, type) and all(map(callable, methods))


def refused(value: object, takes: str, hint: str = "") -> InvalidTypeError:
    """The error for `value`, which is something else than what `takes` says, with what to do in place of it."""
    what = type(value).__name__
    if isinstance(value, type):
        what, hint = f"the class {value.__name__}", "Make an instance of it."
    elif hasattr(value, "get_query_embedding"):
        hint = "It is LlamaIndex's; see llama-index-lexsembridge."
    return InvalidTypeError(f"{takes}, not {what}. {hint}".rstrip())


def _backbone(embeddings: Embeddings, cache_queries: bool) -> ProviderBackbone:
    return ProviderBackbone(
        embeddings.embed_documents,
        embeddings.embed_query,
        aembed_texts=getattr(embeddings, "aembed_documents", None),
        aembed_query=getattr(embeddings, "aembed_query", None),
        name=_name(embeddings),
        kind=f"LangChain {type(embeddings).__name__}",
        model=_sentence_transformer(embeddings),
        cache_queries=cache_queries,
        owner=embeddings,
    )


def _ours(embeddings: object) -> LexSemBridgeEmbeddings | None:
    """Our own embeddings, also behind a cache; wrapped, their queries would be modulated twice."""
    from langchain_lexsembridge.embeddings import LexSemBridgeEmbeddings

    behind = _behind_cache(embeddings)
    return behind if isinstance(behind, LexSemBridgeEmbeddings) else None


def _behind_cache(embeddings: object) -> object:
    """The embeddings behind `CacheBackedEmbeddings`; others themselves."""
    behind: object = getattr(embeddings, "underlying_embeddings", None)
    return _behind_cache(behind) if is_embeddings(behind) else embeddings


def _name(embeddings: object) -> str:
    """Name of the model; the class's where it tells none."""
    behind = _behind_cache(embeddings)
    names = (getattr(behind, field, None) for field in ("model", "model_name", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), type(behind).__name__)


def _sentence_transformer(embeddings: object) -> Any:
    """The sentence-transformers model behind `HuggingFaceEmbeddings`; None behind others."""
    behind = _behind_cache(embeddings)
    models = (getattr(behind, field, None) for field in ("_client", "client"))  # langchain-huggingface, -community
    return next((model for model in models if hasattr(model, "max_seq_length")), None)
