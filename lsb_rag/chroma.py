"""Chroma, kept at arm's length: opening it, its collections, and its errors as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CollectionNotFoundError, LsbRagError, StoreError

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection
    from chromadb.config import Settings

HNSW: CreateHNSWConfiguration = {"space": "cosine", "ef_construction": 200, "ef_search": 400}
"""With Chroma's own 100 for both, a search for 100 of 8,719 passages misses one in ten of the nearest; with these, one
in a hundred, for half a millisecond more."""


@contextmanager
def chroma_errors(doing: str) -> Iterator[None]:
    """Turn whatever Chroma raises into :class:`~lsb_rag.errors.StoreError`: `doing` says what failed.

    :raises CollectionNotFoundError: When the collection has been deleted.
    """
    from chromadb.errors import ChromaError, NotFoundError
    from httpx import HTTPError, TransportError

    try:
        yield
    except LsbRagError:
        raise
    except NotFoundError as error:
        raise CollectionNotFoundError(
            f"{doing} failed: the collection is not there any more ({error}). If it was made again, open it again."
        ) from error
    except TransportError as error:
        raise StoreError(
            f"{doing} failed: the Chroma server does not answer ({error}). Check that it runs and can be reached, and "
            "try again; what was stored before is untouched."
        ) from error
    # Chroma's Rust core raises its own types, its Python layer built-in ones, its client of a server httpx's.
    except (
        ChromaError,
        HTTPError,
        sqlite3.Error,
        OSError,
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise StoreError(f"{doing} failed: {error}") from error


def open_client(path: str | Path | None) -> ClientAPI:
    """The embedded database at `path`, made if it is not there; None for the one in this process's memory.

    A process has one set of settings for a database; whoever comes second with others is refused. So these are Chroma's
    own defaults, as LangChain and LlamaIndex leave them, else those with the telemetry switched off, as many do. (From
    1.5.5 on, Chroma sends none in either case.)

    :raises StoreError: When the folder cannot be written or does not hold a readable database, or is open in this
        process with other settings.
    """
    import chromadb
    from chromadb.config import Settings

    where = "in memory" if path is None else f"at {path}"
    with chroma_errors(f"Opening the database {where}"):
        if path is not None:
            Path(path).mkdir(parents=True, exist_ok=True)
            path = _spelling_in_use(path)
        for settings in (Settings(), Settings(anonymized_telemetry=False)):
            try:
                if path is None:
                    return chromadb.EphemeralClient(settings=settings)
                return chromadb.PersistentClient(path, settings=settings)
            except ValueError as error:
                if "different settings" not in str(error):
                    raise
    raise StoreError(
        f"The database {where} is open in this process with settings of its own; give that client instead."
    )


def _spelling_in_use(path: str | Path) -> str | Path:
    """`path` as this process has it open already, if it has.

    Chroma takes two spellings of one folder for two databases, and then one does not see what the other writes.
    """
    from chromadb.api.shared_system_client import SharedSystemClient

    here = Path(path).resolve()
    spellings = getattr(SharedSystemClient, "_identifier_to_system", {})
    known = (name for name in spellings if name != "ephemeral")  # the one in memory
    return next((spelling for spelling in known if Path(spelling).resolve() == here), path)


def folder_of(settings: Settings) -> Path | None:
    """The folder of an embedded database; None for one in memory or on a server."""
    # Resolved now: the program may change its folder later.
    return Path(settings.persist_directory).resolve() if settings.is_persistent else None


def is_default_database(collection: Collection) -> bool:
    """Whether a path alone leads to `collection`: it is under no tenant or database of its own."""
    from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT

    return (collection.tenant, collection.database) == (DEFAULT_TENANT, DEFAULT_DATABASE)


def collection_names(path: Path) -> list[str]:
    """Names of the collections in the database at `path`; none where there is no database."""
    if path.is_file():
        raise StoreError(f"{path} is a file; --db takes the folder of a database.")
    if not (path / "chroma.sqlite3").is_file():
        return []
    return names_in(open_client(path))


def names_in(client: ClientAPI) -> list[str]:
    """Names of the collections that a client sees."""
    with chroma_errors("Listing the collections"):
        return sorted(collection.name for collection in client.list_collections())


def existing_collection(client: ClientAPI, name: str) -> Collection | None:
    """The collection `name`, or None where there is none."""
    from chromadb.errors import NotFoundError

    with chroma_errors(f"Opening the collection {name!r}"):
        try:
            return client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None


def create_collection(client: ClientAPI, name: str, metadata: Mapping[str, str]) -> Collection:
    """A new cosine collection; the one another process made in the meantime, if any.

    :raises StoreError: When Chroma refuses the name.
    """
    with chroma_errors(f"Creating the collection {name!r}"):
        return client.get_or_create_collection(
            name, metadata=dict(metadata), configuration={"hnsw": HNSW}, embedding_function=None
        )


def delete_collection(name: str) -> None:
    """Remove a collection from the database in memory, if it is there."""
    with suppress(LsbRagError), chroma_errors(f"Deleting the collection {name!r}"):
        open_client(None).delete_collection(name)


def not_found(name: str, names: Sequence[str], where: str) -> CollectionNotFoundError:
    """The error for a collection that is not there, naming those that are."""
    there = f"It holds {', '.join(names)}." if names else "It holds no collection yet; make one with `lsb-rag index`."
    return CollectionNotFoundError(f"There is no collection {name!r} in {where}. {there}")
