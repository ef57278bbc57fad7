"""Passages embedded plainly, queries modulated, and where the bridge comes from: what framework embeddings stand on."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backbone import EMBEDDED_NAME
from .bridge import Bridge, CorpusBridge, LearnedBridge
from .bridge_file import load_bridge, save_bridge
from .corpus_statistics import CorpusStatistics
from .encoder import LexSemBridgeEncoder, Matrix
from .errors import CollectionNotFoundError, FingerprintMismatchError, InvalidInputError, InvalidTypeError
from .progress import Progress
from .store import PassageStore

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

    CollectionSource = PassageStore | Collection | tuple[str | Path | ClientAPI, str]
    """A store, an open Chroma collection, or a database (folder or client) and a name in it."""

logger = logging.getLogger(__name__)

CHUNK = 1024
"""Texts embedded between two calls of a progress callback; within them the backbone batches by length."""

SELF_FITTED = (
    "Queries are modulated by the passages embedded in this process. Those embedded elsewhere (an existing collection, "
    "a cache, another process) and deletions are not seen: for anything that lasts, give collection= or bridge=."
)
NOTHING_SEEN = (
    "No passage has been embedded yet, so this query is the backbone's plain vector. Give collection= or bridge=, or "
    "call fit() or fit_collection()."
)


class Embedder:
    """An encoder together with the source of its bridge.

    - `collection`: fitted on a Chroma collection when first needed, and kept current as it changes.
    - `bridge`: a file written by :meth:`save`, read and verified when first needed; or a bridge.
    - neither: fitted on the passages that this object embeds, each text once; a saved encoder keeps its own bridge.

    :param backbone: Path, hub name or encoder. By default the one that the collection or the file was made with, else
        the embedded all-MiniLM-L6-v2. Loaded when first needed.
    :param collection: See above; one that is not there yet is looked for again at every query.
    :param bridge: See above.
    :raises InvalidInputError: When both a collection and a bridge are given.
    """

    def __init__(
        self,
        backbone: str | Path | LexSemBridgeEncoder | None = None,
        *,
        collection: CollectionSource | None = None,
        bridge: Bridge | str | Path | None = None,
    ) -> None:
        if collection is not None and bridge is not None:
            raise InvalidInputError("Give collection= or bridge=, not both: a bridge comes from one place.")
        self._backbone = backbone
        self._encoder: LexSemBridgeEncoder | None = backbone if isinstance(backbone, LexSemBridgeEncoder) else None
        self._collection = collection
        self._store: PassageStore | None = None
        self._given_bridge = bridge
        self._loaded: CorpusBridge | None = None
        self._statistics: CorpusStatistics | None = None
        self._fitted: CorpusBridge | None = None
        self._seen: set[bytes] = set()
        self._said: set[str] = set()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Embedder({self._encoder or self._backbone or EMBEDDED_NAME!r})"

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

    def _own_encoder(self, name: str = EMBEDDED_NAME) -> LexSemBridgeEncoder:
        if self._encoder is None:
            self._encoder = LexSemBridgeEncoder.open(str(self._backbone or name))
        return self._encoder

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

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge in use; None while nothing has been seen."""
        with self._lock:
            if self._collection is not None:
                return self.store.bridge if self.store is not None else None
            if isinstance(self._given_bridge, str | Path):
                return self._load_bridge()
            if self._given_bridge is not None:
                return self._given_bridge
            return self._fitted or self.encoder.bridge

    def _opened(self, source: CollectionSource) -> PassageStore:
        encoder = self._own_encoder() if self._backbone is not None else self._encoder
        if isinstance(source, tuple):
            return PassageStore(*source, encoder, create=False)
        if isinstance(source, PassageStore):
            return source if encoder is None else PassageStore.from_collection(source.collection, encoder)
        return PassageStore.from_collection(source, encoder)

    def _load_bridge(self) -> CorpusBridge:
        if self._loaded is None:
            loaded, theirs = load_bridge(str(self._given_bridge))
            encoder = self._own_encoder(theirs.backbone)
            differences = theirs.differences(encoder.fingerprint)
            if differences:
                raise FingerprintMismatchError(
                    f"The bridge in {self._given_bridge} was fitted for {theirs.backbone}, which is not the backbone "
                    f"at hand, {encoder.name} ({'; '.join(differences)}). Take its own backbone, or fit anew."
                )
            self._loaded = loaded
        return self._loaded

    # -- embedding ------------------------------------------------------------------------------------------------

    def embed_documents(
        self, texts: Sequence[str], *, batch_size: int = 32, progress: Progress | None = None
    ) -> Matrix:
        """Embed passages with the unmodified backbone; without another source the bridge is fitted on them.

        :return: float32 vectors of length 1, shape ``[len(texts), d]``.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if isinstance(texts, str):
            raise InvalidTypeError("embed_documents() takes a list of texts; put a single one in brackets.")
        encoder, rows = self.encoder, []
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            rows.append(encoder.encode_document(chunk, batch_size=batch_size))
            if self._collection is None and self._given_bridge is None:
                self._see(encoder, chunk, rows[-1])
            if progress:
                progress(start + len(chunk), len(texts))
        return np.concatenate(rows) if rows else np.zeros((0, encoder.dimension), np.float32)

    def embed_queries(self, texts: Sequence[str], *, strength: float | None = None, batch_size: int = 32) -> Matrix:
        """Embed queries and modulate them.

        :param strength: How strongly the bridge acts; the encoder's by default. 0 gives the backbone's vectors.
        :return: float32 vectors of length 1, shape ``[len(texts), d]``.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if isinstance(texts, str):
            raise InvalidTypeError("embed_queries() takes a list of queries; embed_query() takes one.")
        if strength == 0:
            return self.encoder.embed_query(texts, batch_size=batch_size)
        bridge, encoder = self.bridge, self.encoder
        if bridge is None:
            self._say_once(NOTHING_SEEN)
        elif bridge is self._fitted:
            self._say_once(SELF_FITTED)
        given = None if isinstance(bridge, LearnedBridge) else bridge  # a learned one is the encoder's own
        return encoder.encode_query(texts, bridge=given, strength=strength, batch_size=batch_size)

    def embed_query(self, text: str, *, strength: float | None = None) -> Matrix:
        """Embed one query and modulate it; see :meth:`embed_queries`.

        :return: float32 vector of length 1, shape ``[d]``.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For anything but a string.
        """
        if not isinstance(text, str):
            raise InvalidTypeError(f"A query must be a string, not {type(text).__name__}.")
        return np.asarray(self.embed_queries([text], strength=strength)[0])

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning(message)

    # -- fitting --------------------------------------------------------------------------------------------------

    def fit(self, texts: Sequence[str], *, batch_size: int = 32, progress: Progress | None = None) -> None:
        """Embed `texts` and fit the bridge on them, beside those seen before. A collection or bridge given is let go.

        :raises InvalidTypeError: For anything but a list of strings.
        """
        encoder = self.encoder
        with self._lock:
            self._backbone = self._encoder = encoder
            self._collection = self._store = self._given_bridge = self._loaded = None
        self.embed_documents(texts, batch_size=batch_size, progress=progress)

    def fit_collection(self, collection: CollectionSource, *, progress: Progress | None = None) -> None:
        """Fit the bridge on a Chroma collection, and follow it from now on.

        :raises CollectionNotFoundError: When it is not there.
        :raises FingerprintMismatchError: When its vectors come from another backbone.
        """
        store = self._opened(collection)
        store.fit(progress=progress)
        with self._lock:
            self._collection, self._store, self._given_bridge, self._loaded = collection, store, None, None

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
        save_bridge(bridge, self.encoder.fingerprint, path)

    def _see(self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix) -> None:
        """Count passages in, each text once."""
        if encoder.bridge is not None:
            return
        with self._lock:
            fresh = {}
            for row, text in enumerate(texts):
                digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                if digest not in self._seen:
                    self._seen.add(digest)
                    fresh[digest] = row
            if not fresh:
                return
            if self._statistics is None:
                self._statistics = CorpusStatistics(encoder.dimension)
            rows = list(fresh.values())
            self._statistics.add([encoder.analyze(texts[row]) for row in rows], vectors[rows])
            if self._fitted is None:
                self._fitted = CorpusBridge(self._statistics, units=encoder.units)

    # -- copies ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = self.__dict__ | {"_seen": set(self._seen)}
            # Opened and read again where they are needed; a client cannot be pickled, a store in a folder can.
            for part in ("_lock", "_store", "_loaded"):
                del state[part]
            if self._encoder is not self._backbone:
                state["_encoder"] = None
            at_path = isinstance(self._collection, tuple) and isinstance(self._collection[0], str | Path)
            if self._collection is not None and not at_path:
                state["_collection"] = self.store
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {"_store": None, "_loaded": None, **state, "_lock": threading.RLock()}
