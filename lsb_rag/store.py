"""Passages and their vectors: one Chroma collection, with its statistics fitted and kept beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from .backbone import EMBEDDED_NAME, UNNAMED, Fingerprint
from .bridge import CorpusBridge
from .chroma import chroma_errors, create_collection, existing_collection, not_found, open_client
from .encoder import LexSemBridgeEncoder, Matrix
from .errors import BackboneError, FingerprintMismatchError, InvalidInputError, InvalidTypeError
from .fitting import FittedStatistics
from .lexical import UnitKind
from .passage import Hit, Passage
from .records import checked_k, distinct_passages, hit_of, metadata_of
from .rerank import LexicalRerank
from .verification import differences_in_sample

Progress = Callable[[int, int], None]
"""Called with the number of passages done and the number of all."""
Where = Mapping[str, Any]
"""A metadata filter in Chroma's ``where`` language."""

BATCH = 256
"""Passages embedded, written and counted in one go: the most that an interruption costs."""
PAGE = 2000
FINGERPRINT_KEY = "lsb_rag:fingerprint"
UNITS_KEY = "lsb_rag:units"


class PassageStore:
    """One persistent Chroma collection of passages, in cosine space.

    :param path: Folder of the database; made if it is not there.
    :param name: Name of the collection; made if it is not there.
    :param encoder: What embeds the passages. By default the backbone the collection was made with, for a new one
        the embedded all-MiniLM-L6-v2; loaded when first needed.
    :param create: False refuses a collection that is not there.
    :raises CollectionNotFoundError: With ``create=False``, when there is no such collection.
    :raises FingerprintMismatchError: When the collection's vectors come from another backbone than `encoder`'s; from
        the first use of the encoder.
    :raises StoreError: When Chroma cannot open the database or refuses the name.
    """

    def __init__(
        self, path: str | Path, name: str, encoder: LexSemBridgeEncoder | None = None, *, create: bool = True
    ) -> None:
        self.path = Path(path)
        self.name = name
        self._given_encoder = encoder
        if not create and not (self.path / "chroma.sqlite3").is_file():
            raise not_found(name, self.path)
        client = open_client(self.path)
        collection = existing_collection(client, name, self.path)
        if collection is None:
            if not create:
                raise not_found(name, self.path)
            encoder = self._given_encoder = encoder or LexSemBridgeEncoder(EMBEDDED_NAME)
            made_with = {FINGERPRINT_KEY: json.dumps(asdict(encoder.fingerprint)), UNITS_KEY: encoder.units}
            collection = create_collection(client, name, made_with)
        self.collection = collection

    def __len__(self) -> int:
        with chroma_errors("Counting the passages"):
            return self.collection.count()

    def __repr__(self) -> str:
        return f"PassageStore({str(self.path)!r}, {self.name!r}, {len(self)} passages)"

    # -- what it was made with ----------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> Fingerprint | None:
        """The fingerprint the collection was made with; None for one that another program made."""
        kept = (self.collection.metadata or {}).get(FINGERPRINT_KEY)
        try:
            return Fingerprint(**json.loads(cast(str, kept))) if kept else None
        except (TypeError, ValueError):
            return None

    @property
    def units(self) -> UnitKind | None:
        """The lexical units the collection was made with; None for one that another program made."""
        return cast("UnitKind | None", (self.collection.metadata or {}).get(UNITS_KEY))

    @cached_property
    def encoder(self) -> LexSemBridgeEncoder:
        """The encoder, checked against the collection.

        :raises FingerprintMismatchError: When the collection's vectors come from another backbone.
        """
        kept = self.fingerprint
        encoder = self._load_encoder(kept.backbone if kept else EMBEDDED_NAME)
        differences = kept.differences(encoder.fingerprint) if kept else differences_in_sample(self.collection, encoder)
        if differences:
            theirs = kept.backbone if kept else "another program"
            raise FingerprintMismatchError(
                f"The collection {self.name!r} was made with {theirs}, which is not the backbone at hand, "
                f"{encoder.name} ({'; '.join(differences)}). Open it with its own backbone, or index into a new "
                "collection; nothing was changed."
            )
        return encoder

    def _load_encoder(self, backbone: str) -> LexSemBridgeEncoder:
        if self._given_encoder is None:
            if backbone == UNNAMED:
                raise BackboneError(
                    f"The collection {self.name!r} was made with a model that was loaded by hand, so it cannot be "
                    "found by name; give it as encoder=LexSemBridgeEncoder(model)."
                )
            self._given_encoder = LexSemBridgeEncoder.open(backbone, units=self.units)
        return self._given_encoder

    # -- writing ------------------------------------------------------------------------------------------------

    def add(self, passages: Iterable[str | Passage], *, progress: Progress | None = None) -> int:
        """Embed and store passages, in batches. What is stored already with the same content is not embedded again.

        An id that is stored with other content is replaced. An interrupted call keeps its finished batches, so the
        same call again goes on from there.

        :param passages: Passages, or texts that get an id from their content.
        :return: How many passages were embedded.
        :raises InvalidInputError: For a blank passage, or an id given twice with different content; nothing is stored.
        :raises InvalidTypeError: For anything but strings and passages; nothing is stored.
        :raises StoreError: When Chroma fails; the batches before are stored.
        """
        distinct = distinct_passages(passages)
        embedded = 0
        for start in range(0, len(distinct), BATCH):
            batch = distinct[start : start + BATCH]
            embedded += self._add_batch(batch)
            if progress:
                progress(start + len(batch), len(distinct))
        return embedded

    def _add_batch(self, batch: Sequence[Passage]) -> int:
        with chroma_errors("Reading the stored passages"):
            found = self.collection.get([passage.id for passage in batch], include=["documents", "metadatas"])
        stored = {
            id: (document, dict(metadata or {}))
            for id, document, metadata in zip(
                found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True
            )
        }
        fresh = [p for p in batch if p.id not in stored or stored[p.id][0] != p.content]
        relabelled = [p for p in batch if p.id in stored and p not in fresh and stored[p.id][1] != metadata_of(p)]
        old_metadata = {id: metadata for id, (_, metadata) in stored.items()}
        if fresh:
            contents = [passage.content for passage in fresh]
            vectors = self.encoder.encode_document(contents)
            replaced = [passage.id for passage in fresh if passage.id in stored]
            with self.fitted.changing(len(fresh) - len(replaced)) as change:
                change.remove(replaced)
                self._upsert(fresh, vectors, old_metadata)
                change.add(contents, vectors)
        if relabelled:
            self._upsert(relabelled, self.vectors([passage.id for passage in relabelled]), old_metadata)
        return len(fresh)

    def _upsert(self, passages: Sequence[Passage], vectors: Matrix, old: Mapping[str, Mapping[str, object]]) -> None:
        # Chroma merges metadata into what is there, and refuses {}: a key goes when it is set to None.
        metadatas: list[Any] = [
            {**dict.fromkeys(old.get(passage.id, ())), **metadata_of(passage)} or None for passage in passages
        ]
        with chroma_errors("Storing passages"):
            self.collection.upsert(
                ids=[passage.id for passage in passages],
                embeddings=vectors,
                documents=[passage.content for passage in passages],
                metadatas=metadatas,
            )

    def delete(self, ids: Sequence[str]) -> int:
        """Remove passages by id; unknown ids are passed over.

        :return: How many were removed.
        :raises InvalidTypeError: For a single string in place of a list.
        :raises StoreError: When Chroma fails.
        """
        if isinstance(ids, str):
            raise InvalidTypeError("delete() takes a list of ids; put a single one in brackets.")
        removed = 0
        for batch in _parts(list(dict.fromkeys(ids)), BATCH):
            with chroma_errors("Deleting passages"):
                present = self.collection.get(batch, include=[])["ids"]
            if present:
                with self.fitted.changing(-len(present)) as change:
                    change.remove(present)
                    with chroma_errors("Deleting passages"):
                        self.collection.delete(present)
            removed += len(present)
        return removed

    # -- reading ------------------------------------------------------------------------------------------------

    def ids(self, where: Where | None = None) -> list[str]:
        """Ids of all passages, or of those that a metadata filter selects."""
        with chroma_errors("Listing passages"):
            return self.collection.get(where=_where(where), include=[])["ids"]

    def vectors(self, ids: Sequence[str]) -> Matrix:
        """Stored vectors in the order of `ids`, float32 of shape ``[n, d]``.

        :raises InvalidInputError: For an id that is not stored.
        """
        by_id: dict[str, Any] = {}
        for part in _parts(ids, PAGE):
            with chroma_errors("Reading vectors"):
                found = self.collection.get(list(part), include=["embeddings"])
            by_id.update(zip(found["ids"], cast(Any, found["embeddings"]), strict=True))
        missing = [id for id in ids if id not in by_id]
        if missing:
            raise InvalidInputError(f"There is no passage {missing[0]!r} in the collection {self.name!r}.")
        return np.asarray([by_id[id] for id in ids], np.float32).reshape(len(ids), -1)

    def text(self, id: str) -> str:
        """The stored text of one passage.

        :raises InvalidInputError: When it is not stored.
        """
        with chroma_errors("Reading a passage"):
            documents = self.collection.get([id], include=["documents"])["documents"]
        if not documents:
            raise InvalidInputError(f"There is no passage {id!r} in the collection {self.name!r}.")
        return documents[0] or ""

    def query(self, vector: Matrix, k: int = 5, where: Where | None = None) -> list[Hit]:
        """The `k` passages nearest to a query vector; fewer where the collection or the filter holds fewer.

        :param vector: float32, shape ``[d]``.
        :param where: Metadata filter in Chroma's language.
        :return: Hits by falling cosine similarity; equal ones by id.
        :raises InvalidInputError: For a k below 1, a vector of another width or one that is not finite.
        :raises StoreError: When Chroma fails.
        """
        k = checked_k(k)
        vector = np.asarray(vector, np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise InvalidInputError("A query vector must be one row of finite numbers.")
        with chroma_errors(f"Searching the collection {self.name!r}"):
            found = self.collection.query(
                query_embeddings=vector[None],
                n_results=k,
                where=_where(where),
                include=["distances", "documents", "metadatas"],
            )
        rows = zip(
            found["ids"][0],
            (found["distances"] or [[]])[0],
            (found["documents"] or [[]])[0],
            (found["metadatas"] or [[]])[0],
            strict=True,
        )
        hits = [hit_of(id, 1.0 - distance, document, metadata) for id, distance, document, metadata in rows]
        return sorted(hits, key=lambda hit: (-hit.score, hit.id))

    # -- fitted -------------------------------------------------------------------------------------------------

    @cached_property
    def fitted(self) -> FittedStatistics:
        """The collection's statistics and what keeps them current."""
        return FittedStatistics(self.collection, self._statistics_folder, self.encoder)

    def fit(self, *, progress: Progress | None = None) -> CorpusBridge:
        """The bridge, its statistics brought up to date first: read from their file or fitted from what is stored."""
        return self.fitted.bridge(progress)

    def refresh(self, *, progress: Progress | None = None) -> CorpusBridge:
        """Fit again from what is stored, whatever is known; for changes in place by another program."""
        self.fitted.forget()
        return self.fit(progress=progress)

    @property
    def statistics_bytes(self) -> int:
        """Size of the statistics files kept beside this collection; 0 before the first fit."""
        return sum(file.stat().st_size for file in self._statistics_folder.glob(f"{self.collection.id}-*.safetensors"))

    @property
    def _statistics_folder(self) -> Path:
        return self.path / "lsb_rag"

    @property
    def bridge(self) -> CorpusBridge:
        """The corpus-fitted bridge; :meth:`fit` without progress."""
        return self.fit()

    @property
    def rerank(self) -> LexicalRerank:
        """The lexical rerank over the collection's statistics."""
        self.fit()
        return self.fitted.rerank


def _parts(items: Sequence[str], size: int) -> Iterator[list[str]]:
    """Consecutive parts of `items`: SQLite takes no more than some 32,000 at once."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _where(where: Where | None) -> Any:
    return dict(where) if where else None
