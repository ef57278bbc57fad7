"""Queries to vectors; what the backbone makes of a single one is kept for the next time it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .backbone import prompt_for, state_of_weights
from .bridge import Bridge, LearnedBridge, head_of

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from .modules import QueryModulation

QUERIES_KEPT = 256
LONGEST_KEPT = 1000
"""In characters: of a long query the backbone's output is large, and nobody types it twice."""
OF_TOKENS = ("token_embeddings", "input_ids", "attention_mask", "token_type_ids")


class QueryEncoding:
    """How the queries of one pipeline are embedded. Threads may share it.

    The modulation is computed at every call, so that a bridge acts as it is now; the backbone only once for each of the
    last :data:`QUERIES_KEPT` single queries, as long as its weights stay as they are.

    :param model: The pipeline, see :mod:`lsb_rag.pipeline`.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self._kept = lru_cache(QUERIES_KEPT)(self._computed)

    def forget(self) -> None:
        """Compute every query anew, as a benchmark wants it."""
        self._kept.cache_clear()

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
        given: dict[str, Any] = {"bridge": bridge, "strength": strength}
        if len(texts) > 1:
            options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
            options |= {"batch_size": batch_size, "show_progress_bar": show_progress_bar}
            return np.asarray(self._model.encode_query(list(texts), **options), np.float32)
        with torch.inference_mode():
            modulated = self._modulation(self.features(texts[0], bridge), task="query", **given)
            return cast("NDArray[np.float32]", modulated["sentence_embedding"].float().cpu().numpy().copy())

    def features(self, text: str, bridge: Bridge | LearnedBridge | None) -> dict[str, Any]:
        """What the modulation needs of the backbone for `text` and `bridge`; in inference mode."""
        active = self._modulation.bridge if bridge is None else bridge
        of_tokens = self._modulation.needs_offsets or head_of(active) is not None or isinstance(active, LearnedBridge)
        compute = self._kept if len(text) <= LONGEST_KEPT else self._computed
        return dict(compute(text, prompt_for(self._model, "query"), of_tokens, state_of_weights(self._model)))

    def _computed(self, text: str, prompt: str, of_tokens: bool, _weights: object) -> dict[str, Any]:
        from sentence_transformers.util import batch_to_device

        self._model.eval()
        features = self._model.preprocess([text], prompt=prompt or None, task="query", with_offsets=of_tokens)
        features = batch_to_device(features, self._model.device)
        features = self._model(features, task="query", strength=0)
        return features if of_tokens else {name: features[name] for name in features if name not in OF_TOKENS}

    @property
    def _modulation(self) -> QueryModulation:
        return cast("QueryModulation", self._model[-1])
