"""The sentence vectors of a collection, by passage, in an SQLite file beside its statistics."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import BusyError, CorruptFileError, StoreError
from ..passage import Hit
from ..statistics import sqlite_file
from ..statistics.on_disk import IDS_AT_ONCE, checksum, with_checksum
from ..statistics.sqlite_file import SqliteFile
from ..utils.batches import batched
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
_TITLE = re.compile(r"\w.{0,98}[^\s.,;:!?\u2026\u3002]|\w")
SCHEMA = "CREATE TABLE sentences (id TEXT PRIMARY KEY, digest BLOB, vectors BLOB, titled INTEGER, checksum INTEGER);"

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
    busy_seconds: ClassVar[float | None] = KEEPER_SECONDS

    def __init__(self, path: Path | None, dimension: int, about: Mapping[str, str]) -> None:
        self.dimension = dimension
        super().__init__(path, SCHEMA, {"format": FORMAT, "dimension": str(dimension), **about})

    @contextmanager
    def writing(self, seconds: float | None = None) -> Iterator[None]:
        """See :class:`~lsb_rag.statistics.sqlite_file.SqliteFile`; as searches write, the wait is short by default."""
        with super().writing(KEEPER_SECONDS if seconds is None else seconds):
            yield


def titled(hit: Hit) -> tuple[str, str]:
    """Return title and body of a passage. Without a stored title, a first line that stands like one is taken for it."""
    if hit.title:
        return hit.title, hit.body
    title, _, body = hit.text.partition("\n")
    stands_alone = bool(_TITLE.fullmatch(title)) and not body[:1].islower() and body.strip() != ""
    if stands_alone and 2 * len(title) <= max(map(len, body.splitlines()), default=0):
        return title, body
    return "", hit.text


def sentences_of(hit: Hit) -> Sequence[Quotation]:
    """Return the sentences of a passage that have vectors: its units of quotation without headings, 32 at most."""
    units = quotations(titled(hit)[1])
    return ([unit for unit in units if unit.kind != "heading"] or units)[:MOST_SENTENCES]


class SentenceTable:
    """Sentence vectors of the passages of one collection. Threads may share an instance.

    A passage's row names the text that it was made of. A row of another text counts as missing, so that a passage which
    anybody has changed never gets the sentences it had.

    :param file: Where they are kept.
    :param embed: What embeds sentences.
    :param on_demand: Whether :meth:`of` embeds what is not kept; only :meth:`add` does otherwise.
    """

    def __init__(self, file: SentenceFile, embed: Embed, *, on_demand: bool = True) -> None:
        self.dimension = file.dimension
        self.on_demand = on_demand
        self._embed = embed
        self._file = file

    def __len__(self) -> int:
        """Return the number of passages whose sentence vectors are kept."""
        return sum(count for (count,) in self._rows("SELECT count(*) FROM sentences"))

    @property
    def is_of_use(self) -> bool:
        """Whether :meth:`of` gives any vectors."""
        if self.on_demand:
            return True
        return bool(self._rows("SELECT 1 FROM sentences LIMIT 1"))

    def of(self, hits: Sequence[Hit]) -> list[SentenceVectors]:
        """Return the sentence vectors of passages. On demand, those not kept are embedded now, and kept from then on.

        Where they cannot be kept, as on a full disk, a warning says so. A passage whose sentences are not embedded has
        no vectors.
        """
        try:
            kept = self._kept(hits)
        except StoreError as error:
            logger.warning("The sentence vectors cannot be read: %s", error)
            kept = {}
        missing = [hit for hit in hits if hit.id not in kept]
        if not self.on_demand:
            none = SentenceVectors.of(np.zeros((0, self.dimension), np.float32))
            kept |= {hit.id: none for hit in missing}
        elif missing:
            made = self._embedded(missing)
            kept |= made
            try:
                self._keep(missing, made)
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
        kept = self._kept(hits)
        made = self._embedded([hit for hit in hits if hit.id not in kept])
        self._keep(hits, made, sqlite_file.LOCK_SECONDS)
        return len(made)

    def forget(self, ids: Iterable[str]) -> None:
        """Drop the vectors of passages that are gone."""
        self._write("DELETE FROM sentences WHERE id = ?", [(id,) for id in ids])

    def checkpoint(self) -> None:
        """Move what was written into the file itself, unless somebody else is using it."""
        self._file.checkpoint()

    def ids(self) -> set[str]:
        """Return the ids of the passages that are kept."""
        return {id for (id,) in self._rows("SELECT id FROM sentences")}

    def _kept(self, hits: Sequence[Hit]) -> dict[str, SentenceVectors]:
        digests = {hit.id: _digest(hit) for hit in hits}
        rows: list[Any] = []
        for batch in batched(list(digests), IDS_AT_ONCE):
            marks = ",".join("?" * len(batch))
            rows += self._rows(
                f"SELECT id, digest, vectors, titled, checksum FROM sentences WHERE id IN ({marks})",  # noqa: S608
                *batch,
            )
        if any(row[-1] != checksum(row[:-1]) for row in rows):
            self._empty()
            return {}
        return {
            id: SentenceVectors.from_bytes(content, self.dimension, titled=bool(titled))
            for id, digest, content, titled, _ in rows
            if digests[id] == digest
        }

    def _rows(self, statement: str, *values: str) -> list[Any]:
        """Return the rows that a statement selects; a damaged file is emptied."""
        for _ in range(2):
            try:
                with self._file.reading():
                    return self._file.run(statement, values).fetchall()
            except CorruptFileError:
                self._empty()
        return []

    def _empty(self) -> None:
        """Empty a damaged file, unless another process holds it or it cannot be written."""
        try:
            self._file.empty("damaged")
        except StoreError as error:
            logger.warning("The damaged sentence vectors stay for now: %s", error)

    def _write(self, statement: str, rows: Sequence[Sequence[Any]], seconds: float | None = None) -> None:
        """Execute a statement for each row; a damaged file is emptied before."""
        if not rows:
            return
        with self._file.writing(seconds):
            if self._file.damaged:
                self._file.empty("damaged")
            with self._file.transaction():
                self._file.run_many(statement, iter(rows))

    def _embedded(self, hits: Sequence[Hit]) -> dict[str, SentenceVectors]:
        titles = [titled(hit)[0] for hit in hits]
        texts = [
            [*(sentence.text for sentence in sentences_of(hit)), *([title] if title else [])]
            for hit, title in zip(hits, titles, strict=True)
        ]
        distinct = list(dict.fromkeys(text for of_one in texts for text in of_one))
        vectors = self._embed(distinct) if distinct else np.zeros((0, self.dimension), np.float32)
        row_of = {text: row for row, text in enumerate(distinct)}
        return {
            hit.id: SentenceVectors.of(vectors[[row_of[text] for text in of_one]], titled=bool(title))
            for hit, title, of_one in zip(hits, titles, texts, strict=True)
        }

    def _keep(self, hits: Sequence[Hit], made: Mapping[str, SentenceVectors], seconds: float | None = None) -> None:
        rows = [
            with_checksum(hit.id, _digest(hit), made[hit.id].to_bytes(), int(made[hit.id].titled))
            for hit in hits
            if hit.id in made
        ]
        self._write("REPLACE INTO sentences VALUES (?, ?, ?, ?, ?)", rows, seconds)


def _digest(hit: Hit) -> bytes:
    title, body = titled(hit)
    return text_digest(f"{len(title)} {title}{body}")
