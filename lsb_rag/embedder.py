"""Passages embedded plainly, queries modulated, and where the bridge comes from: what framework embeddings stand on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backbones.base import DEFAULT_BACKBONE, Fingerprint, Matrix
from .bridge.base import Bridge
from .bridge.corpus import CorpusBridge
from .bridge.file import load_bridge, save_bridge
from .chroma import is_server
from .encoder import LexSemBridgeEncoder
from .errors import CollectionNotFoundError, FingerprintMismatchError, InvalidInputError, InvalidTypeError
from .fitting import mended
from .lexical.analyzer import UnitKind
from .lexical.unread import UnreadPassages
from .seen_passages import SeenPassages
from .spaces import check_takes_unit_vectors
from .store import PassageStore
from .utils.progress import Progress

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

    from .bridge.learned import LearnedBridge

logger = logging.getLogger(__name__)

CHUNK = 1024
"""Texts between two calls of a progress callback; within them the backbone batches by length."""
SELF_FITTED = (
    "Queries are modulated by the passages embedded in this process. Those embedded elsewhere (an existing collection, "
    "a cache, another process) and deletions are not seen: for anything that lasts, give collection= or bridge=."
)
NOTHING_SEEN = (
    "No passage has been embedded yet, so this query is the backbone's plain vector. Give collection= or bridge=, or "
    "call fit() or fit_collection()."
)
NOT_THERE = "There is no collection {name!r} in {database} yet, so this query is the backbone's plain vector."


class Embedder:
    """An encoder together with the source of its bridge.

    A bridge of the encoder's own (a saved encoder's, a learned one) comes first. Else it comes from

    - `collection`: fitted on a Chroma collection when first needed, and kept current as it changes;
    - `bridge`: a file written by :meth:`save`, read and verified when first needed; or a bridge;
    - neither: fitted on the passages that this object embeds, each text once. Threads may share it.

    :param backbone: Path, hub name or encoder. By default the one that the collection or the file was made with, else
        the embedded all-MiniLM-L6-v2. Loaded when first needed.
    :param collection: A store, an open Chroma collection, or a database (folder or client) and a name in it. One that
        is not there yet is looked for again at every query.
    :param bridge: See above.
    :raises InvalidInputError: When the bridge could come from two places.
    :raises InvalidTypeError: When collection or bridge is none.
    """

    def __init__(
        self,
        backbone: str | Path | LexSemBridgeEncoder | None = None,
        *,
        collection: PassageStore | Collection | tuple[str | Path | ClientAPI, str] | None = None,
        bridge: Bridge | str | Path | None = None,
    ) -> None:
        if collection is not None and bridge is not None:
            raise InvalidInputError("Give collection= or bridge=, not both: a bridge comes from one place.")
        if not (collection is None or isinstance(collection, PassageStore | tuple) or hasattr(collection, "upsert")):
            raise InvalidTypeError(f"collection= takes a Chroma collection, not {type(collection).__name__}.")
        if not (bridge is None or isinstance(bridge, str | Path | Bridge)):
            raise InvalidTypeError(f"bridge= takes a saved file or a bridge, not {type(bridge).__name__}.")
        # As they are meant now: the program may change its folder.
        self._folder: Path | None = None
        if isinstance(collection, tuple) and isinstance(collection[0], str | Path) and not is_server(collection[0]):
            self._folder = Path(collection[0]).resolve()
        if isinstance(bridge, str | Path):
            bridge = Path(bridge).resolve()
        self._backbone = backbone
        self._encoder = backbone if isinstance(backbone, LexSemBridgeEncoder) else None
        self._collection = collection
        self._store: PassageStore | None = None
        self._given_bridge = bridge
        self._loaded: CorpusBridge | None = None
        self._seen = SeenPassages()
        self._unread: UnreadPassages | None = None
        self._said: set[str] = set()
        self._lock = threading.RLock()
        self._check_own_bridge(self._encoder)

    def __repr__(self) -> str:
        return f"Embedder({self._encoder or self._backbone or DEFAULT_BACKBONE!r})"

    # -- parts ----------------------------------------------------------------------------------------------------

    @property
    def encoder(self) -> LexSemBridgeEncoder:
        """The encoder, verified against the collection or the bridge's file.

        :raises BackboneError: When it cannot be loaded.
        :raises FingerprintMismatchError: When the collection or the bridge was made with another backbone.
        """
        with self._lock:
            store = self.store
            if store is not None:
                return store.encoder
            if isinstance(self._given_bridge, str | Path):
                self._load_bridge()
            return self._own_encoder()

    @property
    def loaded_encoder(self) -> LexSemBridgeEncoder | None:
        """The encoder, if it has been loaded or given."""
        return self._encoder

    def _own_encoder(self, name: str = DEFAULT_BACKBONE, units: UnitKind | None = None) -> LexSemBridgeEncoder:
        if self._encoder is None:
            encoder = LexSemBridgeEncoder.open(str(self._backbone or name), units=units)
            self._check_own_bridge(encoder)
            self._encoder = encoder
        return self._encoder

    def _check_own_bridge(self, encoder: LexSemBridgeEncoder | None) -> None:
        if encoder is not None and encoder.bridge is not None and self._given_bridge is not None:
            raise InvalidInputError(
                f"The encoder {encoder.name} has a bridge of its own; leave bridge= out, or set encoder.bridge = None."
            )

    @property
    def store(self) -> PassageStore | None:
        """The collection that the bridge is fitted on; None without one, or while it is not there."""
        with self._lock:
            if self._store is None and self._collection is not None:
                try:
                    self._store = self._opened(self._collection)
                except CollectionNotFoundError:
                    return None
            return self._store

    def _opened(self, source: PassageStore | Collection | tuple[str | Path | ClientAPI, str]) -> PassageStore:
        if isinstance(source, tuple):
            database, name = source
            if self._folder is not None and Path(str(database)).resolve() != self._folder:
                database = self._folder  # else as it is spelled, which is how others here may open it
            store = PassageStore(database, name, self._encoder, create=False)
        else:
            store = source if isinstance(source, PassageStore) else PassageStore.from_collection(source, self._encoder)
        if self._backbone is None and self._encoder is None:
            self._encoder = store.encoder
            return store
        encoder = self._own_encoder(units=store.units)
        # A store of the same encoder is taken as it is, so that its statistics are shared.
        return store if store.given_encoder is encoder else PassageStore.from_collection(store.collection, encoder)

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge in use; None while there is none yet.

        :raises CollectionNotFoundError: When an open collection has been deleted and cannot be found again.
        """
        with self._lock:
            if self.encoder.bridge is not None:
                return self.encoder.bridge
            if self._collection is not None:
                try:
                    return self.store.bridge if self.store is not None else None
                except CollectionNotFoundError:
                    if not isinstance(self._collection, tuple):
                        raise
                    self._store = None  # made again under the same name, perhaps
                    return self.store.bridge if self.store is not None else None
            if isinstance(self._given_bridge, str | Path):
                return self._load_bridge()
            return self._given_bridge or self._seen.bridge

    def _load_bridge(self) -> CorpusBridge:
        if self._loaded is None:
            loaded, fingerprint = load_bridge(str(self._given_bridge))
            theirs = Fingerprint.from_json(fingerprint)
            encoder = self._own_encoder(theirs.backbone, loaded.units)
            _check_fitted_for(theirs, encoder.fingerprint, str(self._given_bridge))
            encoder.modulation.check(loaded)
            self._loaded = loaded
        return self._loaded

    # -- embedding ------------------------------------------------------------------------------------------------

    def embed_documents(
        self, texts: Sequence[str], *, batch_size: int | None = None, progress: Progress | None = None
    ) -> Matrix:
        """Embed passages with the unmodified backbone; without another source the bridge is fitted on them.

        :param batch_size: Texts at once; None takes what suits the device.
        :return: float32 vectors of length 1, shape ``[len(texts), d]``.
        :raises InvalidInputError: When the collection holds vectors that these would not compare with.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if isinstance(texts, str):
            raise InvalidTypeError("embed_documents() takes a list of texts; put a single one in brackets.")
        encoder, store, rows = self.encoder, self.store, []
        if store is not None:
            check_takes_unit_vectors(store.space, store.name)
        fitting = self._collection is None and self._given_bridge is None and encoder.bridge is None
        unread = self._unread = self._unread or UnreadPassages(encoder.modulation.unread)
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            rows.append(encoder.encode_document(chunk, batch_size=batch_size))
            unread.look(chunk)
            if fitting:
                self._seen.add(encoder, chunk, rows[-1])
            if progress:
                progress(start + len(chunk), len(texts))
        unread.warn()
        if store is not None:
            store.fitted.recheck()  # they are likely to be stored next
        return np.concatenate(rows) if rows else np.zeros((0, encoder.dimension), np.float32)

    def embed_queries(self, texts: Sequence[str], *, strength: float | None = None, batch_size: int = 32) -> Matrix:
        """Embed queries and modulate them.

        :param strength: How strongly the bridge acts; the encoder's by default. 0 gives the backbone's vectors.
        :return: float32, shape ``[len(texts), d]``; of length 1, unless the collection compares longer ones.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if isinstance(texts, str):
            raise InvalidTypeError("embed_queries() takes a list of queries; embed_query() takes one.")
        bridge = None if strength == 0 else self.bridge
        encoder, store = self.encoder, self.store
        if strength != 0 and bridge in (None, self._seen.bridge):
            self._say_once(self._why_none() if bridge is None else SELF_FITTED)
        given = bridge if isinstance(bridge, Bridge) else None  # a learned one is the encoder's own
        encode = partial(encoder.encode_query, texts, bridge=given, strength=strength, batch_size=batch_size)
        vectors = mended(encode, lambda: self.bridge)
        return vectors if store is None or not len(vectors) else np.stack([*map(store.space.query_vector, vectors)])

    def embed_query(self, text: str, *, strength: float | None = None) -> Matrix:
        """:meth:`embed_queries` for one query: float32, shape ``[d]``."""
        return np.asarray(self.embed_queries([text], strength=strength)[0])

    def _why_none(self) -> str:
        if not isinstance(self._collection, tuple):
            return NOTHING_SEEN
        return NOT_THERE.format(name=self._collection[1], database=self._folder or "the database")

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning(message)

    # -- fitting --------------------------------------------------------------------------------------------------

    def fit(self, texts: Sequence[str], *, batch_size: int | None = None, progress: Progress | None = None) -> None:
        """Embed `texts` and fit the bridge on them, beside those seen before.

        :raises InvalidInputError: When the bridge comes from elsewhere: a collection, a file, the encoder itself.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if self._collection is not None or self._given_bridge is not None or self.encoder.bridge is not None:
            raise InvalidInputError("The bridge comes from elsewhere; to fit it on texts, give none of its own.")
        self.embed_documents(texts, batch_size=batch_size, progress=progress)

    def refresh(self, *, progress: Progress | None = None) -> None:
        """Fit on the collection again, whatever is known of it; for changes that left the number of records as it was.

        :raises InvalidInputError: Without a collection.
        :raises CollectionNotFoundError: When it is not there.
        """
        if self._collection is None:
            raise InvalidInputError("There is no collection to fit on; give collection=.")
        with self._lock:
            if self._store is None:
                self._store = self._opened(self._collection)
            self._store.refresh(progress=progress)

    def save(self, path: str | Path) -> None:
        """Write the bridge to one safetensors file, for ``bridge=path``.

        :raises InvalidInputError: When there is no bridge fitted on passages to save.
        :raises StoreError: When the file cannot be written.
        """
        bridge = self.bridge
        if not isinstance(bridge, CorpusBridge):
            raise InvalidInputError(
                "There is no bridge to save yet; call fit() or fit_collection() first."
                if bridge is None
                else f"A {type(bridge).__name__} is saved with its encoder: encoder.save(folder)."
            )
        save_bridge(bridge, self.encoder.fingerprint.to_json(), path)

    # -- copies ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = dict(self.__dict__)
            for part in ("_lock", "_store", "_loaded", "_unread"):  # made again where they are needed
                del state[part]
            if self._encoder is not self._backbone:
                state["_encoder"] = None
            if isinstance(self._collection, tuple) and isinstance(self._collection[0], str | Path):
                state["_collection"] = (self._folder or self._collection[0], self._collection[1])
            elif self._collection is not None:
                if self.store is None:
                    raise InvalidTypeError(f"{self._why_none()} It cannot be pickled before it is there.")
                state["_collection"] = self.store  # a client cannot be pickled, a store in a folder can
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {"_store": None, "_loaded": None, "_unread": None, **state, "_lock": threading.RLock()}


def _check_fitted_for(theirs: Fingerprint, ours: Fingerprint, path: str) -> None:
    """Refuse a saved bridge that goes with another backbone.

    :param theirs: The fingerprint that the file bears.
    :param ours: That of the backbone at hand.
    :raises FingerprintMismatchError: When they differ.
    """
    differences = theirs.differences(ours)
    if differences:
        raise FingerprintMismatchError(
            f"The bridge in {path} was fitted for {theirs.backbone}, which is not the backbone at hand, "
            f"{ours.backbone} ({'; '.join(differences)}). Take its own backbone, or fit anew."
        )
