"""Chroma's own interface: an embedding function, so that ``collection.query(query_texts=...)`` goes over the bridge.

Importing this module registers it; Chroma then makes it again from what the collection stores.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, cast
from uuid import uuid4

from chromadb.api import ServerAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.api.types import Documents, Embeddings, Space
from chromadb.api.types import EmbeddingFunction as ChromaEmbeddingFunction
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT
from chromadb.utils.embedding_functions import register_embedding_function

from .backbone import EMBEDDED_NAME
from .bridge import checked_strength
from .embedder import Embedder
from .encoder import LexSemBridgeEncoder
from .errors import CollectionNotFoundError, InvalidInputError
from .lexical import UnitKind

logger = logging.getLogger(__name__)

NAME = "lexsembridge"


@register_embedding_function
class LexSemBridgeEmbeddingFunction(ChromaEmbeddingFunction[Documents]):
    """Embeds documents with the plain backbone and modulates queries by a bridge fitted on their own collection.

    Give it to ``create_collection``; after ``import lsb_rag.embedding_function`` the collection reopens with it by
    itself. It finds its collection among the databases open in this process, by a key that is stored with it.

    :param backbone: Path or hub name, or the folder of a saved encoder.
    :param units: ``words`` (the default) or ``wordpieces``.
    :param strength: How strongly the bridge acts; the encoder's by default, 0 for the backbone's vectors.
    :param key: What the collection is found by; a new one by default. One function is for one collection.
    :raises InvalidInputError: For a strength that is negative or not finite.
    """

    def __init__(
        self,
        backbone: str = EMBEDDED_NAME,
        *,
        units: UnitKind | None = None,
        strength: float | None = None,
        key: str | None = None,
    ) -> None:
        checked_strength("residual", strength)
        self.backbone = str(backbone)
        self.units = units
        self.strength = strength
        self.key = key or uuid4().hex

    def __call__(self, input: Documents) -> Embeddings:
        """Vectors of documents: the plain backbone's."""
        return cast(Embeddings, list(_encoder(self.backbone, self.units).encode_document(input)))

    def embed_query(self, input: Documents) -> Embeddings:
        """Vectors of queries, modulated; the plain backbone's, with a warning, where the collection is not found."""
        embedder = self._of_collection()
        if embedder is None:
            return cast(Embeddings, list(_encoder(self.backbone, self.units).embed_query(input)))
        return cast(Embeddings, list(embedder.embed_queries(input, strength=self.strength)))

    def _of_collection(self) -> Embedder | None:
        for _ in range(2):
            try:
                embedder = _of_collection(self.key, self.backbone, self.units)
                _ = embedder.bridge
            except CollectionNotFoundError as error:  # deleted, and perhaps made again
                _of_collection.cache_clear()
                reason = error
            else:
                return embedder
        logger.warning("%s This query is the backbone's plain vector.", reason)
        return None

    @staticmethod
    def name() -> str:
        """The name that Chroma stores."""
        return NAME

    def default_space(self) -> Space:
        """Cosine, where the collection does not say otherwise."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """All of Chroma's."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """What Chroma stores and hands to :meth:`build_from_config`."""
        return {"backbone": self.backbone, "units": self.units, "strength": self.strength, "key": self.key}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LexSemBridgeEmbeddingFunction:
        """The function that :meth:`get_config` describes.

        :raises InvalidInputError: When the configuration is of something else.
        """
        try:
            return LexSemBridgeEmbeddingFunction(**config)
        except TypeError as error:
            raise InvalidInputError(f"This is no configuration of {NAME}: {error}") from error


@lru_cache(maxsize=8)
def _encoder(backbone: str, units: UnitKind | None) -> LexSemBridgeEncoder:
    """Chroma makes a function anew for every collection it opens; the backbone is loaded once."""
    return LexSemBridgeEncoder.open(backbone, units=units)


@lru_cache(maxsize=64)
def _of_collection(key: str, backbone: str, units: UnitKind | None) -> Embedder:
    return Embedder(_encoder(backbone, units), collection=_collection(key))


def _collection(key: str) -> Collection:
    """The collection whose embedding function has `key`, in whichever database is open in this process."""
    for system in list(SharedSystemClient._identifier_to_system.values()):
        try:
            server: Any = system.instance(ServerAPI)  # type: ignore[type-abstract]
            for model in server.list_collections(tenant=DEFAULT_TENANT, database=DEFAULT_DATABASE):
                function = (model.configuration_json or {}).get("embedding_function") or {}
                if function.get("name") == NAME and (function.get("config") or {}).get("key") == key:
                    return Collection(client=server, model=model, embedding_function=None)
        except Exception as error:  # closed, a server that has gone: not where the caller's collection is
            logger.debug("Passed over a database while looking for a collection: %s", error)
    raise CollectionNotFoundError("The collection of this embedding function is in no database open here.")
