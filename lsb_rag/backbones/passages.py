"""Embedding of passages with PyTorch: batches of similar length, reduced precision."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .precision import Computation, computation_for

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

PLAIN_BATCH = 32
"""Texts per batch by default, as in sentence-transformers."""
CPU_BATCH = 16
"""Larger batches are no faster on a processor, and mix texts of less similar length."""
GPU_BATCH = 512
"""To begin with; halved as long as a batch does not fit into the GPU's memory."""


class PassageEncoding:
    """Embeds the passages of one pipeline. Threads may share it.

    :param model: The pipeline, see :mod:`lsb_rag.backbones.pipeline`.
    :param precision: See :func:`~lsb_rag.backbones.precision.computation_for`.
    """

    def __init__(self, model: SentenceTransformer, precision: str) -> None:
        self._model = model
        self.precision = precision

    @property
    def computation(self) -> Computation:
        """How passages are embedded on the pipeline's device."""
        return computation_for(self.precision, str(self._model.device), next(self._model.parameters()).dtype)

    def __call__(self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool) -> NDArray[np.float32]:
        """Return the vectors of `texts`, float32 of shape ``[n, d]`` and length 1.

        :param batch_size: Texts per batch; None takes what suits the device, on a GPU as many as fit into its memory.
        :raises InvalidInputError: When `batch_size` is below 1.
        """
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError("batch_size is at least 1; leave it out for what suits the device.")
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 0)), np.float32)
        computation = self.computation
        if computation.plain:
            return self._encode_plain(texts, batch_size, show_progress_bar)
        with self._autocast(computation.precision):
            vectors = self._encode_by_length(texts, batch_size, show_progress_bar)
        overflown = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(overflown):  # the range of float16
            vectors[overflown] = self._encode_plain([texts[number] for number in overflown.tolist()], batch_size)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)  # the model's own was computed in reduced precision
        return cast("NDArray[np.float32]", vectors / np.where(length > 0, length, 1))

    def _encode_plain(
        self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool = False
    ) -> NDArray[np.float32]:
        options: dict[str, Any] = {"batch_size": batch_size or PLAIN_BATCH, "show_progress_bar": show_progress_bar}
        return np.asarray(self._model.encode_document(list(texts), **options), np.float32)

    def _autocast(self, precision: str) -> AbstractContextManager[Any]:
        """Return a context that computes matrix products in `precision`, and what needs more in float32."""
        import torch

        if precision == str(next(self._model.parameters()).dtype).removeprefix("torch."):
            return nullcontext()
        return torch.autocast(self._model.device.type, dtype=getattr(torch, precision))

    def _encode_by_length(
        self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool
    ) -> NDArray[np.float32]:
        import torch
        from tqdm.auto import tqdm

        size = batch_size or (CPU_BATCH if self._model.device.type == "cpu" else GPU_BATCH)
        order = np.argsort([-length for length in self._lengths(texts)], kind="stable")
        vectors = np.empty((len(texts), int(self._model.get_embedding_dimension() or 0)), np.float32)
        done = 0
        with tqdm(total=len(texts), desc="Passages", disable=not show_progress_bar) as bar:
            while done < len(texts):
                batch = order[done : done + size]
                try:
                    vectors[batch] = self._model.encode_document(
                        [texts[number] for number in batch],
                        batch_size=size,
                        show_progress_bar=False,
                        convert_to_numpy=True,
                    )
                except torch.cuda.OutOfMemoryError:
                    if size == 1:
                        raise
                    size = (size + 1) // 2
                    torch.cuda.empty_cache()
                else:
                    done += len(batch)
                    bar.update(len(batch))
        return vectors

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the lengths in tokens. Batches by characters, which predict tokens badly, would be a fifth padding."""
        try:
            return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        except Exception:  # a tokenizer with Python parts cannot be copied; the order is for speed alone
            return list(map(len, texts))

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """A copy, because every call of the model resets truncation and padding of the original."""
        from tokenizers import Tokenizer

        copied = Tokenizer.from_str(cast(Any, self._model.tokenizer).backend_tokenizer.to_str())
        copied.no_padding()
        # A length such as 10**30 says that there is no limit.
        copied.enable_truncation(min(int(self._model.max_seq_length or 512), 1 << 20))
        return copied
