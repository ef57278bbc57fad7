"""An encoder with the source of its bridge: the basis of the framework integrations."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .backbones.base import DEFAULT_BACKBONE, Fingerprint, Matrix
from .bridge.base import Bridge
from .bridge.corpus import CorpusBridge
from .bridge.file import load_bridge, save_bridge
from .encoder import LexSemBridgeEncoder
from .errors import (
    BackboneError,
    CollectionNotFoundError,
    CorruptFileError,
    FingerprintMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from .lexical.analyzer import UnitKind
from .lexical.unread import UnreadPassages
from .statistics.base import at_unit_length
from .statistics.in_memory import CorpusStatistics
from .store.client import Database, is_server
from .store.collection import raw_collection
from .store.fitted import refits_when_damaged
from .store.passage_store import PassageStore
from .store.spaces import check_takes_vectors
from .store.verification import described, is_loadable
from .utils.arguments import Positive, checked
from .utils.batches import batched
from .utils.closing import Closable
from .utils.digests import text_digest
from .utils.progress import Progress
from .utils.threads import in_background, passages_in_background

if TYPE_CHECKING:
    from .bridge.learned import LearnedBridge
    from .store.collection import Collection

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
STALE = (
    "The bridge was fitted before passages with %r were embedded, and does not know it: it does not modulate such "
    "queries. Fit the bridge again on all passages, or take the retriever of your framework, which follows its store."
)
MOST_UNSEEN = 100_000
"""Most units that are noted of passages embedded since a bridge was fitted."""


class GivenBackbone:
    """The backbone that an embedder was given; opened when first needed.

    :param given: Path, hub name or encoder; None for whatever the bridge's source was made with.
    :param bridge_is_given: Whether the bridge is given too, so that the encoder must have none.
    """

    def __init__(self, given: str | Path | LexSemBridgeEncoder | None, *, bridge_is_given: bool) -> None:
        self.given = given
        self.encoder: LexSemBridgeEncoder | None = None
        """Once it is open."""
        self._bridge_is_given = bridge_is_given
        if isinstance(given, LexSemBridgeEncoder):
            self._take(given)

    def open(self, made_with: str = DEFAULT_BACKBONE, units: UnitKind | None = None) -> LexSemBridgeEncoder:
        """Return the encoder.

        :param made_with: The backbone to open where none was given.
        """
        if self.encoder is None:
            self._take(LexSemBridgeEncoder.open(str(self.given or made_with), units=units))
        assert self.encoder is not None  # noqa: S101 - as mypy does not see
        return self.encoder

    def _take(self, encoder: LexSemBridgeEncoder) -> None:
        if encoder.bridge is not None and self._bridge_is_given:
            raise InvalidInputError(
                f"The encoder {encoder.name} has a bridge of its own; leave bridge= out, or set encoder.bridge = None."
            )
        self.encoder = encoder

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "encoder": self.encoder if self.encoder is self.given else None}


class BridgeSource(ABC):
    """Where the bridge of an embedder comes from."""

    def __init__(self, backbone: GivenBackbone) -> None:
        self.backbone = backbone

    def encoder(self) -> LexSemBridgeEncoder:
        """Return the encoder that goes with the bridge."""
        return self.backbone.open()

    @abstractmethod
    def bridge(self) -> Bridge | None:
        """Return the bridge; None while there is none."""

    def store(self) -> PassageStore | None:
        """Return the collection behind it, if there is one."""
        return None

    def add(  # noqa: B027 - most sources have no use for them
        self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix
    ) -> None:
        """Take in passages that were embedded."""

    def caveat(self) -> str:
        """Return a warning about the bridge for the caller of a query, or an empty string."""
        return ""

    def missed(self, units: Iterable[str]) -> list[str]:
        """Return those units of a query that passages hold which the bridge has not seen."""
        return []

    def close(self) -> None:  # noqa: B027 - most sources have nothing open
        """Close the collection, if it was opened here."""


class FittedBefore(BridgeSource):
    """A bridge that is what it is, whatever is embedded later: given, or in a file."""

    def __init__(self, backbone: GivenBackbone) -> None:
        super().__init__(backbone)
        self._unseen: set[str] = set()

    def add(self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix) -> None:
        """Note the units that the bridge does not know, so that a query for them can be told."""
        bridge = self.bridge()
        if isinstance(bridge, CorpusBridge):
            units = list(dict.fromkeys(unit for text in texts for unit in encoder.analyze(text)))
            known = bridge.statistics.look_up(units)
            self._unseen.update(unit for unit in units if unit not in known and len(self._unseen) < MOST_UNSEEN)

    def missed(self, units: Iterable[str]) -> list[str]:
        """See :class:`BridgeSource`."""
        return [unit for unit in units if unit in self._unseen]


class GivenBridge(FittedBefore):
    """A bridge that was given."""

    def __init__(self, backbone: GivenBackbone, bridge: Bridge) -> None:
        super().__init__(backbone)
        self._bridge = bridge

    def bridge(self) -> Bridge:
        """See :class:`BridgeSource`."""
        return self._bridge


class BridgeFile(FittedBefore):
    """A file written by :meth:`Embedder.save`, read and verified when first needed."""

    def __init__(self, backbone: GivenBackbone, path: Path) -> None:
        super().__init__(backbone)
        self._path = path
        self._loaded: CorpusBridge | None = None

    def encoder(self) -> LexSemBridgeEncoder:
        """See :class:`BridgeSource`; by default the one that the file was made with."""
        self.bridge()
        return self.backbone.open()

    def bridge(self) -> CorpusBridge:
        """See :class:`BridgeSource`.

        :raises BackboneError: When none was given and the one it was fitted for cannot be found by name.
        :raises FingerprintMismatchError: When it was fitted for another backbone.
        """
        if self._loaded is None:
            loaded, fingerprint = load_bridge(self._path)
            try:
                theirs = Fingerprint.from_json(fingerprint)
            except CorruptFileError as error:
                raise CorruptFileError(
                    f"{self._path} holds statistics, but not those of a saved bridge ({error})."
                ) from error
            if self.backbone.given is None and not is_loadable(theirs):
                raise BackboneError(
                    f"The bridge in {self._path} was fitted for {described(theirs)}, which cannot be found by name; "
                    "give it beside the bridge."
                )
            encoder = self.backbone.open(theirs.backbone, loaded.units)
            differences = encoder.differences(theirs)
            if differences is None:
                differences = ["one is known by its weights and the other is not, so they cannot be compared"]
            if differences:
                raise FingerprintMismatchError(
                    f"The bridge in {self._path} was fitted for {theirs.backbone}, which is not the backbone at hand, "
                    f"{encoder.name} ({'; '.join(differences)}). Take its own backbone, or fit anew."
                )
            encoder.check(loaded)
            self._loaded = loaded
        return self._loaded

    def __reduce__(self) -> tuple[Any, ...]:
        return BridgeFile, (self.backbone, self._path)


class OpenCollection(BridgeSource):
    """A collection that is open, as a store or as Chroma's client gives it."""

    def __init__(self, backbone: GivenBackbone, collection: PassageStore | Collection) -> None:
        super().__init__(backbone)
        self._collection: PassageStore | Collection | None = collection
        self._store: PassageStore | None = None

    def encoder(self) -> LexSemBridgeEncoder:
        """See :class:`BridgeSource`; by default the one that the collection was made with."""
        store = self.store()
        return self.backbone.open() if store is None else store.encoder

    def bridge(self) -> Bridge | None:
        """See :class:`BridgeSource`."""
        store = self.store()
        return None if store is None else store.bridge

    def store(self) -> PassageStore | None:
        """See :class:`BridgeSource`; None while the collection is not there."""
        try:
            if self._store is None:
                self._store = self.opened()
        except CollectionNotFoundError:
            return None
        return self._store

    def caveat(self) -> str:
        """See :class:`BridgeSource`."""
        return NOTHING_SEEN if self._store is None else ""

    def opened(self) -> PassageStore:
        """Open the collection with the encoder."""
        found = self._found()
        if self.backbone.given is None and self.backbone.encoder is None:
            self.backbone.encoder = found.encoder
            return found
        encoder = self.backbone.open(units=found.units)
        # A store of the same encoder is taken as it is, so that its statistics are shared.
        return found if found.given_encoder is encoder else PassageStore.from_collection(found.collection, encoder)

    def close(self) -> None:
        """See :class:`BridgeSource`; it is opened again when next used."""
        store, self._store = self._store, None
        if store is not None and store is not self._collection:
            store.close()

    def refresh(self, progress: Progress | None) -> None:
        """Compare every record with what is counted of it.

        :raises CollectionNotFoundError: When the collection is not there.
        """
        if self._store is None:
            self._store = self.opened()
        self._store.refresh(progress=progress)

    def _found(self) -> PassageStore:
        if isinstance(self._collection, PassageStore):
            return self._collection
        return PassageStore.from_collection(self._collection, self.backbone.encoder)

    def __reduce__(self) -> tuple[Any, ...]:
        store = self.store()  # a client cannot be pickled, a store in a folder can
        if store is None:
            raise InvalidTypeError(f"{self.caveat()} It cannot be pickled before it is there.")
        return OpenCollection, (self.backbone, store)


class NamedCollection(OpenCollection):
    """A collection by its name in a database; one that is not there yet is looked for again at every query."""

    def __init__(self, backbone: GivenBackbone, database: Database, name: str) -> None:
        BridgeSource.__init__(self, backbone)
        self._collection = self._store = None
        self._database = database
        self._name = name
        # As it is meant now: the program may change its folder.
        is_folder = isinstance(database, str | Path) and not is_server(database)
        self._folder = Path(str(database)).resolve() if is_folder else None

    def bridge(self) -> Bridge | None:
        """See :class:`BridgeSource`."""
        try:
            return super().bridge()
        except CollectionNotFoundError:  # deleted, and made again under the same name, perhaps
            self._store = None
            return super().bridge()

    def caveat(self) -> str:
        """See :class:`BridgeSource`."""
        where = self._folder or "the database"
        return NOT_THERE.format(name=self._name, database=where) if self._store is None else ""

    def _found(self) -> PassageStore:
        database = self._database
        if self._folder is not None and Path(str(database)).resolve() != self._folder:
            database = self._folder  # else as it is spelled, which is how others here may open it
        return PassageStore(database, self._name, self.backbone.encoder, create=False)

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._database, str | Path):
            return NamedCollection, (self.backbone, self._folder or self._database, self._name)
        return super().__reduce__()


class SeenPassages(BridgeSource):
    """The passages that the embedder itself has embedded, each text once."""

    def __init__(self, backbone: GivenBackbone) -> None:
        super().__init__(backbone)
        self._bridge: CorpusBridge | None = None
        self._statistics: CorpusStatistics | None = None
        self._digests: set[bytes] = set()
        self._lock = threading.Lock()

    def bridge(self) -> CorpusBridge | None:
        """See :class:`BridgeSource`; None before the first passage."""
        return self._bridge

    def add(self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix) -> None:
        """Count passages, skipping those counted before.

        :param encoder: What embedded them; its analyzer cuts the units.
        :param vectors: Their vectors, shape ``[len(texts), d]``.
        """
        with self._lock:
            rows: dict[bytes, int] = {}
            for row, text in enumerate(texts):
                digest = text_digest(text)
                if digest not in self._digests:
                    rows.setdefault(digest, row)
            fresh = list(rows.values())
            if not fresh:
                return
            if self._statistics is None:
                self._statistics = CorpusStatistics(encoder.dimension)
                self._bridge = CorpusBridge(self._statistics, units=encoder.units, background=encoder.background)
            self._statistics.add([encoder.analyze(texts[row]) for row in fresh], at_unit_length(vectors[fresh]))
            self._digests.update(rows)

    def caveat(self) -> str:
        """See :class:`BridgeSource`."""
        return NOTHING_SEEN if self._bridge is None else SELF_FITTED

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_digests": set(self._digests)}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.Lock()}


@checked
class Embedder(Closable):
    """An encoder together with the source of its bridge.

    A bridge of the encoder's own (a saved encoder's, a learned one) comes first. Else it comes from

    - `collection`: fitted on a Chroma collection when first needed, and kept current as it changes;
    - `bridge`: a file written by :meth:`save`, read and verified when first needed; or a bridge;
    - neither: fitted on the passages that this object embeds, each text once. Threads may share it.

    :param backbone: Path, hub name or encoder. By default the one that the collection or the file was made with, else
        the embedded all-MiniLM-L6-v2. Loaded when first needed.
    :param collection: A store, an open Chroma collection or a framework's vector store on one, or a database (folder or
        client) and a name in it. One that is not there yet is looked for again at every query.
    :param bridge: See above.
    :raises InvalidInputError: When the bridge could come from two places.
    :raises InvalidTypeError: When `collection` or `bridge` is of another type.
    """

    def __init__(
        self,
        backbone: str | Path | LexSemBridgeEncoder | None = None,
        *,
        collection: PassageStore | Collection | tuple[Database, str] | None = None,
        bridge: Bridge | str | Path | None = None,
    ) -> None:
        if not isinstance(collection, PassageStore):
            collection = cast("Collection | tuple[Database, str] | None", raw_collection(collection))
        if collection is not None and bridge is not None:
            raise InvalidInputError("Give collection= or bridge=, not both: a bridge comes from one place.")
        of_chroma = hasattr(collection, "upsert") and hasattr(collection, "query")
        if not (collection is None or isinstance(collection, PassageStore | tuple) or of_chroma):
            raise InvalidTypeError(f"collection= takes a Chroma collection, not {type(collection).__name__}.")
        if isinstance(collection, tuple) and len(collection) != 2:
            raise InvalidTypeError("collection= as a tuple is a database and a name in it.")
        self._backbone = GivenBackbone(backbone, bridge_is_given=bridge is not None)
        self._source: BridgeSource
        if isinstance(collection, tuple):
            self._source = NamedCollection(self._backbone, *collection)
        elif collection is not None:
            self._source = OpenCollection(self._backbone, collection)
        elif isinstance(bridge, str | Path):
            self._source = BridgeFile(self._backbone, Path(bridge).resolve())
        elif bridge is not None:
            self._source = GivenBridge(self._backbone, bridge)
        else:
            self._source = SeenPassages(self._backbone)
        self._unread: UnreadPassages | None = None
        self._said: set[str] = set()
        self._said_stale = False
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Embedder({self._backbone.encoder or self._backbone.given or DEFAULT_BACKBONE!r})"

    # -- parts ----------------------------------------------------------------------------------------------------

    @property
    def encoder(self) -> LexSemBridgeEncoder:
        """The encoder, verified against the collection or the bridge's file.

        :raises BackboneError: When it cannot be loaded.
        :raises FingerprintMismatchError: When the collection or the bridge was made with another backbone.
        """
        with self._lock:
            return self._source.encoder()

    @property
    def loaded_encoder(self) -> LexSemBridgeEncoder | None:
        """The encoder, if it has been loaded or given."""
        return self._backbone.encoder

    @property
    def store(self) -> PassageStore | None:
        """The collection that the bridge is fitted on; None without one, or while it is not there."""
        with self._lock:
            return self._source.store()

    @property
    def bridge(self) -> Bridge | LearnedBridge | None:
        """The bridge in use; None while there is none yet.

        :raises CollectionNotFoundError: When an open collection has been deleted and cannot be found again.
        """
        return self._bridge()

    def _bridge(self) -> Bridge | LearnedBridge | None:
        with self._lock:
            own = self.encoder.bridge
            return self._source.bridge() if own is None else own

    def prepare(self) -> None:
        """Open, verify and fit now what the first query would.

        :raises CollectionNotFoundError: See :attr:`bridge`.
        :raises FingerprintMismatchError: See :attr:`encoder`.
        """
        self._bridge()

    # -- embedding ------------------------------------------------------------------------------------------------

    def embed_documents(
        self, texts: Sequence[str], *, batch_size: int | None = None, progress: Progress | None = None
    ) -> Matrix:
        """Embed passages with the unmodified backbone; without another source the bridge is fitted on them.

        :param batch_size: Texts at once; None takes what suits the device.
        :return: float32 vectors, shape ``[len(texts), d]``; of length 1, or as a provider gives them.
        :raises InvalidInputError: When the collection holds vectors that these would not compare with.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        encoder, rows, done = self._ready(texts), list[Matrix](), 0
        for chunk in batched(texts, CHUNK):
            rows.append(encoder.encode_document(chunk, batch_size=batch_size))
            self._take_in(encoder, chunk, rows[-1])
            done += len(chunk)
            if progress:
                progress(done, len(texts))
        return self._embedded(rows)

    async def aembed_documents(
        self, texts: Sequence[str], *, batch_size: int | None = None, progress: Progress | None = None
    ) -> Matrix:
        """:meth:`embed_documents` beside the event loop: on it where the backbone can, else in a thread."""
        encoder = await passages_in_background(self._ready, texts)
        vectors = await encoder.aencode_document(texts, batch_size=batch_size)
        if vectors is None:
            return await passages_in_background(self.embed_documents, texts, batch_size=batch_size, progress=progress)
        await passages_in_background(self._take_in, encoder, texts, vectors)
        if progress:
            progress(len(texts), len(texts))
        return await passages_in_background(self._embedded, [vectors])

    def _ready(self, texts: Sequence[str]) -> LexSemBridgeEncoder:
        """Return the encoder, after the checks before passages are embedded."""
        encoder, store = self.encoder, self.store
        if store is not None:
            check_takes_vectors(store.space, store.name, encoder.passage_length)
        return encoder

    def _take_in(self, encoder: LexSemBridgeEncoder, texts: Sequence[str], vectors: Matrix) -> None:
        """Count passages that were embedded."""
        self._unread = self._unread or UnreadPassages(encoder.unread)
        self._unread.look(texts)
        if encoder.bridge is None:
            self._source.add(encoder, texts, vectors)

    def _embedded(self, rows: Sequence[Matrix]) -> Matrix:
        """Return all vectors, after all passages have been embedded."""
        if self._unread is not None:
            self._unread.warn()
        store = self.store
        if store is not None:
            store.fitted.recheck()  # they are likely to be stored next
        return np.concatenate(rows) if rows else np.zeros((0, self.encoder.dimension), np.float32)

    def embed_queries(
        self, texts: Sequence[str], *, strength: float | None = None, batch_size: Positive = 32
    ) -> Matrix:
        """Embed queries and modulate them.

        :param strength: How strongly the bridge acts; the encoder's by default. 0 gives the backbone's vectors.
        :return: float32, shape ``[len(texts), d]``; of length 1, unless the collection compares longer ones.
        :raises InvalidInputError: For a blank query.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        return self._embed_queries(texts, strength, batch_size)

    async def aembed_query(self, text: str, *, strength: float | None = None) -> Matrix:
        """:meth:`embed_query` beside the event loop: on it where the backbone can, else in a thread."""
        encoder = await in_background(lambda: self.encoder)
        embedded = await encoder.aembed_query([text])
        return np.asarray((await in_background(self._embed_queries, [text], strength, embedded=embedded))[0])

    @refits_when_damaged
    def _embed_queries(
        self,
        texts: Sequence[str],
        strength: float | None,
        batch_size: Positive = 32,
        embedded: Matrix | None = None,
    ) -> Matrix:
        bridge = None if strength == 0 else self.bridge
        encoder, store = self.encoder, self.store
        if strength != 0 and encoder.bridge is None:
            self._say_once(self._source.caveat())
            missed = self._source.missed(unit for text in texts for unit in encoder.analyze(text))
            if missed and not self._said_stale:
                self._said_stale = True
                logger.warning(STALE, missed[0])
        given = bridge if isinstance(bridge, Bridge) else None  # a learned one is the encoder's own
        vectors = encoder.encode_query(texts, bridge=given, strength=strength, batch_size=batch_size, embedded=embedded)
        return vectors if store is None or not len(vectors) else np.stack([*map(store.space.query_vector, vectors)])

    def embed_query(self, text: str, *, strength: float | None = None) -> Matrix:
        """:meth:`embed_queries` for one query: float32, shape ``[d]``."""
        return np.asarray(self.embed_queries([text], strength=strength)[0])

    def _refit(self) -> None:
        self.prepare()

    def _say_once(self, message: str) -> None:
        if message and message not in self._said:
            self._said.add(message)
            logger.warning(message)

    # -- fitting --------------------------------------------------------------------------------------------------

    def fit(self, texts: Sequence[str], *, batch_size: int | None = None, progress: Progress | None = None) -> None:
        """Embed `texts` and fit the bridge on them, beside those seen before.

        :raises InvalidInputError: When the bridge comes from elsewhere: a collection, a file, the encoder itself.
        :raises InvalidTypeError: For anything but a list of strings.
        """
        if not isinstance(self._source, SeenPassages) or self.encoder.bridge is not None:
            raise InvalidInputError("The bridge comes from elsewhere; to fit it on texts, give none of its own.")
        self.embed_documents(texts, batch_size=batch_size, progress=progress)

    def refresh(self, *, progress: Progress | None = None) -> None:
        """Compare the whole collection; needed after changes that left the number of records as it was.

        :raises InvalidInputError: Without a collection.
        :raises CollectionNotFoundError: When it is not there.
        """
        if not isinstance(self._source, OpenCollection):
            raise InvalidInputError("There is no collection to fit on; give collection=.")
        with self._lock:
            self._source.refresh(progress)

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

    def close(self) -> None:
        """Close the collection that was opened by its name, or for the one that was given; a given store stays open.

        It is opened again when it is next needed.
        """
        with self._lock:
            self._source.close()

    # -- copies ---------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            state = {**self.__dict__, "_unread": None}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "_lock": threading.RLock()}
