"""Chroma, kept at arm's length: opening it, its collections, and its errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CollectionNotFoundError, InvalidInputError, LsbRagError, StoreError

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

HNSW: CreateHNSWConfiguration = {"space": "cosine", "ef_construction": 200, "ef_search": 400}
"""With Chroma's own 100 for both, a search for 100 of 8,719 passages misses one in ten of the nearest; with these, one
in a hundred, for half a millisecond more."""


@contextmanager
def chroma_errors(doing: str) -> Iterator[None]:
    """Turn whatever Chroma raises into :class:`~lsb_rag.errors.StoreError`: `doing` says what failed."""
    from chromadb.errors import ChromaError

    try:
        yield
    except LsbRagError:
        raise
    # Chroma's Rust core raises its own types, its Python layer built-in ones.
    except (ChromaError, sqlite3.Error, OSError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise StoreError(f"{doing} failed: {error}") from error


def open_client(path: Path) -> ClientAPI:
    """The embedded database at `path`, made if it is not there; without telemetry.

    :raises StoreError: When the folder cannot be written or does not hold a readable database.
    """
    import chromadb
    from chromadb.config import Settings

    with chroma_errors(f"Opening the database at {path}"):
        path.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(str(path), settings=Settings(anonymized_telemetry=False))


def collection_names(path: Path) -> list[str]:
    """Names of the collections in the database at `path`; none where there is no database."""
    if path.is_file():
        raise StoreError(f"{path} is a file; --db takes the folder of a database.")
    if not (path / "chroma.sqlite3").is_file():
        return []
    with chroma_errors(f"Listing the collections at {path}"):
        return sorted(collection.name for collection in open_client(path).list_collections())


def existing_collection(client: ClientAPI, name: str, path: Path) -> Collection | None:
    """The collection `name`, or None where there is none.

    :raises InvalidInputError: When it does not measure cosine distance.
    """
    from chromadb.errors import NotFoundError

    with chroma_errors(f"Opening the collection {name!r}"):
        try:
            collection = client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None
        space = (collection.configuration_json.get("hnsw") or {}).get("space")
    if space not in (None, "cosine"):
        raise InvalidInputError(
            f"The collection {name!r} at {path} measures {space} distance; only cosine collections can be opened."
        )
    return collection


def create_collection(client: ClientAPI, name: str, metadata: Mapping[str, str]) -> Collection:
    """A new cosine collection; the one another process made in the meantime, if any.

    :raises StoreError: When Chroma refuses the name.
    """
    with chroma_errors(f"Creating the collection {name!r}"):
        return client.get_or_create_collection(
            name, metadata=dict(metadata), configuration={"hnsw": HNSW}, embedding_function=None
        )


def not_found(name: str, path: Path) -> CollectionNotFoundError:
    """The error for a collection that is not there, naming those that are."""
    names = collection_names(path)
    there = f"It holds {', '.join(names)}." if names else "It holds no collection yet; make one with `lsb-rag index`."
    return CollectionNotFoundError(f"There is no collection {name!r} in {path}. {there}")
