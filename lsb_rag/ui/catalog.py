"""The collections of a database. Each is opened on first use and kept open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import CollectionNotFoundError, StoreError
from ..generation import Generator, make_generator
from ..store.client import collection_names
from ..store.passage_store import PassageStore
from ..utils.arguments import checked
from ..utils.progress import Progress

Result = TypeVar("Result")


@checked
class Catalog:
    """The collections that the page can search. Safe to use from any thread.

    :param database: Folder or address of the database.
    :param generator: The generator of the answers, as :func:`~lsb_rag.generation.make_generator` takes it.
    """

    def __init__(self, database: str | Path, generator: str = "extractive") -> None:
        self.database = database
        self.generator = generator
        self._lock = threading.Lock()
        self._stores: dict[str, PassageStore] = {}
        self._generators: dict[str, Generator] = {}

    def names(self) -> list[str]:
        """Return the names of the collections, sorted.

        :raises StoreError: When the database cannot be read.
        """
        return sorted(collection_names(self.database))

    def store(self, name: str, progress: Progress | None = None) -> PassageStore:
        """Return the store of a collection, with its backbone verified and its bridge fitted.

        :raises CollectionNotFoundError: When the collection does not exist, or no longer does.
        """
        with self._lock:  # two requests must not fit the same bridge
            store = self._stores.get(name) if name in self.names() else None
            if store is None:
                self._forget(name)
                store = PassageStore(self.database, name, create=False)
                store.fit(progress=progress)
                self._stores[name] = store
            return store

    def generator_for(self, store: PassageStore) -> Generator:
        """Return the generator that answers from the passages of `store`.

        :raises MissingExtraError: When a package that the generator needs is not installed.
        """
        with self._lock:
            if store.name not in self._generators:
                self._generators[store.name] = make_generator(self.generator, store.encoder, table=store.sentences)
            return self._generators[store.name]

    def use(self, name: str, work: Callable[[PassageStore], Result]) -> Result:
        """Call `work` with the store of a collection and return its result.

        Another program may have recreated the collection since it was opened. When the store fails, it is therefore
        opened again and `work` is called once more.

        :raises LsbRagError: What `work` raises.
        """
        store = self.store(name)
        try:
            return work(store)
        except (StoreError, CollectionNotFoundError):
            with self._lock:
                self._forget(name)
            return work(self.store(name))

    def _forget(self, name: str) -> None:
        self._stores.pop(name, None)
        self._generators.pop(name, None)
