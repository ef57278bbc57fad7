"""What a user gives as a backbone: told apart, and refused where it is none."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidInputError, InvalidTypeError
from .endpoint import PREFIX, endpoint_backbone
from .graph import GraphBackbone, suits_graph
from .graph_cache import GraphCache, NotExportedError, switched_off
from .precision import has_gpu
from .provider import UNNAMED_MODEL, EmbedQuery, ProviderBackbone, is_embedding_function, of_embedding_function
from .sentence_transformer import load_backbone
from .source import Source

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger(__name__)


def provider_of(backbone: Any, embed_query: EmbedQuery | None, name: str | None) -> ProviderBackbone | None:
    """Return the backbone of a model that gives vectors alone; None for a sentence-transformers model.

    :raises InvalidTypeError: For what is neither.
    """
    if isinstance(backbone, type):
        raise InvalidTypeError(f"{backbone.__name__} is a class; give an instance of it, {backbone.__name__}(...).")
    made = isinstance(backbone, ProviderBackbone)
    path_or_model = isinstance(backbone, str | Path) or hasattr(backbone, "encode_document")
    if (embed_query is not None or name is not None) and (made or path_or_model or is_embedding_function(backbone)):
        raise InvalidInputError("embed_query= and name= go with a backbone that is a function from texts to vectors.")
    if made:
        return cast(ProviderBackbone, backbone)
    if isinstance(backbone, str) and backbone.startswith(PREFIX):
        return endpoint_backbone(backbone)
    if path_or_model:
        return None
    if is_embedding_function(backbone):
        return of_embedding_function(backbone)
    if hasattr(backbone, "embed_passages") and hasattr(backbone, "embed_queries"):
        return ProviderBackbone(
            backbone.embed_passages, embed_queries=backbone.embed_queries, name=backbone.name, kind="backbone"
        )
    for passages, query, where in (
        ("embed_documents", "embed_query", "LexSemBridgeEmbeddings(embeddings=...) of langchain-lexsembridge"),
        (
            "get_text_embedding_batch",
            "get_query_embedding",
            "LexSemBridgeEmbedding(embed_model=...) of llama-index-lexsembridge",
        ),
    ):
        if hasattr(backbone, passages) and hasattr(backbone, query):
            raise InvalidTypeError(
                f"{type(backbone).__name__} is a framework's: give it to {where}; or give its two methods, "
                f"LexSemBridgeEncoder(x.{passages}, embed_query=x.{query}, name=...)."
            )
    if not callable(backbone):
        raise InvalidTypeError(
            "A backbone is a path or hub name, openai:MODEL@URL, a SentenceTransformer, an embedding function of "
            f"Chroma, or a function from a list of texts to their vectors; not {type(backbone).__name__}."
        )
    return ProviderBackbone(backbone, embed_query, name=name or str(getattr(backbone, "__name__", UNNAMED_MODEL)))


def graph_or_model(
    name: str, *, device: str | None, precision: str, revision: str | None, trust_remote_code: bool
) -> GraphBackbone | SentenceTransformer:
    """Return the exported backbone, exported now if it has not been; the model itself where PyTorch has to compute.

    :raises BackboneError: As :func:`~lsb_rag.backbones.sentence_transformer.load_backbone`.
    """
    loading: Any = {"device": device, "revision": revision, "trust_remote_code": trust_remote_code}
    if trust_remote_code or device not in (None, "cpu") or switched_off():
        return load_backbone(name, **loading)
    cache = GraphCache()
    graph = cache.get(Source(name, revision))
    if graph is None:
        from .export import export, versions

        before = contents_of(Source(name, revision))
        model = load_backbone(name, **{**loading, "device": "cpu"})
        source = Source(name, revision)  # looked for again, as its files may have been downloaded
        try:
            graph = cache.made(source, lambda folder: export(model, name, folder), versions(), before=before)
        except NotExportedError as reason:
            logger.info("PyTorch computes the backbone %s: %s.", name, reason)
            return model if device == "cpu" or not has_gpu() else load_backbone(name, **loading)
    by_pytorch = passages_by_pytorch(device, precision)
    return GraphBackbone(graph, name, precision, (lambda: load_backbone(name, **loading)) if by_pytorch else None)


def contents_of(source: Source) -> str | None:
    """Return the hash of a model's files; None where they are not on this machine."""
    try:
        return source.contents()
    except OSError:
        return None


def passages_by_pytorch(device: str | None, precision: str) -> bool:
    """Whether PyTorch embeds the passages of an exported backbone: on a GPU, or in a precision that a graph lacks."""
    return (device is None and has_gpu()) or not suits_graph(precision)
