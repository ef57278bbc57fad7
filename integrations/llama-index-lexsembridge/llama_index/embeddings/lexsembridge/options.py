"""The options of an embed_model, without its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.embeddings.loading import load_embed_model

from lsb_rag.errors import InvalidInputError

SECRET = re.compile(
    r"api_?key|secret|passw|credential|(access|private)_?key|"
    r"(^|[_-])(key|token|token_provider|headers?|cookies?|session|auth|authorization|bearer)$",
    re.IGNORECASE,
)
"""Names of options that hold, or may hold, what nobody else may know."""
OF_QUERIES_OR_CALLS = re.compile(
    r"query(_|$)|.*timeout|(max_)?retries$|(embed_)?batch_size$|num_workers$|embeddings_cache$|reuse_client$|"
    r"show_progress|cache_folder$|rate_limiter$|callback_manager$"
)
"""Names of options that do not change the vector of a text."""
URL = re.compile(r"[a-z]\w*://\S+", re.IGNORECASE)


def options_of(embed_model: BaseEmbedding) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that change the vectors of texts, and the others; both without keys, tokens and headers."""
    options = _without_secrets(embed_model.to_dict())
    others = {name: options.pop(name) for name in list(options) if OF_QUERIES_OR_CALLS.match(name)}
    return options, others


def loaded(options: dict[str, Any]) -> BaseEmbedding:
    """The embed_model with these options, as LlamaIndex makes it; its key comes from the environment.

    Raises:
        InvalidInputError: When LlamaIndex cannot make it.
    """
    try:
        return load_embed_model(options)
    except Exception as error:  # whatever its class raises
        raise InvalidInputError(
            f"The embed_model, a {options.get('class_name')}, cannot be made from its options ({error}); give it: "
            "LexSemBridgeEmbedding.from_dict(data, embed_model=...)."
        ) from error


def _without_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, value in options.items():
        plain = _plain(value)
        if not SECRET.search(str(name)) and (plain is not None or value is None):
            kept[str(name)] = plain
    return kept


def _plain(value: Any) -> Any:
    """A value as JSON has it; None for a client, a secret or another object."""
    if isinstance(value, Mapping):
        return _without_secrets(value)
    if isinstance(value, list | tuple):
        return [plain for item in value if (plain := _plain(item)) is not None]
    if isinstance(value, str) and URL.fullmatch(value):
        return _without_user(value)
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, str | bool | int | float) else None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    asked = "&".join(pair for pair in parts.query.split("&") if not SECRET.search(pair.partition("=")[0]))
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=asked).geturl()
