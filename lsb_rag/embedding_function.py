"""Chroma's own interface: an embedding function, so that ``collection.query(query_texts=...)`` goes over the bridge.

Importing this module registers it; Chroma then makes it again from what the collection stores.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast
from uuid import uuid4

from chromadb.api import ServerAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.api.types import Documents, Embeddings, Space
from chromadb.api.types import EmbeddingFunction as ChromaEmbeddingFunction
from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT
from chromadb.utils.embedding_functions import known_embedding_functions, register_embedding_function

from .backbones.base import DEFAULT_BACKBONE
from .backbones.endpoint import address_in
from .backbones.provider import is_embedding_function
from .bridge.base import checked_strength
from .embedder import Embedder
from .encoder import LexSemBridgeEncoder
from .errors import CollectionNotFoundError, InvalidInputError, InvalidTypeError
from .lexical.analyzer import UnitKind, checked_units
from .store.calls import chroma_errors
from .store.collection import OURS as NAME
from .utils.arguments import checked
from .utils.endpoints import secrets_of
from .utils.secrets import redacted, without_secrets

logger = logging.getLogger(__name__)

SECRET = re.compile(r"(?i)key|token|secret|password|authorization|credential")
NO_SECRET = re.compile(r"(?i)env_var|tokens|tokenizer")


@dataclass(frozen=True)
class InnerFunction:
    """An embedding function of Chroma's as its configuration describes it.

    :param name: The name it is registered by.
    :param config: What its ``get_config`` returned, as JSON.
    """

    name: str
    config: str

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored with a collection."""
        return {"name": self.name, "config": json.loads(self.config)}

    @classmethod
    def of(cls, function: Any) -> InnerFunction:
        """Return the description of an embedding function.

        :raises InvalidTypeError: For one that Chroma could not make again: a callable, or a class that is not
            registered.
        :raises InvalidInputError: For one whose configuration holds a key.
        """
        name = function.name() if is_embedding_function(function) else None
        if known_embedding_functions.get(str(name)) is not type(function):
            raise InvalidTypeError(
                f"Chroma could not make {type(function).__name__} again when it reopens the collection: "
                "embedding_function= takes one of chromadb.utils.embedding_functions, or a class registered with "
                "register_embedding_function. A function goes to PassageStore as LexSemBridgeEncoder(function)."
            )
        try:
            config = json.dumps(function.get_config(), sort_keys=True)
        except (TypeError, ValueError) as error:
            raise InvalidTypeError(f"The configuration of {name} cannot be stored as JSON ({error}).") from error
        if secret := _secret_in(json.loads(config)):
            raise InvalidInputError(
                f"The configuration of {name} holds a secret under {secret!r}, and it would be stored with the "
                "collection; let the function read it from the environment."
            )
        _made[cls(str(name), config)] = function
        return cls(str(name), config)

    def make(self) -> Any:
        """Return the function; within a process, the one that was given.

        :raises InvalidInputError: When it cannot be made here: unknown, not installed, or without its key.
        """
        function = _made.get(self)
        if function is None:
            kind: Any = known_embedding_functions.get(self.name)
            if kind is None:
                raise InvalidInputError(
                    f"The embedding function {self.name!r} is not registered in this process; import the module that "
                    "registers it before opening the collection."
                )
            try:
                function = _made[self] = kind.build_from_config(json.loads(self.config))
            except Exception as error:  # a package or a key that is missing
                raise InvalidInputError(
                    f"The embedding function {self.name!r} cannot be made: {redacted(error)}"
                ) from without_secrets(error)
        return function


_made: dict[InnerFunction, Any] = {}
"""Functions of this process; Chroma makes ours anew for every collection it opens."""


@checked
@register_embedding_function
class LexSemBridgeEmbeddingFunction(ChromaEmbeddingFunction[Documents]):
    """Embeds documents with the plain backbone and modulates queries by a bridge fitted on their own collection.

    The backbone is a sentence-transformers model, an endpoint, or another embedding function of Chroma's.

    Give it to ``create_collection`` or ``get_or_create_collection``; after ``import lsb_rag.embedding_function`` the
    collection also reopens with it by itself. It finds its collection among the databases open in this process.

    :param collection: Name of the collection. One function is for one collection.
    :param backbone: Path or hub name, the folder of a saved encoder, or ``openai:MODEL[@URL]``.
    :param embedding_function: One of Chroma's in place of `backbone`. Its name and configuration are stored with the
        collection, from which it is made again; a key is not.
    :param units: ``words`` (the default) or ``wordpieces``.
    :param strength: How strongly the bridge acts; the encoder's by default, 0 for the backbone's vectors.
    :param key: Stored with the collection, which is found by it after it was renamed; Chroma hands it over.
    :raises InvalidInputError: For a name, backbone, units or strength that cannot be.
    :raises InvalidTypeError: For an `embedding_function` that Chroma could not make again.
    """

    def __init__(
        self,
        collection: str,
        backbone: str = DEFAULT_BACKBONE,
        *,
        embedding_function: object = None,
        units: UnitKind | None = None,
        strength: float | None = None,
        key: str | None = None,
    ) -> None:
        checked_strength("residual", strength)
        if embedding_function is not None and backbone != DEFAULT_BACKBONE:
            raise InvalidInputError("Give backbone= or embedding_function=, not both.")
        if not (isinstance(collection, str) and collection and isinstance(backbone, str) and backbone):
            raise InvalidInputError("Give the name of the collection, and a backbone by path or hub name.")
        if units is not None:
            checked_units(units)
        self.collection = collection
        if secrets_of(address_in(backbone)):
            raise InvalidInputError("The endpoint's address holds a secret, and it would be stored; leave it out.")
        self.backbone: str | InnerFunction = backbone
        if embedding_function is not None:
            given = embedding_function
            self.backbone = given if isinstance(given, InnerFunction) else InnerFunction.of(given)
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
        config = {name: getattr(self, name) for name in ("collection", "units", "strength", "key")}
        if isinstance(self.backbone, InnerFunction):
            return config | {"embedding_function": self.backbone.as_dict()}
        return config | {"backbone": self.backbone}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> LexSemBridgeEmbeddingFunction:
        """Return the function that :meth:`get_config` describes.

        :raises InvalidInputError: When the configuration is of something else.
        """
        options = dict(config)
        try:
            if inner := options.get("embedding_function"):
                described = json.dumps(inner["config"], sort_keys=True)
                options["embedding_function"] = InnerFunction(str(inner["name"]), described)
            return LexSemBridgeEmbeddingFunction(**options)
        except (KeyError, TypeError) as error:
            raise InvalidInputError(f"This is no configuration of {NAME}: {error}") from error


@lru_cache(maxsize=8)
def _encoder(backbone: str | InnerFunction, units: UnitKind | None) -> LexSemBridgeEncoder:
    """Chroma makes a function anew for every collection it opens; the backbone is loaded once."""
    if isinstance(backbone, InnerFunction):
        return LexSemBridgeEncoder(backbone.make(), units=units)
    return LexSemBridgeEncoder.open(backbone, units=units)


@lru_cache(maxsize=64)
def _of_collection(name: str, key: str, backbone: str | InnerFunction, units: UnitKind | None) -> Embedder:
    return Embedder(_encoder(backbone, units), collection=_collection(name, key))


def _secret_in(config: Any) -> str | None:
    """Return the name of a value that looks like a secret, in a configuration and in what it holds."""
    if isinstance(config, list):
        return next(filter(None, map(_secret_in, config)), None)
    if not isinstance(config, dict):
        return None
    for name, value in config.items():
        named = SECRET.search(name) and not NO_SECRET.search(name)
        if value and ((isinstance(value, str) and (named or secrets_of(value))) or "headers" in name.lower()):
            return str(name)
        if secret := _secret_in(value):
            return secret
    return None


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
        with chroma_errors(f"Looking for the collection {name!r}"):
            raise failed
    raise CollectionNotFoundError(
        f"There are {len(found)} collections {name!r} with this embedding function in the databases open here, so it "
        "is not known which is meant."
        if found
        else f"There is no collection {name!r} with this embedding function in the databases open here."
    )
