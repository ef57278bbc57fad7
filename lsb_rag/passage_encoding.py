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

from .backbone import state_of_weights
from .precision import Computation, computation_for

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from .openvino_graph import TransformerGraph

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
"""Least cosine of a graph's hidden states to those of PyTorch on one batch, for the graph to be used."""


class PassageEncoding:
    """How the passages of one pipeline are embedded. Threads may share it.

    :param model: The pipeline, see :mod:`lsb_rag.pipeline`.
    :param precision: See :func:`~lsb_rag.precision.computation_for`.
    """

    def __init__(self, model: SentenceTransformer, precision: str) -> None:
        self._model = model
        self.precision = precision
        self._embedded = 0
        self._graph: tuple[Any, TransformerGraph | None] = None, None
        self._lock = threading.Lock()

    @property
    def computation(self) -> Computation:
        """What it is on the pipeline's device."""
        return computation_for(self.precision, str(self._model.device), next(self._model.parameters()).dtype)

    def __call__(self, texts: Sequence[str], batch_size: int | None, show_progress_bar: bool) -> NDArray[np.float32]:
        """Vectors of `texts`, float32 of shape ``[n, d]`` and length 1.

        :param batch_size: Texts a batch; None takes what suits the device, on a GPU as many as its memory takes.
        """
        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 0)), np.float32)
        computation = self.computation
        if computation.plain:
            options: dict[str, Any] = {"batch_size": batch_size or PLAIN_BATCH, "show_progress_bar": show_progress_bar}
            return np.asarray(self._model.encode_document(list(texts), **options), np.float32)
        self._embedded += len(texts)
        graph = self._compiled(texts, computation) if computation.engine == "openvino" else None
        with _reduced(self._model.device.type, computation.precision) if graph is None else nullcontext():
            vectors = self._by_length(texts, batch_size, show_progress_bar, graph)
        # The norm is computed in reduced precision too.
        return cast("NDArray[np.float32]", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

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
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """A copy, as truncation and padding of the model's own are set anew at every call."""
        from tokenizers import Tokenizer

        own = Tokenizer.from_str(cast(Any, self._model.tokenizer).backend_tokenizer.to_str())
        own.no_padding()
        own.enable_truncation(int(self._model.max_seq_length or 512))
        return own

    def _compiled(self, texts: Sequence[str], computation: Computation) -> TransformerGraph | None:
        """The graph for the weights as they are now; None as long as it is not worth it, or where it cannot be made."""
        weights = state_of_weights(self._model)
        with self._lock:
            made_of, graph = self._graph
            if made_of != weights and self._embedded >= GRAPH_FROM:
                graph = self._convert(texts, computation.precision)
                self._graph = weights, graph
            return graph if self._graph[0] == weights else None

    def _convert(self, texts: Sequence[str], precision: str) -> TransformerGraph | None:
        import torch

        from .openvino_graph import TransformerGraph

        transformer = cast(Any, self._model[0])
        texts = [*sorted(texts, key=len)[:: max(1, len(texts) // 4)], "short"][-5:]
        try:
            with torch.inference_mode():
                features = self._model.preprocess(texts, task="document")
                graph = TransformerGraph(transformer.auto_model, features, precision)
                ours, mask = graph(features), features["attention_mask"].bool()
                theirs = transformer(dict(features), task="document")["token_embeddings"]
                cosine = torch.nn.functional.cosine_similarity(ours[mask], theirs[mask], dim=-1).min().item()
            if not cosine >= SAME_AS_TORCH:
                raise ValueError(f"its hidden states have a cosine of {cosine:.4f} to PyTorch's")
        except Exception as error:
            logger.warning("OpenVINO cannot run this backbone, so PyTorch does: %s", str(error).splitlines()[0][:200])
            return None
        return graph


def _reduced(device: str, precision: str) -> AbstractContextManager[Any]:
    """Matrix products in `precision`, what needs more in float32."""
    import torch

    return nullcontext() if precision == "float32" else torch.autocast(device, dtype=getattr(torch, precision))
