"""LlamaIndex's nodes as passages, and hits as nodes."""

from __future__ import annotations

from collections.abc import Iterable

from llama_index.core.schema import BaseNode, IndexNode, MetadataMode, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from lsb_rag import Hit, Passage
from lsb_rag.errors import InvalidTypeError

NODE_KEY = "_node_content"
"""Metadata key under which LlamaIndex keeps a node as JSON."""

CONFIDENCE_KEY = "confidence"


def checked_nodes(nodes: Iterable[BaseNode]) -> list[BaseNode]:
    """The nodes as a list.

    Raises:
        InvalidTypeError: For anything but nodes.
    """
    if isinstance(nodes, str | BaseNode) or not isinstance(nodes, Iterable):
        raise InvalidTypeError("Give a list of nodes; put a single one in brackets.")
    listed = list(nodes)
    for node in listed:
        if not isinstance(node, BaseNode):
            raise InvalidTypeError(f"Give nodes, not {type(node).__name__}; wrap a text in a TextNode.")
    return listed


def to_passage(node: BaseNode) -> Passage:
    """A node as `ChromaVectorStore` stores it: the text as document, the rest as metadata."""
    if isinstance(node, IndexNode) and node.obj is not None:
        node = node.model_copy(update={"obj": None})
    metadata = node_to_metadata_dict(node, remove_text=True)
    kept = {key: "" if value is None else value for key, value in metadata.items()}
    return Passage(node.get_content(metadata_mode=MetadataMode.NONE), id=node.node_id, metadata=kept)


def found_node(hit: Hit) -> BaseNode:
    """The node of a hit, with its confidence in the metadata, which neither prompts nor embeddings include."""
    node = to_node(hit)
    node.metadata[CONFIDENCE_KEY] = hit.confidence
    node.excluded_embed_metadata_keys = [*node.excluded_embed_metadata_keys, CONFIDENCE_KEY]
    node.excluded_llm_metadata_keys = [*node.excluded_llm_metadata_keys, CONFIDENCE_KEY]
    return node


def to_node(hit: Hit) -> BaseNode:
    """The node of a hit; a text node where another program than LlamaIndex stored the record."""
    metadata = dict(hit.metadata)
    if NODE_KEY in metadata:
        try:
            return metadata_dict_to_node(metadata, text=hit.text)
        except (TypeError, ValueError):  # damaged, or not LlamaIndex's
            del metadata[NODE_KEY]
    return TextNode(id_=hit.id, text=hit.text, metadata=metadata)
