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
    source = Source(name, revision)
    wanted = not trust_remote_code and runs_as_graph(device, precision)
    graph = GraphCache().get(source) if wanted else None
    if graph is not None:
        return GraphBackbone(graph, name, precision)
    model = load_backbone(name, device=device, revision=revision, trust_remote_code=trust_remote_code)
    if wanted and model.device.type == "cpu":
        from .export import export, versions

        try:
            graph = GraphCache().made(source, lambda folder: export(model, name, folder), versions())
        except NotExportedError as reason:
            logger.info("PyTorch computes the backbone %s: %s.", name, reason)
        else:
            return GraphBackbone(graph, name, precision)
    return model


def runs_as_graph(device: str | None, precision: str) -> bool:
    """Whether a backbone that can be exported is computed as a graph: on a processor, unless switched off."""
    on_processor = device == "cpu" or (device is None and not has_gpu())
    return on_processor and not switched_off() and suits_graph(precision)
