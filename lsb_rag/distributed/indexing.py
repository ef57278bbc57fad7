"""Indexing on Ray: actors of a cluster embed and write, this process counts.

Each actor opens the backbone and the Chroma server for itself and takes one batch at a time, see
https://docs.ray.io/en/latest/data/data.html. Of each record it hands back what the statistics need; the process that
called is the only one that writes their file. A batch may be written twice, when its actor was killed, and is counted
once: records and counts go by id.
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
from ..store.client import find_collection, is_server
from ..store.collection import ChromaCollection
from ..store.passage_store import PassageStore
from ..store.records import distinct_passages, warn_of_equal_ones
from ..store.spaces import check_takes_unit_vectors
from ..store.verification import check_verified
from ..store.writer import PassageWriter, differences
from ..utils.batches import batched
from ..utils.digests import text_digest
from ..utils.logging import silenced
from ..utils.progress import Progress
from .cluster import connected, load_ray, room

logger = logging.getLogger(__name__)


def index_with_ray(
    store: PassageStore,
    passages: Iterable[str | Passage],
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """What :meth:`PassageStore.add <lsb_rag.PassageStore.add>` does, its embedding and writing on Ray.

    An actor that is killed is started again, and its batch made again. Where the call itself is interrupted, the same
    call goes on from there.

    :param store: On a server, opened by its address, which the actors must reach too; a token is taken from their
        ``$LSB_RAG_DB_TOKEN``. Its backbone must be found on each machine by the same name or path.
    :param passages: Passages, or texts that get an id from their content.
    :param address: ``host:port`` of a cluster, called from one of its machines, or ``auto`` for the one that runs on
        this machine. Default: ``$RAY_ADDRESS``, else a cluster of this machine alone, which ends with the call. Where
        Ray is connected already, that cluster is taken.
    :param workers: Number of actors. Default: one for each GPU of the cluster, else for every four CPUs.
    :param progress: Called with the passages written and those to be written.
    :return: How many passages were embedded.
    :raises ClusterError: When the cluster cannot be reached, or an actor fails; what was stored is kept.
    :raises InvalidInputError: As for ``add``, for a store that is on no server, and for more workers than there is
        room for.
    :raises InvalidTypeError: As for ``add``, and for an encoder that was loaded by hand or has an unsaved bridge.
    :raises MissingExtraError: When the extra ``ray`` is not installed.
    :raises StoreError: When Chroma fails; the batches before are stored.
    """
    check_database(store.url)
    distinct = distinct_passages(passages)
    warn_of_equal_ones(distinct)
    check_takes_unit_vectors(store.space, store.name)
    check_verified(store.verification, store.name)
    fresh, relabelled = _to_be_written(store, distinct)
    writing = [*fresh, *relabelled]
    if not writing:
        return 0
    load_encoder = store.encoder.reference()
    fitted, uncounted, written = store.fitted, {passage.id for passage in writing}, 0
    fitted.expect(list(uncounted))
    try:
        with connected(address), closing(_written(store, load_encoder, writing, workers)) as rows:
            for row in rows:
                with fitted.file.writing():
                    fitted.file.count(_records(row, store.encoder.dimension))
                uncounted.difference_update(row["ids"])
                written += len(row["ids"])
                if progress:
                    progress(written, len(writing))
        unread = UnreadPassages(store.encoder.modulation.unread)
        unread.look([passage.embedded_text for passage in fresh])
        unread.warn()
    finally:
        fitted.expect(list(uncounted))  # again: whoever read them in between may have read them too early
        fitted.recheck()
    return len(fresh)


def check_database(database: str | None) -> None:
    """Refuse what cannot be indexed with Ray, before anything is read or made.

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


def _to_be_written(store: PassageStore, passages: Sequence[Passage]) -> tuple[list[Passage], list[Passage]]:
    """Those to be embedded, and those of which the metadata alone differs.

    Of the others, those that are not counted as they are stored get a note, to be read again.
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


def _written(
    store: PassageStore, load_encoder: tuple[Any, Any], passages: Sequence[Passage], workers: int | None
) -> Generator[dict[str, Any], None, None]:
    """What each batch came to, as they are finished; see :class:`_Writer`.

    :raises LsbRagError: What an actor met, as if it had happened here.
    """
    ray = load_ray()
    import pyarrow as pa

    count, takes = room(ray.nodes(), workers)
    if (free := ray.available_resources().get("CPU", 0)) < takes["num_cpus"]:
        logger.warning("The Ray cluster has %g free CPUs of the %d a worker takes; waiting.", free, takes["num_cpus"])
    batches = batched(passages, store.chroma.batch_size)
    data = ray.data.from_arrow([pa.table({"passage": [_as_json(one) for one in batch]}) for batch in batches])
    data.context.enable_progress_bars = False
    written = data.map_batches(
        _Writer,
        fn_constructor_args=(store.url, store.name, load_encoder, store.encoder.fingerprint),
        batch_size=None,  # a block, which is a batch of ours
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=count),
        **takes,
    )
    try:
        with silenced("ray.data"):
            for table in written.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in table.to_pylist():
                    if row["error"]:
                        raise getattr(errors, row["error"])(row["message"])
                    yield row
    except ray.exceptions.RayError as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ClusterError(
            f"Ray's workers failed: {why.removesuffix('.')}. What was stored is kept; the same again goes on."
        ) from error


def _as_json(passage: Passage) -> str:
    return json.dumps([passage.text, passage.id, passage.title, dict(passage.metadata)])


def _records(row: Mapping[str, Any], dimension: int) -> list[Record]:
    vectors = np.frombuffer(row["vectors"], np.float16).reshape(-1, dimension)
    return list(map(Record, row["ids"], row["digests"], row["units"], vectors))


class _Writer:
    """An actor: batches of passages into the collection.

    :param encoder: How to load the encoder, a function and its arguments.
    :param fingerprint: Of the encoder of the process that called.
    """

    def __init__(self, url: str, name: str, encoder: tuple[Any, Any], fingerprint: Fingerprint) -> None:
        self._url, self._name, self._load, self._fingerprint = url, name, encoder, fingerprint

    def __call__(self, table: Any) -> Any:
        """Write one batch.

        :param table: Of Arrow, as is what is returned, with passages as JSON.
        :return: One row: ids, digests, units and vectors (float16, row by row) of the records, as they are stored; or
            what went wrong.
        """
        batch = [Passage(*json.loads(passage)) for passage in table["passage"].to_pylist()]
        try:
            PassageWriter(self._collection, self._encoder, lambda ids: nullcontext()).add(batch)
            # As they came back: Chroma gives another last bit than it got, and a new fit shall count the same.
            vectors = self._collection.vectors([passage.id for passage in batch])
        except LsbRagError as error:  # as data: Ray makes a traceback of it
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
        collection = find_collection(self._url, self._name, create=False)[1]
        assert collection is not None  # noqa: S101 - else it has raised
        return collection

    @cached_property
    def _encoder(self) -> LexSemBridgeEncoder:
        load, arguments = self._load
        encoder: LexSemBridgeEncoder = load(*arguments)
        if differences := self._fingerprint.differences(encoder.fingerprint):
            raise FingerprintMismatchError(
                f"A Ray worker has another backbone under the name {encoder.name} ({'; '.join(differences)}); put the "
                "same one on each machine. Nothing was stored by it."
            )
        return encoder


def _row(**values: Any) -> Any:
    # A table with its types: of a dictionary Ray would make NumPy arrays, which cut zeros off the end of bytes.
    import pyarrow as pa

    text, data = pa.string(), pa.binary()
    lists = {"ids": pa.list_(text), "digests": pa.list_(data), "units": pa.list_(pa.list_(text))}
    return pa.Table.from_pylist([values], pa.schema({**lists, "vectors": data, "error": text, "message": text}))
