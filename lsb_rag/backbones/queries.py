"""Embedding of queries, with a cache of the backbone's output for recent single queries."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..bridge.base import Bridge
from ..bridge.corpus import head_of
from .weights import StateOfWeights, state_of_weights

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from ..bridge.learned import LearnedBridge
    from ..modules import QueryModulation

QUERIES_KEPT = 256
"""Number of single queries that are cached."""
LARGEST_KEPT = 64 * 1024
"""Largest output of one query that is cached, in bytes; nobody types a longer query twice."""
OF_TOKENS = ("token_embeddings", "input_ids", "attention_mask", "token_type_ids")


class QueryEncoding:
    """Embeds the queries of one pipeline. Threads may share it.

    The modulation is computed at every call, so that a bridge acts as it is now. The backbone's output is cached for
    the last :data:`QUERIES_KEPT` single queries, as long as its weights stay unchanged.

    :param model: The pipeline, see :mod:`lsb_rag.backbones.pipeline`.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._modules = list(model.modules())
        self._weights: StateOfWeights | None = None
        self._cache: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Forget the cached queries."""
        with self._lock:
            self._modules = list(self._model.modules())
            self._cache.clear()

    def __call__(
        self,
        texts: Sequence[str],
        bridge: Bridge | LearnedBridge | None,
        strength: float | None,
        batch_size: int,
        show_progress_bar: bool,
    ) -> NDArray[np.float32]:
        """Return the vectors of `texts`, float32 of shape ``[n, d]``, as the pipeline's ``encode_query`` gives them."""
        import torch

        if not texts:
            return np.zeros((0, int(self._model.get_embedding_dimension() or 0)), np.float32)
        if len(texts) > 1:
            given: dict[str, Any] = {"bridge": bridge, "strength": strength}
            options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
            options |= {"batch_size": batch_size, "show_progress_bar": show_progress_bar}
            return np.asarray(self._model.encode_query(list(texts), **options), np.float32)
        active: Any = self._modulation.bridge if bridge is None else bridge
        with torch.inference_mode():
            features = self.features(texts[0], active)
            modulated = self._modulation(features, task="query", bridge=active, strength=strength)
            return cast("NDArray[np.float32]", modulated["sentence_embedding"].float().cpu().numpy().copy())

    def features(self, text: str, bridge: Bridge | LearnedBridge | None) -> dict[str, Any]:
        """Return the backbone's output that the modulation needs for `text` and `bridge`; call in inference mode."""
        import torch

        from ..bridge.learned import LearnedBridge

        of_tokens = self._modulation.needs_offsets or head_of(bridge) is not None or isinstance(bridge, LearnedBridge)
        prompt = prompt_for(self._model, "query")
        if torch.is_autocast_enabled(self._model.device.type):
            return self._compute(text, prompt, of_tokens)
        key = text, prompt, of_tokens, self._model.max_seq_length
        with self._lock:
            weights = state_of_weights(self._modules)
            if weights != self._weights:
                self._cache.clear()
                self._weights = weights
            if key in self._cache:
                self._cache.move_to_end(key)
                return dict(self._cache[key])
        features = self._compute(text, prompt, of_tokens)
        size = sum(value.nbytes for value in features.values() if isinstance(value, torch.Tensor))
        if size <= LARGEST_KEPT:
            with self._lock:
                if weights == self._weights:
                    self._cache[key] = features
                if len(self._cache) > QUERIES_KEPT:
                    self._cache.popitem(last=False)
        return dict(features)

    def _compute(self, text: str, prompt: str, of_tokens: bool) -> dict[str, Any]:
        from sentence_transformers.util import batch_to_device

        if any(module.training for module in self._model.modules()):  # including modules that were added since
            self._model.eval()
        features = self._model.preprocess([text], prompt=prompt or None, task="query", with_offsets=of_tokens)
        features = batch_to_device(features, self._model.device)
        features = self._model(features, task="query", strength=0)
        return features if of_tokens else {name: features[name] for name in features if name not in OF_TOKENS}

    @property
    def _modulation(self) -> QueryModulation:
        return cast("QueryModulation", self._model[-1])


def prompt_for(model: SentenceTransformer, *kinds: str) -> str:
    """Return the prompt that sentence-transformers puts before a text: the first defined of `kinds`, else the default.

    The kinds are ``query`` for a query, and ``document``, ``passage`` and ``corpus`` for a passage.
    """
    prompts = model.prompts or {}
    name = next((name for name in kinds if name in prompts), model.default_prompt_name)
    return prompts.get(name or "") or ""
