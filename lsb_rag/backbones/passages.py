"""Passages to vectors, fast: batches of like length, reduced precision, a compiled graph."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .precision import Computation, computation_for
from .weights import StateOfWeights, state_of_weights

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from .openvino import TransformerGraph

logger = logging.getLogger(__name__)

PLAIN_BATCH = 32
"""Texts a batch where nothing is chosen, which is sentence-transformers' own default."""
CPU_BATCH = 16
"""More make a processor no faster, and texts of less equal length share a batch."""
GPU_BATCH = 512
"""To begin with; halved for as long as it does not fit into the GPU's memory."""
GRAPH_FROM = 512
"""Passages from which on a graph is worth the seconds that its conversion takes."""
SAME_AS_TORCH = 0.999
"""Least cosine of a graph's vectors to those of PyTorch on one batch, for the graph to be used."""


class PassageEncoding:
    """How the passages of one pipeline are embedded. Threads may share it.

    :param model: The pipeline, see :mod:`lsb_rag.backbones.pipeline`.
    :param precision: See :func:`~lsb_rag.backbones.precision.computation_for`.
    """

    def __init__(self, model: SentenceTransformer, precision: str) -> None:
        self._model = model
        self.precision = precision
        self._weights: StateOfWeights | None = None
        self._embedded = 0
        """Passages, with these weights."""
        self._graph: TransformerGraph | None = None
        self._tried = False
        self._lock = threading.Lock()

    @property
    def computation(self) -> Computation:
        """What it is on the pipeline's device."""
        return computation_for(self.precision, str(self._model.device), next(self._model.parameters()).dtype)

    def __call__(self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool) -> NDArray[np.float32]:
        """Vectors of `texts`, float32 of shape ``[n, d]`` and length 1.

        :param batch_size: Texts a batch; None takes what suits the device, on a GPU as many as its memory takes.
        """
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError("batch_size is at least 1; leave it out for what suits the device.")
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 0)), np.float32)
        computation = self.computation
        if computation.plain:
            return self._plainly(texts, batch_size, show_progress_bar)
        graph = self._compiled(texts, computation) if computation.engine == "openvino" else None
        with nullcontext() if graph else self._reduced(computation.precision):
            vectors = self._by_length(texts, batch_size, show_progress_bar, graph)
        beyond = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(beyond):  # the range of float16, or what the graph was compiled for
            self._graph = None
            vectors[beyond] = self._plainly([texts[number] for number in beyond.tolist()], batch_size)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)  # computed in reduced precision too
        return cast("NDArray[np.float32]", vectors / np.where(length > 0, length, 1))

    def forget(self) -> None:
        """Convert the backbone anew, should it be converted."""
        with self._lock:
            self._weights = None

    def _plainly(
        self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool = False
    ) -> NDArray[np.float32]:
        options: dict[str, Any] = {"batch_size": batch_size or PLAIN_BATCH, "show_progress_bar": show_progress_bar}
        return np.asarray(self._model.encode_document(list(texts), **options), np.float32)

    def _reduced(self, precision: str) -> AbstractContextManager[Any]:
        """Matrix products in `precision`, what needs more in float32."""
        import torch

        if precision == str(next(self._model.parameters()).dtype).removeprefix("torch."):
            return nullcontext()
        return torch.autocast(self._model.device.type, dtype=getattr(torch, precision))

    def _by_length(
        self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool, graph: TransformerGraph | None
    ) -> NDArray[np.float32]:
        import torch
        from tqdm.auto import tqdm

        size = batch_size or (CPU_BATCH if self._model.device.type == "cpu" else GPU_BATCH)
        order = np.argsort([-length for length in self._lengths(texts)], kind="stable")
        rows = np.empty((len(texts), int(self._model.get_embedding_dimension() or 0)), np.float32)
        done = 0
        with tqdm(total=len(texts), desc="Passages", disable=not show_progress_bar) as bar:
            while done < len(texts):
                part = order[done : done + size]
                try:
                    rows[part] = self._model.encode_document(
                        [texts[number] for number in part],
                        batch_size=size,
                        show_progress_bar=False,
                        convert_to_numpy=True,
                        graph=graph,
                    )
                except torch.cuda.OutOfMemoryError:
                    if size == 1:
                        raise
                    size = (size + 1) // 2
                    torch.cuda.empty_cache()
                else:
                    done += len(part)
                    bar.update(len(part))
        return rows

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """In tokens: characters tell them badly, and 16 texts that only look alike are a fifth padding."""
        try:
            return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
        except Exception:  # a tokenizer with parts of its own cannot be copied; the order is for speed alone
            return [*map(len, texts)]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """A copy, as truncation and padding of the model's own are set anew at every call."""
        from tokenizers import Tokenizer

        own = Tokenizer.from_str(cast(Any, self._model.tokenizer).backend_tokenizer.to_str())
        own.no_padding()
        own.enable_truncation(
            min(int(self._model.max_seq_length or 512), 1 << 20)
        )  # 10**30 says that there is no limit
        return own

    def _compiled(self, texts: Sequence[str], computation: Computation) -> TransformerGraph | None:
        """The graph for the weights as they are now; None as long as it is not worth it, or where it cannot be made."""
        with self._lock:
            if (weights := state_of_weights(self._model.modules())) != self._weights:
                self._weights, self._embedded, self._graph, self._tried = weights, 0, None, False
            self._embedded += len(texts)
            if not self._tried and self._embedded >= GRAPH_FROM:
                self._graph, self._tried = self._convert(texts, computation.precision), True
            return self._graph

    def _convert(self, texts: Sequence[str], precision: str) -> TransformerGraph | None:
        import torch

        from .openvino import TransformerGraph

        model: Any = self._model
        chosen = sorted(texts, key=len)[:: max(1, len(texts) // 4)][-4:]
        try:
            with torch.inference_mode():
                example = model.preprocess(["A few words.", chosen[-1]], task="document")
                graph = TransformerGraph(model[0].auto_model, example, precision)
                # Of other number and lengths than the example, so that nothing of it is left in the graph.
                features = model.preprocess([*chosen, "A word", chosen[-1] + " and more."], task="document")
                theirs = model(dict(features), task="document")
                ours = model(dict(features), task="document", graph=graph)
                if lacking := set(theirs) - set(ours):
                    raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
                vectors = (found["sentence_embedding"].float() for found in (ours, theirs))
                cosine = torch.nn.functional.cosine_similarity(*vectors).min().item()
            if not cosine >= SAME_AS_TORCH:
                raise ValueError(f"its vectors have a cosine of {cosine:.4f} to PyTorch's")
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            logger.warning("OpenVINO cannot run this backbone, so PyTorch does: %s", reason)
            return None
        return graph
