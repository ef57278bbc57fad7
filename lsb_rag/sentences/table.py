"""The sentence vectors of a collection, by passage, in an SQLite file beside its statistics."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import BusyError, CorruptFileError, StoreError
from ..passage import Hit
from ..statistics.on_disk import checksum, with_checksum
from ..statistics.sqlite_file import SqliteFile
from ..utils.digests import text_digest
from .quotation import Quotation, quotations
from .vectors import SentenceVectors

logger = logging.getLogger(__name__)

FORMAT = "lsb-rag sentences 1"
"""Format of the file, and how sentences are cut; vectors of another format are made again."""
MOST_SENTENCES = 32
"""Most sentences of a passage that are embedded: its first ones."""
KEEPER_SECONDS = 1.0
"""Time that a search waits for another process that writes. Then it leaves what it has embedded to be made again."""
SCHEMA = "CREATE TABLE sentences (id TEXT PRIMARY KEY, digest BLOB, vectors BLOB, checksum INTEGER);"

Embed: TypeAlias = Callable[[list[str]], NDArray[np.float32]]
"""Function from texts to their vectors, shape ``[n, d]``."""


class SentenceFile(SqliteFile):
    """The file of the sentence vectors of one collection, for any number of readers and writers.

    :param path: The file; None keeps them in memory.
    :param dimension: Width d of the vectors.
    :param about: What the vectors are of; those of something else are not used.
    """

    what: ClassVar[str] = "sentence vectors"
    again: ClassVar[str] = "made again"

    def __init__(self, path: Path | None, dimension: int, about: Mapping[str, str]) -> None:
        self.dimension = dimension
        super().__init__(path, SCHEMA, {"format": FORMAT, "dimension": str(dimension), **about})


def sentences_of(hit: Hit) -> Sequence[Quotation]:
    """Return the sentences of a passage that have vectors: its units of quotation without headings, 32 at most."""
    units = quotations(hit.body)
    return ([unit for unit in units if unit.kind != "heading"] or units)[:MOST_SENTENCES]


def spoken(hit: Hit, sentence: str) -> str:
    """Return what is embedded of a sentence: the passage's title stands above it."""
    return f"{hit.title}\n{sentence}" if hit.title else sentence


class SentenceTable:
    """Sentence vectors of the passages of one collection. Threads may share an instance.

    A passage's row names the text that it was made of. A row of another text counts as missing, so that a passage which
    anybody has changed never gets the sentences it had.

    :param file: Where they are kept.
    :param embed: What embeds sentences.
    """

    def __init__(self, file: SentenceFile, embed: Embed) -> None:
        self.dimension = file.dimension
        self._embed = embed
        self._file = file

    def __len__(self) -> int:
        """Return the number of passages whose sentence vectors are kept."""
        with self._file.reading():
            return int(self._file.run("SELECT count(*) FROM sentences").fetchone()[0])

    def of(self, hits: Sequence[Hit]) -> list[SentenceVectors]:
        """Return the sentence vectors of passages. Those that are not kept are embedded now, and kept from then on.

        Where they cannot be kept, as on a full disk, a warning says so.
        """
        digests = {hit.id: _digest(hit) for hit in hits}
        kept = self._kept(digests)
        missing = [hit for hit in hits if hit.id not in kept]
        if missing:
            made = self._embedded(missing)
            kept |= made
            try:
                self._keep(digests, made, KEEPER_SECONDS)
            except BusyError:
                pass
            except StoreError as error:
                logger.warning("The sentence vectors of %d passages are not kept: %s", len(made), error)
        return [kept[hit.id] for hit in hits]

    def add(self, hits: Iterable[Hit]) -> int:
        """Embed and keep the sentences of those passages that are not kept yet.

        :return: The number of passages embedded.
        :raises StoreError: When the disk is full or not writable.
        """
        hits = list(hits)
        digests = {hit.id: _digest(hit) for hit in hits}
        kept = self._kept(digests)
        made = self._embedded([hit for hit in hits if hit.id not in kept])
        if made:
            self._keep(digests, made)
        return len(made)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop the vectors of passages that are gone."""
        rows = [(id,) for id in ids]
        if rows:
            with self._file.writing(), self._file.transaction():
                self._file.run_many("DELETE FROM sentences WHERE id = ?", iter(rows))

    def ids(self) -> set[str]:
        """Return the ids of the passages that are kept."""
        with self._file.reading():
            return {id for (id,) in self._file.run("SELECT id FROM sentences")}

    def _kept(self, digests: Mapping[str, bytes]) -> dict[str, SentenceVectors]:
        try:
            with self._file.reading():
                rows = self._file.run(
                    "SELECT sentences.id, digest, vectors, checksum "
                    "FROM json_each(?) CROSS JOIN sentences ON sentences.id = value",
                    (json.dumps(list(digests)),),
                ).fetchall()
                self._file.check(all(row[3] == checksum(row[:3]) for row in rows), "a row that does not match")
            current = [(id, content) for id, digest, content, _ in rows if digests[id] == digest]
            return {id: SentenceVectors.from_bytes(content, self.dimension) for id, content in current}
        except CorruptFileError:
            self._file.empty("damaged")
            return {}

    def _embedded(self, hits: Sequence[Hit]) -> dict[str, SentenceVectors]:
        texts = [[spoken(hit, sentence.text) for sentence in sentences_of(hit)] for hit in hits]
        flat = [text for of_one in texts for text in of_one]
        vectors = self._embed(flat) if flat else np.zeros((0, self.dimension), np.float32)
        parts = np.split(vectors, np.cumsum([len(of_one) for of_one in texts])[:-1]) if hits else []
        return {hit.id: SentenceVectors.of(part) for hit, part in zip(hits, parts, strict=True)}

    def _keep(
        self, digests: Mapping[str, bytes], made: Mapping[str, SentenceVectors], seconds: float | None = None
    ) -> None:
        rows = (with_checksum(id, digests[id], vectors.to_bytes()) for id, vectors in made.items())
        with self._file.writing(seconds), self._file.transaction():
            self._file.run_many("REPLACE INTO sentences VALUES (?, ?, ?, ?)", rows)


def _digest(hit: Hit) -> bytes:
    return text_digest(f"{hit.title}\0{hit.body}")
