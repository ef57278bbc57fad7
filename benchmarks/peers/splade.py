"""SPLADE-tiny, a learned sparse retriever: its vectors kept, alone and fused with the dense ranking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.models import splade

BATCH = 256


class Splade:
    """SPLADE's vectors of texts, each passage encoded once.

    :param models: The folder that ``python -m benchmarks.models`` fills.
    :param kept: Where vectors of passages are kept, in parts.
    """

    def __init__(self, models: Path, kept: Path) -> None:
        self.models, self._kept = models, kept

    @cached_property
    def model(self) -> Any:
        """The model, loaded when something is to be encoded."""
        from sentence_transformers import SparseEncoder
        from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling

        return SparseEncoder(modules=[MLMTransformer(str(splade(self.models))), SpladePooling("max")], device="cpu")

    def encode(self, texts: Sequence[str], *, queries: bool = False) -> sparse.csr_matrix:
        """Return the sparse vectors of `texts`, shape ``[n, vocabulary]``."""
        encode = self.model.encode_query if queries else self.model.encode_document
        found = encode(list(texts), show_progress_bar=False).coalesce()
        rows, columns = found.indices().numpy()
        return sparse.csr_matrix((found.values().numpy(), (rows, columns)), shape=tuple(found.shape))

    def passages(self, name: str, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return the vectors of a set's passages. After an interruption, a call goes on with the next part."""
        self._kept.mkdir(parents=True, exist_ok=True)
        parts = []
        for at, file in self._parts(name, texts):
            if not file.is_file():
                unfinished = self._kept / "unfinished.npz"
                sparse.save_npz(unfinished, self.encode(texts[at : at + BATCH]), compressed=False)
                unfinished.replace(file)
            parts.append(sparse.load_npz(file))
        return sparse.csr_matrix(sparse.vstack(parts))

    def is_kept(self, name: str, texts: Sequence[str]) -> bool:
        """Whether all passages of a set are encoded."""
        return all(file.is_file() for _, file in self._parts(name, texts))

    def _parts(self, name: str, texts: Sequence[str]) -> list[tuple[int, Path]]:
        return [(at, self._kept / f"{name}-{at:07}.npz") for at in range(0, len(texts), BATCH)]


class SpladeIndex:
    """Search over the sparse vectors of passages."""

    def __init__(self, model: Splade, ids: Sequence[str], vectors: sparse.csr_matrix) -> None:
        self._model, self._ids = model, ids
        self._by_term = vectors.T.tocsr()

    @property
    def bytes(self) -> int:
        """Bytes of the inverted index: a passage number and a weight for each term, in 4 bytes each."""
        return int(self._by_term.nnz * 8 + self._by_term.indptr.nbytes)

    def search(self, queries: Sequence[str], k: int) -> list[dict[str, float]]:
        """Return the `k` best passages of each query that share a term with it, best first, with their scores."""
        return [self._best(vector, k) for vector in self._model.encode(queries, queries=True)]

    def _best(self, query: Any, k: int) -> dict[str, float]:
        weighted = self._by_term[query.indices].multiply(query.data[:, None])
        scores = np.asarray(weighted.sum(axis=0)).ravel()
        order = np.argsort(-scores, kind="stable")[:k]
        return {self._ids[row]: float(scores[row]) for row in order if scores[row] > 0}
