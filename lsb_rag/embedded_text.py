"""The text behind a stored vector, where it is more than the stored document: collections written by LlamaIndex."""

from __future__ import annotations

import json
from collections.abc import Mapping
from string import Formatter
from typing import Any

NODE_KEY = "_node_content"
"""Metadata key under which LlamaIndex keeps a node as JSON."""


def embedded_text(document: str, metadata: Mapping[str, Any] | None) -> str:
    """The text that was embedded for a record.

    LlamaIndex embeds a node's metadata before its text (``MetadataMode.EMBED``) and stores the text alone; here the
    whole is rebuilt from the node beside it. Metadata that the node excludes from embedding stay out. For any other
    record it is the stored document.

    :param document: The stored document.
    :param metadata: The stored metadata.
    """
    try:
        node = json.loads((metadata or {}).get(NODE_KEY) or "{}")
        return _with_metadata(document, node) if node.get("metadata") else document
    except (AttributeError, TypeError, ValueError):  # not a node of LlamaIndex's
        return document


def _with_metadata(document: str, node: Mapping[str, Any]) -> str:
    excluded = node.get("excluded_embed_metadata_keys") or ()
    template = str(node.get("metadata_template") or "{key}: {value}")
    separator = node.get("metadata_separator", node.get("metadata_seperator", "\n"))  # older versions' spelling
    lines = [
        _filled(template, {"key": key, "value": str(value)})
        for key, value in node["metadata"].items()
        if key not in excluded
    ]
    metadata_str = str(separator).join(lines).strip()
    if not metadata_str:
        return document
    whole = str(node.get("text_template") or "{metadata_str}\n\n{content}")
    return _filled(whole, {"metadata_str": metadata_str, "content": document}).strip()


def _filled(template: str, values: Mapping[str, str]) -> str:
    """``template.format(**values)``, but for attributes and items: a template comes from the database."""
    formatter, parts = Formatter(), []
    for literal, field, spec, conversion in formatter.parse(template):
        parts.append(literal)
        if field is not None and field in values:
            value: Any = values[field]
            parts.append(format(formatter.convert_field(value, conversion) if conversion else value, spec or ""))
        elif field is not None:
            parts.append(f"{{{field}}}")
    return "".join(parts)
