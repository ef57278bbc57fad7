"""Queries to vectors; what the backbone makes of a single one is kept for the next time it is asked."""

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
LARGEST_KEPT = 64 * 1024
"""In bytes, of one query: what is longer nobody types twice."""
OF_TOKENS = ("token_embeddings", "input_ids", "attention_mask", "token_type_ids")


class QueryEncoding:
    """How the queries of one pipeline are embedded. Threads may share it.

    The modulation is computed at every call, so that a bridge acts as it is now; the backbone only once for each of the
    last :data:`QUERIES_KEPT` single queries, as long as its weights stay as they are.

    :param model: The pipeline, see :mod:`lsb_rag.backbones.pipeline`.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._modules = [*model.modules()]
        self._weights: StateOfWeights | None = None
        self._kept: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Compute every query anew."""
        with self._lock:
            self._modules = [*self._model.modules()]
            self._kept.clear()

    def __call__(
        self,
        texts: Sequence[str],
        bridge: Bridge | LearnedBridge | None,
        strength: float | None,
        batch_size: int,
        show_progress_bar: bool,
    ) -> NDArray[np.float32]:
        """The vectors of `texts`, float32 of shape ``[n, d]``: those that ``encode_query`` of the pipeline gives."""
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
        """What the modulation needs of the backbone for `text` and `bridge`; in inference mode."""
        import torch

        from ..bridge.learned import LearnedBridge

        of_tokens = self._modulation.needs_offsets or head_of(bridge) is not None or isinstance(bridge, LearnedBridge)
        prompt = prompt_for(self._model, "query")
        if torch.is_autocast_enabled(self._model.device.type):
            return self._computed(text, prompt, of_tokens)
        asked = text, prompt, of_tokens, self._model.max_seq_length
        with self._lock:
            if (weights := state_of_weights(self._modules)) != self._weights:
                self._kept.clear()
                self._weights = weights
            if asked in self._kept:
                self._kept.move_to_end(asked)
                return dict(self._kept[asked])
        found = self._computed(text, prompt, of_tokens)
        if sum(value.nbytes for value in found.values() if isinstance(value, torch.Tensor)) <= LARGEST_KEPT:
            with self._lock:
                if weights == self._weights:
                    self._kept[asked] = found
                if len(self._kept) > QUERIES_KEPT:
                    self._kept.popitem(last=False)
        return dict(found)

    def _computed(self, text: str, prompt: str, of_tokens: bool) -> dict[str, Any]:
        from sentence_transformers.util import batch_to_device

        if any(module.training for module in self._model.modules()):  # those that came since, too
            self._model.eval()
        features = self._model.preprocess([text], prompt=prompt or None, task="query", with_offsets=of_tokens)
        features = batch_to_device(features, self._model.device)
        features = self._model(features, task="query", strength=0)
        return features if of_tokens else {name: features[name] for name in features if name not in OF_TOKENS}

    @property
    def _modulation(self) -> QueryModulation:
        return cast("QueryModulation", self._model[-1])


def prompt_for(model: SentenceTransformer, *kinds: str) -> str:
    """What sentence-transformers puts before a text: the first prompt there is of these kinds, else the default one.

    It looks for ``query`` before a query, for ``document``, ``passage`` and ``corpus`` before a passage.
    """
    prompts = model.prompts or {}
    name = next((name for name in kinds if name in prompts), model.default_prompt_name)
    return prompts.get(name or "") or ""
