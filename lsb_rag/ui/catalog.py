"""The collections of a database, each opened when it is first asked, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import CollectionNotFoundError, StoreError
from ..generation import Generator, make_generator
from ..store.client import collection_names
from ..store.passage_store import PassageStore
from ..utils.progress import Progress

Result = TypeVar("Result")


class Collections:
    """What the page can ask. Any thread may ask it.

    :param database: Folder or address of the database.
    :param generator: Who answers, as :func:`~lsb_rag.generation.make_generator` takes it.
    """

    def __init__(self, database: str | Path, generator: str = "extractive") -> None:
        self.database = database
        self.generator = generator
        self._lock = threading.Lock()
        self._stores: dict[str, PassageStore] = {}
        self._generators: dict[str, Generator] = {}
        self.answering = threading.Lock()
        """Held by who answers: a model that runs here does one thing at a time."""

    def names(self) -> list[str]:
        """Names of the collections, sorted.

        :raises StoreError: When the database cannot be read.
        """
        return sorted(collection_names(self.database))

    def store(self, name: str, progress: Progress | None = None) -> PassageStore:
        """The store, its backbone verified and its bridge fitted.

        :raises CollectionNotFoundError: When there is no such collection, any more.
        """
        with self._lock:  # one at a time: two requests shall not fit the same bridge
            store = self._stores.get(name) if name in self.names() else None
            if store is None:
                self._forget(name)
                store = PassageStore(self.database, name, create=False)
                store.fit(progress=progress)
                self._stores[name] = store
            return store

    def answerer(self, store: PassageStore) -> Generator:
        """Who answers from this store's passages.

        :raises MissingExtraError: When what it needs is not installed.
        """
        with self._lock:
            if store.name not in self._generators:
                self._generators[store.name] = make_generator(self.generator, store.encoder)
            return self._generators[store.name]

    def use(self, name: str, work: Callable[[PassageStore], Result]) -> Result:
        """What `work` makes of a collection, which may have been made anew since it was opened: then once more.

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
