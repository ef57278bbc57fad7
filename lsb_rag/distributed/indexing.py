"""Indexing on Ray: the actors of a cluster embed and write, the calling process counts.

Each actor opens the backbone and the Chroma server itself and takes one batch at a time, see
https://docs.ray.io/en/latest/data/data.html. It returns what the statistics need of each record. Only the calling
process writes their file. When an actor is killed, its batch may be written twice. It is counted once, because records
and counts are kept by id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from .. import errors
from ..backbones.base import Fingerprint
from ..encoder import LexSemBridgeEncoder
from ..errors import ClusterError, FingerprintMismatchError, InvalidInputError, LsbRagError
from ..lexical.unread import UnreadPassages
from ..passage import Passage
from ..statistics.base import Record, at_unit_length
from ..store.client import is_server, open_collection
from ..store.collection import ChromaCollection
from ..store.passage_store import PassageStore
from ..store.writer import PassageWriter, differences
from ..utils.arguments import checked
from ..utils.batches import batched
from ..utils.digests import text_digest
from ..utils.logging import silenced
from ..utils.progress import Progress
from ..utils.secrets import redacted, without_secrets
from .cluster import connected, load_ray, plan_actors

logger = logging.getLogger(__name__)


@checked
def index_with_ray(
    store: PassageStore,
    passages: Iterable[str | Passage],
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Do what :meth:`PassageStore.add <lsb_rag.PassageStore.add>` does, with embedding and writing on Ray.

    An actor that is killed is restarted, and its batch repeated. After an interruption, the same call continues.

    :param store: A store on a server, opened by its address. The actors must reach this address too, and take a token
        from their ``$LSB_RAG_DB_TOKEN``. Each machine must find the backbone by the same name or path.
    :param passages: Passages, or texts that get an id from their content.
    :param address: ``host:port`` of a cluster, called from one of its machines, or ``auto`` for the cluster that runs
        on this machine. Default: ``$RAY_ADDRESS``, else a cluster of this machine alone, which ends with the call. If
        Ray is connected already, that cluster is used.
    :param workers: Number of actors. Default: one for each GPU of the cluster, else for every four CPUs.
    :param progress: Called with the number of passages written and the number to write.
    :return: The number of passages that were embedded.
    :raises ClusterError: When the cluster cannot be reached, or an actor fails. Passages stored before are kept.
    :raises InvalidInputError: As for ``add``, for a store that is not on a server, and for more workers than the
        cluster has room for.
    :raises InvalidTypeError: As for ``add``, and for an encoder that was loaded by hand or has an unsaved bridge.
    :raises MissingExtraError: When the extra ``ray`` is not installed.
    :raises StoreError: When Chroma fails. The batches before are stored.
    """
    check_database(store.url)
    fresh, relabelled = _changed_passages(store, store.addable(passages))
    changed = [*fresh, *relabelled]
    if not changed:
        return 0
    encoder_reference = store.encoder.reference()
    fitted = store.fitted
    uncounted = {passage.id for passage in changed}
    written = 0
    fitted.expect(list(uncounted))
    try:
        with connected(address), closing(_write_on_ray(store, encoder_reference, changed, workers)) as rows:
            for row in rows:
                with fitted.file.writing():
                    fitted.file.count(_records(row, store.encoder.dimension))
                uncounted.difference_update(row["ids"])
                written += len(row["ids"])
                if progress:
                    progress(written, len(changed))
        unread = UnreadPassages(store.encoder.unread)
        unread.look([passage.embedded_text for passage in fresh])
        unread.warn()
    finally:
        fitted.expect(list(uncounted))  # again: a reader in between may have read them too early
        fitted.recheck()
    return len(fresh)


@checked
def check_database(database: str | None) -> None:
    """Refuse a database that cannot be indexed with Ray, before anything is read or created.

    :param database: Folder or address of a server.
    :raises InvalidInputError: For anything but a server.
    :raises MissingExtraError: When the extra ``ray`` is not installed.
    """
    if not is_server(database):
        raise InvalidInputError(
            "Ray's workers need a Chroma server that they reach by its address, http://host:8000; an embedded database "
            "is for one process."
        )
    load_ray()


def _changed_passages(store: PassageStore, passages: Sequence[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Return the passages to embed, and those of which only the metadata differs.

    The others are stored as they are. Of these, the statistics will read again those that they count differently.
    """
    fresh: list[Passage] = []
    relabelled: list[Passage] = []
    for batch in batched(passages, store.chroma.batch_size):
        found = differences(store.chroma, batch)
        fresh += found.fresh
        relabelled += found.relabelled
        ids = {passage.id for passage in found.passages}
        stored = {passage.id: text_digest(passage.embedded_text) for passage in batch if passage.id not in ids}
        counted = store.fitted.file.digests(list(stored))
        store.fitted.expect([id for id, digest in stored.items() if counted.get(id) != digest])
    store.fitted.recheck()
    return fresh, relabelled


def _write_on_ray(
    store: PassageStore, encoder_reference: tuple[Any, Any], passages: Sequence[Passage], workers: int | None
) -> Generator[dict[str, Any], None, None]:
    """Write passages on Ray. Yield the row of each batch when it is finished, see :class:`_Writer`.

    :raises LsbRagError: When an actor raised it.
    """
    ray = load_ray()
    import pyarrow as pa

    count, resources = plan_actors(ray.nodes(), workers)
    threads = resources["num_cpus"]
    free = ray.available_resources().get("CPU", 0)
    if free < threads:
        logger.warning("The Ray cluster has %g free CPUs of the %d a worker takes; waiting.", free, threads)
    batches = batched(passages, store.chroma.batch_size)
    data = ray.data.from_arrow([pa.table({"passage": [_to_json(passage) for passage in batch]}) for batch in batches])
    data.context.enable_progress_bars = False
    written = data.map_batches(
        _Writer,
        fn_constructor_args=(store.url, store.name, encoder_reference, store.encoder.fingerprint),
        batch_size=None,  # a whole block, which holds one of our batches
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=count),
        **resources,
    )
    try:
        with silenced("ray.data"):
            for table in written.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in table.to_pylist():
                    if row["error"]:
                        raise getattr(errors, row["error"])(row["message"])
                    yield row
    except ray.exceptions.RayError as error:
        lines = redacted(error).strip().splitlines()
        reason = lines[-1] if lines else type(error).__name__
        raise ClusterError(
            f"Ray's workers failed: {reason.removesuffix('.')}. What was stored is kept; the same again goes on."
        ) from without_secrets(error)


def _to_json(passage: Passage) -> str:
    return json.dumps([passage.text, passage.id, passage.title, dict(passage.metadata)])


def _records(row: Mapping[str, Any], dimension: int) -> list[Record]:
    """Return the records in the row of a batch, see :class:`_Writer`."""
    vectors = np.frombuffer(row["vectors"], np.float16).reshape(-1, dimension)
    columns = zip(row["ids"], row["digests"], row["units"], vectors, strict=True)
    return [Record(id=id, digest=digest, units=units, vector=vector) for id, digest, units, vector in columns]


class _Writer:
    """An actor that writes batches of passages into a collection.

    :param url: Address of the server.
    :param name: Name of the collection.
    :param encoder_reference: A function that loads the encoder, and its arguments.
    :param fingerprint: Fingerprint of the encoder of the calling process.
    """

    def __init__(self, url: str, name: str, encoder_reference: tuple[Any, Any], fingerprint: Fingerprint) -> None:
        self._url = url
        self._name = name
        self._encoder_reference = encoder_reference
        self._fingerprint = fingerprint

    def __call__(self, table: Any) -> Any:
        """Write one batch.

        :param table: An Arrow table with passages as JSON.
        :return: An Arrow table of one row. It holds ids, digests, units and vectors (float16, row by row) of the
            records as they are stored, or the error.
        """
        batch = [Passage(*json.loads(passage)) for passage in table["passage"].to_pylist()]
        try:
            PassageWriter(self._collection, self._encoder, lambda ids: nullcontext()).add(batch)
            # Read back, because Chroma changes the last bit of a vector, and a new fit must count the same.
            vectors = self._collection.vectors([passage.id for passage in batch])
        except LsbRagError as error:  # returned as data, because Ray would turn it into a traceback
            return _row(error=type(error).__name__, message=str(error))
        texts = {passage.id: passage.embedded_text for passage in batch}
        return _row(
            ids=list(vectors),
            digests=[text_digest(texts[id]) for id in vectors],
            units=[list(self._encoder.analyze(texts[id])) for id in vectors],
            vectors=at_unit_length(list(vectors.values())).astype(np.float16).tobytes() if vectors else b"",
        )

    @cached_property
    def _collection(self) -> ChromaCollection:
        return open_collection(self._url, self._name, None)

    @cached_property
    def _encoder(self) -> LexSemBridgeEncoder:
        load, arguments = self._encoder_reference
        encoder: LexSemBridgeEncoder = load(*arguments)
        mismatches = self._fingerprint.differences(encoder.fingerprint)
        if mismatches:
            raise FingerprintMismatchError(
                f"A Ray worker has another backbone under the name {encoder.name} ({'; '.join(mismatches)}); put the "
                "same one on each machine. Nothing was stored by it."
            )
        return encoder


def _row(**values: Any) -> Any:
    """Return an Arrow table of one row, see :class:`_Writer`."""
    # With a schema, because Ray would turn a dictionary into NumPy arrays, which drop zeros at the end of bytes.
    import pyarrow as pa

    text, data = pa.string(), pa.binary()
    lists = {"ids": pa.list_(text), "digests": pa.list_(data), "units": pa.list_(pa.list_(text))}
    return pa.Table.from_pylist([values], pa.schema({**lists, "vectors": data, "error": text, "message": text}))
