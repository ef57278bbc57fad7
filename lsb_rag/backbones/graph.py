"""An exported backbone: embeds without PyTorch."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BackboneError, InvalidInputError
from ..lexical.unread import UnreadShare
from .base import Fingerprint, Matrix
from .onnx_graph import OnnxGraph, Tokens, threads
from .openvino import OpenVinoGraph, has_openvino, multiplies_bfloat16
from .passages import PassageEncoding
from .precision import Computation, computation_for, default_device
from .sentence_transformer import fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

AT_ONCE = 1024
"""Passages that are tokenised together."""
KEPT_BYTES = 8 * 2**20
"""Most memory for the vectors of recent queries: thousands, as every arm of an evaluation asks the same ones."""
SAME = 0.999
"""Least cosine of OpenVINO's vectors to those in float32 for it to be used."""

logger = logging.getLogger(__name__)


class GraphBackbone:
    """An exported sentence-transformers model as a :class:`~lsb_rag.backbones.base.Backbone`.

    Queries are computed in float32 by ONNX Runtime, and so are passages. Where the processor multiplies bfloat16 and
    OpenVINO is installed, it computes the passages. Either way the vector of a text depends on the text alone, not on
    the texts beside it or before it.

    :param graph: The graph.
    :param name: Name or folder of the model.
    :param precision: See :func:`graph_computation`; with `load` :func:`~lsb_rag.backbones.precision.computation_for`.
    :param load: Loads the model, where PyTorch is to embed its passages. It does so for the first passage.
    """

    def __init__(
        self, graph: OnnxGraph, name: str, precision: str, load: Callable[[], SentenceTransformer] | None = None
    ) -> None:
        self.graph = graph
        self.name = name
        self.precision = precision
        self._load = load
        self.fingerprint: Fingerprint = replace(graph.fingerprint, backbone=name)
        self._queries: OrderedDict[str, Matrix] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.Lock()
        """Held while what embeds passages is made; queries do not wait for that."""

    def __repr__(self) -> str:
        return f"GraphBackbone({self.name!r}, precision={self.precision!r})"

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return self.fingerprint.dimension

    @property
    def max_length(self) -> int:
        """Longest input in tokens, 0 without a limit."""
        return self.fingerprint.max_length or 0

    @property
    def spread(self) -> float:
        """How far apart the vectors of unrelated texts lie, see :func:`~lsb_rag.backbones.spread.spread_of`."""
        return self.graph.description.spread

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, which cuts at the longest input."""
        return self.graph.tokenizer

    @property
    def vocabulary(self) -> Tokenizer:
        """The tokenizer whose vocabulary tells common words from rare ones."""
        return self.graph.tokenizer

    @cached_property
    def unread(self) -> UnreadShare:
        """How much of a text the model cannot read."""
        return UnreadShare(self.graph.tokenizer, self.graph.description.unknown)

    @property
    def computation(self) -> Computation:
        """The precision and the engine that passages are embedded with."""
        if self._load is None:
            return graph_computation(self.precision)
        return computation_for(self.precision, default_device())

    def embed_passages(
        self, texts: Sequence[str], *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`; `batch_size` matters to PyTorch alone."""
        if batch_size is not None and batch_size < 1:
            raise InvalidInputError("batch_size is at least 1; leave it out for what suits the device.")
        if self._load is not None:
            with self._making:
                by_pytorch = self._by_pytorch
            return by_pytorch(texts, batch_size, show_progress_bar)
        with self._making:
            engine = self._openvino if self.computation.engine == "openvino" else None
        return self._embedded(texts, self.graph.description.passage_prompt, "Passages", show_progress_bar, engine)

    def embed_queries(self, texts: Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False) -> Matrix:
        """See :class:`~lsb_rag.backbones.base.Backbone`. The vectors of recent queries are kept."""
        del batch_size
        with self._lock:
            known = {text: self._queries[text] for text in texts if text in self._queries}
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        vectors = self._embedded(fresh, self.graph.description.query_prompt, "Queries", show_progress_bar)
        known |= {text: vector.copy() for text, vector in zip(fresh, vectors, strict=True)}  # not the whole matrix
        most = KEPT_BYTES // (np.dtype(np.float32).itemsize * self.dimension)
        with self._lock:
            for text in texts:
                self._queries[text] = known[text]
                self._queries.move_to_end(text)
            while len(self._queries) > most:
                self._queries.popitem(last=False)
        return np.stack([known[text] for text in texts]) if texts else vectors

    def forget(self) -> None:
        """Forget the vectors of recent queries, and what was made to embed passages."""
        with self._lock:
            self._queries.clear()
        with self._making:
            for made in ("_openvino", "_by_pytorch"):
                vars(self).pop(made, None)

    @cached_property
    def _by_pytorch(self) -> PassageEncoding:
        """The passages of the model itself."""
        from .pipeline import make_pipeline

        assert self._load is not None  # noqa: S101 - as mypy does not see
        model = self._load()
        self.check_same(model)
        return PassageEncoding(make_pipeline(model), self.precision)

    def check_same(self, model: SentenceTransformer) -> None:
        """Refuse a model with other weights than the graph was exported from.

        :raises BackboneError: For such a model.
        """
        if fingerprint(model, self.name).weights != self.fingerprint.weights:
            raise BackboneError(f"The model {self.name} has changed since this program opened it; open it again.")

    @cached_property
    def _openvino(self) -> OpenVinoGraph | None:
        """The graph in bfloat16; None where OpenVINO cannot compute it."""
        try:
            graph = OpenVinoGraph(self.graph)
            tokens = self.graph.tokens(["A few words.", "A text that is longer. " * 20], "")
            for numbers, vectors in graph(tokens):
                cosine = min(float(row @ self.graph(tokens[n])[0]) for n, row in zip(numbers, vectors, strict=True))
                if not cosine >= SAME:
                    raise ValueError(f"its vectors have a cosine of {cosine:.4f} to those in float32")
        except Exception as error:  # whatever it cannot compile or compute
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            logger.warning("OpenVINO cannot run this backbone, so ONNX Runtime does: %s", reason)
            return None
        return graph

    def _embedded(
        self, texts: Sequence[str], prompt: str, what: str, show_progress_bar: bool, engine: OpenVinoGraph | None = None
    ) -> Matrix:
        from tqdm.auto import tqdm

        if len(texts) == 1 and engine is None:  # in a fraction of the time that the rest would add
            return self.graph(self.graph.tokens(texts, prompt)[0])
        vectors = np.empty((len(texts), self.dimension), np.float32)
        with tqdm(total=len(texts), desc=what, disable=not show_progress_bar) as bar:
            for begin in range(0, len(texts), AT_ONCE):
                tokens = self.graph.tokens(texts[begin : begin + AT_ONCE], prompt)
                for numbers, rows in (engine or self._one_by_one)(tokens):
                    vectors[[begin + number for number in numbers]] = rows
                    bar.update(len(numbers))
        return vectors

    def _one_by_one(self, tokens: Sequence[Tokens]) -> Iterator[tuple[list[int], Matrix]]:
        with ThreadPoolExecutor(threads()) as pool:
            for number, row in enumerate(pool.map(self.graph, tokens)):
                yield [number], row


def graph_computation(precision: str) -> Computation:
    """Return how a graph computes passages."""
    if precision != "float32" and multiplies_bfloat16():
        return Computation("bfloat16", "openvino")
    return Computation("float32", "onnxruntime")


def suits_graph(precision: str) -> bool:
    """Whether a graph can compute passages in a precision; in the others, PyTorch does."""
    return precision in ("auto", "float32") or (precision == "bfloat16" and has_openvino() and multiplies_bfloat16())
