"""Databases of Chroma and their collections: opened, found, made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union, cast
from urllib.parse import urlsplit

from ..errors import CollectionNotFoundError, InvalidInputError, InvalidTypeError, LsbRagError, StoreError
from ..utils.secrets import hide, redacted
from .calls import call, chroma_errors
from .collection import ChromaCollection
from .embedded import FILE, bytes_on_disk, folder_of, open_in_process

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.collection_configuration import CreateHNSWConfiguration
    from chromadb.api.models.Collection import Collection

Database: TypeAlias = Union[str, Path, "ClientAPI"]
"""Where collections are: a folder, the address of a server, or a Chroma client."""

HNSW: CreateHNSWConfiguration = {"space": "cosine", "ef_construction": 200, "ef_search": 400}
"""With Chroma's own 100 for both, a search for 100 of 8,719 passages misses one in ten of the nearest; with these, one
in a hundred, for half a millisecond more."""

MAKING_SECONDS = 60
"""Age up to which an empty database may be one that another process is making."""
ANSWER_SECONDS = 60.0
"""Time that a server has for one answer."""
TOKEN_VARIABLE = "LSB_RAG_DB_TOKEN"  # noqa: S105 - the name of a variable


def is_server(database: Database | None) -> bool:
    """Whether `database` is the address of a server rather than a folder."""
    if not isinstance(database, str) or "://" not in database:
        return False
    if database.lower().startswith(("http://", "https://")):
        return True
    raise InvalidInputError(f"{database!r} is neither a folder nor the address of a server, http://host:8000.")


def open_server(url: str) -> ClientAPI:
    """Return a client of the server at `url`, ``http[s]://host:port``; a token comes from ``$LSB_RAG_DB_TOKEN``.

    For other headers, a tenant or a database of its own, make a ``chromadb.HttpClient``.

    :raises InvalidInputError: For an address that cannot be read, or one with a password in it.
    :raises StoreError: When no Chroma server answers there.
    """
    import chromadb
    from chromadb.config import Settings

    if "@" in url:  # before anything quotes it
        raise InvalidInputError(f"Leave the password out of the address; a token goes into ${TOKEN_VARIABLE}.")
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise InvalidInputError(f"{url!r} is no address of a server ({error}); use http://host:8000.") from error
    if not parts.hostname:
        raise InvalidInputError(f"{url!r} is no address of a server; use http://host:8000.")
    if parts.query or parts.fragment:
        raise InvalidInputError(
            "The address has more than host, port and path; for a tenant make a chromadb.HttpClient."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not (token.isascii() and token.isprintable()):
        raise InvalidInputError(f"${TOKEN_VARIABLE} holds characters that no header can bear.")
    hide(token)  # also where the variable changes while the client lives
    headers = {"Authorization": f"Bearer {token}", "X-Chroma-Token": token} if token else None
    host = f"{parts.scheme}://{name}:{port}{parts.path}" if parts.path.strip("/") else name

    def connect() -> ClientAPI:
        try:
            settings = Settings(anonymized_telemetry=False)
            client = chromadb.HttpClient(host, port, parts.scheme == "https", headers, settings)
        except ValueError as error:  # Chroma's, which hides the reason
            raise (error.__context__ or error) from None
        session = getattr(getattr(client, "_server", None), "_session", None)
        if session is not None:  # Chroma's own waits for ever
            session.timeout = ANSWER_SECONDS
        return client

    try:
        return call(f"Connecting to {url}", connect)
    except StoreError as error:
        raise StoreError(f"{error} Is there a Chroma server at {url}, and its token in ${TOKEN_VARIABLE}?") from (
            error.__cause__
        )


def open_client(path: str | Path | None) -> ClientAPI:
    """Return a client of a database, made if it does not exist.

    A process has one set of settings per database, and Chroma refuses a second client with others. So Chroma's own
    defaults are tried, which LangChain and LlamaIndex leave as they are, then the same with the telemetry off. (From
    1.5.5 on, Chroma sends none in either case.)

    :param path: Folder of an embedded database, address of a server, or None for the database in memory.
    :raises StoreError: When the folder cannot be written or does not hold a readable database, or is open in this
        process with other settings.
    """
    import chromadb
    from chromadb.config import Settings

    if is_server(path):
        return open_server(str(path))
    where = "in memory" if path is None else f"at {path}"
    with chroma_errors(f"Opening the database {where}"):
        if path is not None:
            Path(path).mkdir(parents=True, exist_ok=True)
            path = _spelling_in_use(path)
            if database := open_in_process(path):
                database.reopen_if_replaced()
        for settings in (Settings(), Settings(anonymized_telemetry=False)):
            try:
                if path is None:
                    return chromadb.EphemeralClient(settings=settings)
                client = chromadb.PersistentClient(path, settings=settings)
                open_in_process(path)  # noted as it is now, to see that it is replaced
                return client
            except ValueError as error:
                if "different settings" not in str(error):
                    raise
    raise StoreError(
        f"The database {where} is open in this process with settings of its own; give that client instead."
    )


def _spelling_in_use(path: str | Path) -> str | Path:
    """Return `path` as this process has it open already, if it has.

    Chroma treats two spellings of a path as two databases, which do not see each other's writes.
    """
    from chromadb.api.shared_system_client import SharedSystemClient

    here = Path(path).resolve()
    spellings = list(getattr(SharedSystemClient, "_identifier_to_system", {}))  # other threads may add to it
    known = (name for name in spellings if name != "ephemeral")  # the one in memory
    return next((spelling for spelling in known if Path(spelling).resolve() == here), path)


def collection_names(database: str | Path) -> list[str]:
    """Return the names of the collections in a database, a folder or a server; none where there is no database."""
    if not is_server(database) and not _is_database(Path(database)):
        return []
    client = open_client(database)
    try:
        return names_in(client)
    finally:
        _close(client)


def _is_database(folder: Path) -> bool:
    """Whether `folder` holds an embedded database.

    :raises StoreError: When it is a file, or its database an empty one.
    """
    if folder.is_file():
        raise StoreError(f"{folder} is a file; give the folder of a database, or http://host:port.")
    file = folder / FILE
    if not file.is_file():
        return False
    found = file.stat()
    if not found.st_size and time.time() - found.st_mtime > MAKING_SECONDS:
        raise StoreError(
            f"{file} is empty, as after a copy that did not finish; restore it, or delete it to start anew."
        )
    return True


def names_in(client: ClientAPI) -> list[str]:
    """Return the names of the collections that a client sees."""
    return sorted(collection.name for collection in call("Listing the collections", client.list_collections))


def bytes_of_database(database: str | Path) -> int | None:
    """Return the size of all files of an embedded database; None on a server."""
    return None if is_server(database) else bytes_on_disk(Path(database))


def open_collection(
    database: Database | None, name: str, made_with: Callable[[], Mapping[str, str]] | None
) -> ChromaCollection:
    """Return the collection `name` of `database`. A client that is opened for it is closed with it.

    :param made_with: Returns the metadata of a new collection, in cosine space. None refuses a collection that does not
        exist, and does not make the database.
    :raises CollectionNotFoundError: Naming those that are there.
    :raises StoreError: When Chroma refuses the name.
    """
    from chromadb.errors import NotFoundError

    if isinstance(database, str) and not database:
        raise InvalidInputError("Give a folder for the database; '.' is the current one.")
    if not isinstance(database, str | Path | None):
        if not hasattr(database, "get_collection"):
            raise InvalidTypeError(f"A database is a folder, an address or a client, not {type(database).__name__}.")
        if iscoroutinefunction(database.get_collection):
            raise InvalidTypeError(
                "This client is asynchronous; give the server's address or a chromadb.HttpClient. asearch() and aadd() "
                "work with these, in threads."
            )
    is_folder = isinstance(database, str | Path) and not is_server(database)
    if is_folder and not _is_database(Path(str(database))) and made_with is None:
        raise _not_found(name, [], str(database))
    client = open_client(database) if database is None or isinstance(database, str | Path) else database
    close = partial(_close, client) if isinstance(database, str | Path) else None

    def get() -> Collection | None:
        try:
            return client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None

    try:
        raw = call(f"Opening the collection {name!r}", get)
        if raw is None and made_with is None:
            where = str(database) if is_server(database) else folder_of(client.get_settings()) or "the database"
            raise _not_found(name, names_in(client), str(where))
        if raw is None and made_with is not None:
            raw = call(  # or the one that another process made in the meantime
                f"Creating the collection {name!r}",
                client.get_or_create_collection,
                name,
                metadata=dict(made_with()),
                configuration={"hnsw": HNSW},
                embedding_function=None,
            )
        return ChromaCollection(cast("Collection", raw), close)
    except BaseException:
        if close:
            close()
        raise


def _close(client: ClientAPI) -> None:
    """Close a client; the database closes with the last one of this process."""
    from chromadb.api import ServerAPI
    from chromadb.api.shared_system_client import SharedSystemClient

    # Dropped objects close theirs whenever Python finds them, perhaps while this thread opens another.
    _to_be_closed.append(client)
    lock = getattr(SharedSystemClient, "_refcount_lock", None)
    if lock is None or not lock.acquire(blocking=False):
        return
    lock.release()
    while _to_be_closed:
        with suppress(Exception):  # of a database that is gone, or an older Chroma, which has no close()
            one: Any = _to_be_closed.pop()
            if (
                one._identifier in SharedSystemClient._identifier_to_system
                and one._system.instance(ServerAPI) is one._server
            ):
                one.close()  # else its database was opened anew by clear_system_cache(), and the new one would close


_to_be_closed: list[ClientAPI] = []


def delete_collection(name: str) -> None:
    """Remove a collection from the database in memory, if it exists."""
    with suppress(LsbRagError), chroma_errors(f"Deleting the collection {name!r}"):
        open_client(None).delete_collection(name)


def _not_found(name: str, names: Sequence[str], where: str) -> CollectionNotFoundError:
    """Return the error for a collection that does not exist; it names those that do."""
    there = "It holds no collection yet; make one with `lsb-rag index`."
    if names:
        there = f"It holds {redacted(', '.join(names))}."
    return CollectionNotFoundError(f"There is no collection {name!r} in {where}. {there}")
