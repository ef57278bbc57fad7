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

from .backbones.base import DEFAULT_BACKBONE
from .bridge.base import checked_strength
from .embedder import Embedder
from .encoder import LexSemBridgeEncoder
from .errors import CollectionNotFoundError, InvalidInputError, StoreError
from .lexical.analyzer import UnitKind, checked_units

logger = logging.getLogger(__name__)

NAME = "lexsembridge"


@register_embedding_function
class LexSemBridgeEmbeddingFunction(ChromaEmbeddingFunction[Documents]):
    """Embeds documents with the plain backbone and modulates queries by a bridge fitted on their own collection.

    Give it to ``create_collection`` or ``get_or_create_collection``; after ``import lsb_rag.embedding_function`` the
    collection also reopens with it by itself. It finds its collection among the databases open in this process.

    :param collection: Name of the collection. One function is for one collection.
    :param backbone: Path or hub name, or the folder of a saved encoder.
    :param units: ``words`` (the default) or ``wordpieces``.
    :param strength: How strongly the bridge acts; the encoder's by default, 0 for the backbone's vectors.
    :param key: Stored with the collection, which is found by it after it was renamed; Chroma hands it over.
    :raises InvalidInputError: For a name, backbone, units or strength that cannot be.
    """

    def __init__(
        self,
        collection: str,
        backbone: str = DEFAULT_BACKBONE,
        *,
        units: UnitKind | None = None,
        strength: float | None = None,
        key: str | None = None,
    ) -> None:
        checked_strength("residual", strength)
        if not (isinstance(collection, str) and collection and isinstance(backbone, str) and backbone):
            raise InvalidInputError("Give the name of the collection, and a backbone by path or hub name.")
        if units is not None:
            checked_units(units)
        self.collection = collection
        self.backbone = backbone
        self.units = units
        self.strength = strength
        self.key = key or uuid4().hex

    def __call__(self, input: Documents) -> Embeddings:
        """Embed documents with the plain backbone."""
        return cast(Embeddings, list(_encoder(self.backbone, self.units).encode_document(input)))

    def embed_query(self, input: Documents) -> Embeddings:
        """Embed queries and modulate them; where the collection is not found, plainly and with a warning."""
        embedder = self._of_collection()
        if embedder is None:
            return cast(Embeddings, list(_encoder(self.backbone, self.units).embed_query(input)))
        return cast(Embeddings, list(embedder.embed_queries(input, strength=self.strength)))

    def _of_collection(self) -> Embedder | None:
        for _ in range(2):
            try:
                embedder = _of_collection(self.collection, self.key, self.backbone, self.units)
                embedder.prepare()
            except CollectionNotFoundError as error:  # deleted, and perhaps made again
                _of_collection.cache_clear()
                reason = error
            else:
                return embedder
        logger.warning("%s This query is the backbone's plain vector.", reason)
        return None

    @staticmethod
    def name() -> str:
        """Return the name that Chroma stores."""
        return NAME

    def default_space(self) -> Space:
        """Cosine, where the collection does not say otherwise."""
        return "cosine"

    def supported_spaces(self) -> list[Space]:
        """All of Chroma's."""
        return ["cosine", "l2", "ip"]

    def get_config(self) -> dict[str, Any]:
        """Return what Chroma stores and hands to :meth:`build_from_config`."""
        names = ("collection", "backbone", "units", "strength", "key")
        return {name: getattr(self, name) for name in names}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LexSemBridgeEmbeddingFunction:
        """Return the function that :meth:`get_config` describes.

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
def _of_collection(name: str, key: str, backbone: str, units: UnitKind | None) -> Embedder:
    return Embedder(_encoder(backbone, units), collection=_collection(name, key))


def _collection(name: str, key: str) -> Collection:
    """Find the collection made with the function that has `key`, else the one called `name`, in the open databases.

    :raises CollectionNotFoundError: When there is none, or more than one.
    :raises StoreError: When there is none, and a database could not be asked.
    """
    by_key: dict[str, Collection] = {}
    by_name: dict[str, Collection] = {}
    failed = None
    for system in list(SharedSystemClient._identifier_to_system.values()):
        if str(system.settings.chroma_api_impl).endswith("AsyncFastAPI"):
            continue  # answers in coroutines; its collections call this on their event loop
        try:
            server: Any = system.instance(ServerAPI)  # type: ignore[type-abstract]
            models = server.list_collections(tenant=DEFAULT_TENANT, database=DEFAULT_DATABASE)
        except Exception as error:
            failed = error  # closed, a server that has gone; the one that is looked for may be in another
            continue
        for model in models:
            function = (model.configuration_json or {}).get("embedding_function") or {}
            if function.get("name") == NAME:
                # Two clients of one server see one collection; a folder and its copy hold two.
                place = (
                    system.settings.persist_directory
                    if system.settings.is_persistent
                    else f"{system.settings.chroma_server_host}:{system.settings.chroma_server_http_port}"
                )
                collection = Collection(client=server, model=model, embedding_function=None)
                if (function.get("config") or {}).get("key") == key:
                    by_key[f"{place} {model.id}"] = collection
                if model.name == name:
                    by_name[f"{place} {model.id}"] = collection
    both = {place: by_key[place] for place in by_key.keys() & by_name.keys()}
    found = list((both or by_key or by_name).values())
    if len(found) == 1:
        return found[0]
    if not found and failed:
        raise StoreError(f"Looking for the collection {name!r} failed: {failed}") from failed
    raise CollectionNotFoundError(
        f"There are {len(found)} collections {name!r} with this embedding function in the databases open here, so it "
        "is not known which is meant."
        if found
        else f"There is no collection {name!r} with this embedding function in the databases open here."
    )
