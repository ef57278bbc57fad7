"""The first module of a pipeline: a Transformer that passes the text on to the modulation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

from sentence_transformers.sentence_transformer.modules import Transformer

from ..bridge.corpus import head_of

TEXTS = "lexical_texts"
OFFSETS = "offset_mapping"
KEPT = (TEXTS, OFFSETS)


class LexicalTransformer(Transformer):
    """sentence-transformers' Transformer, in which queries also carry their texts and their tokens' offsets.

    The backbone's computation is unchanged. A prompt is part of the text, but its words are not units.
    """

    with_offsets = True
    """Off where the modulation does not need the offsets, which cost a part of a millisecond."""
    frozen = False
    """On where a bridge is trained on a backbone that stays unchanged, and so has no dropout in training either."""

    @classmethod
    def wrapping(cls, transformer: Transformer) -> LexicalTransformer:
        """Return `transformer` as a LexicalTransformer that shares its weights, tokenizer, mode and precision."""
        wrapped = copy.copy(transformer)
        for part in ("_modules", "_parameters", "_buffers"):  # modules may be replaced in one alone
            vars(wrapped)[part] = dict(vars(transformer)[part])
        wrapped.__class__ = cls
        return cast(LexicalTransformer, wrapped)

    def train(self, mode: bool = True) -> LexicalTransformer:
        """See ``torch.nn.Module.train``; a frozen backbone stays in evaluation mode."""
        super().train(mode and not self.frozen)
        return self

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, processing_kwargs: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Tokenise; for ``task="query"`` add the texts and, where needed, the offsets of the tokens."""
        has_head = head_of(kwargs.get("bridge")) is not None
        with_offsets = kwargs.pop("with_offsets", self.with_offsets)
        if kwargs.get("task") == "query" and (with_offsets or prompt or has_head):
            given = dict(processing_kwargs or {})
            processing_kwargs = {**given, "text": {**given.get("text", {}), "return_offsets_mapping": True}}
        kwargs = {key: value for key, value in kwargs.items() if key not in ("bridge", "strength")}
        features = super().preprocess(inputs, prompt=prompt, processing_kwargs=processing_kwargs, **kwargs)
        if kwargs.get("task") == "query":
            features[TEXTS] = [(prompt or "", str(text)) for text in inputs]
        return features

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Run the backbone and carry the texts and offsets past it."""
        carried = {key: features[key] for key in KEPT if key in features}
        features = super().forward({key: features[key] for key in features if key not in KEPT}, **kwargs)
        return {**features, **carried}
