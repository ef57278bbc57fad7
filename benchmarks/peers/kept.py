"""Vectors of the sets by backbone, each embedded once and kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.models import e5, mpnet
from benchmarks.peers.sets import Set
from lsb_rag import LexSemBridgeEncoder, PassageStore

BACKBONES = ("minilm", "mpnet", "e5")
BATCH = 256
"""Passages embedded between two writes."""


def encoder_of(backbone: str, models: Path | None) -> LexSemBridgeEncoder:
    """Return the encoder of a backbone, computed in float32.

    :param models: The folder that ``python -m benchmarks.models`` fills, for all but ``minilm``.
    """
    if backbone == "minilm":
        return LexSemBridgeEncoder(precision="float32")
    if models is None:
        raise SystemExit(f"{backbone} needs --models, the folder that `python -m benchmarks.models` fills.")
    if backbone == "mpnet":
        return LexSemBridgeEncoder(mpnet(models), precision="float32")
    engine = e5(models)
    return LexSemBridgeEncoder(engine.passage, embed_query=lambda query: engine.query([query])[0], name="e5-small-q4")


@dataclass(frozen=True)
class Collection:
    """A set, indexed over one backbone.

    :param folder: Where its vectors are kept: a database for all sets of the backbone, and a file for queries.
    """

    one: Set
    encoder: LexSemBridgeEncoder
    folder: Path

    @cached_property
    def store(self) -> PassageStore:
        """The passages as LexSemBridge stores them."""
        return PassageStore(self.folder / "db", f"set-{self.one.name}", self.encoder)

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the passages."""
        return [passage.id for passage in self.one.passages]

    @cached_property
    def texts(self) -> list[str]:
        """What is embedded of each passage, and what every lexical index reads."""
        return [passage.content for passage in self.one.passages]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """Vectors of the passages, of length 1, shape ``[n, d]``."""
        return _at_unit_length(self.store.vectors(self.ids))

    @cached_property
    def _queries(self) -> dict[str, NDArray[np.float32]]:
        with np.load(self._queries_file) as kept:
            return dict(zip(kept["texts"].tolist(), kept["vectors"], strict=True))

    @property
    def _queries_file(self) -> Path:
        return self.folder / f"{self.one.name}-queries.npz"

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the kept vector of a query."""
        return self._queries[text]

    def remember_queries(self) -> None:
        """Let the encoder take the kept vectors of queries, so that no arm embeds them again."""
        backbone: Any = self.encoder.backbone
        embed, known = type(backbone).embed_queries, self._queries

        def embed_queries(texts: Sequence[str], **options: Any) -> Any:
            if any(text not in known for text in texts):
                return embed(backbone, texts, **options)
            return np.stack([known[text] for text in texts])

        backbone.embed_queries = embed_queries

    @property
    def is_kept(self) -> bool:
        """Whether all of it is embedded."""
        return self._queries_file.is_file() and len(self.store) == len(self.one.passages)

    def embed(self) -> Iterator[str]:
        """Embed what is not kept yet: passages, queries, sentences. Say after each what it took."""
        start = time.perf_counter()
        passages = sorted(self.one.passages, key=lambda passage: len(passage.content))  # saves padding
        embedded = sum(self.store.add(passages[at : at + BATCH]) for at in range(0, len(passages), BATCH))
        self.store.fit()
        yield f"{embedded} of {len(passages)} passages in {time.perf_counter() - start:.1f} s"
        start = time.perf_counter()
        texts = list(dict.fromkeys(query.text for query in self.one.dataset.queries))
        if not self._queries_file.is_file():
            unfinished = self.folder / "unfinished.npz"
            np.savez(unfinished, texts=np.array(texts), vectors=self.encoder.embed_query(texts))
            unfinished.replace(self._queries_file)
        yield f"{len(texts)} queries in {time.perf_counter() - start:.1f} s"

    def embed_sentences(self) -> str:
        """Embed the sentences that are not kept yet, and say what it took."""
        start = time.perf_counter()
        embedded = self.store.embed_sentences()
        return f"sentences of {embedded} passages in {time.perf_counter() - start:.1f} s"

    @property
    def bytes_beside(self) -> dict[str, int]:
        """Bytes that LexSemBridge keeps beside the vectors."""
        folder = self.folder / "db" / "lsb_rag"
        files = [file for file in folder.glob(f"{self.store.chroma.id}-*") if file.is_file()]
        sentences = sum(file.stat().st_size for file in files if "sentences" in file.name)
        return {"statistics": sum(file.stat().st_size for file in files) - sentences, "sentences": sentences}


def collections(sets: Sequence[Set], backbone: str, kept: Path, models: Path | None) -> list[Collection]:
    """Return the sets over a backbone."""
    encoder = encoder_of(backbone, models)
    return [Collection(one, encoder, kept / backbone) for one in sets]


def _at_unit_length(vectors: Any) -> NDArray[np.float32]:
    vectors = np.asarray(vectors, np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)
