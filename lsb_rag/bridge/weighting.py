"""The paper's three weighting paradigms (arXiv 2508.17858) over the wordpieces of a batch of queries, as torch modules.

Each gives :class:`PieceWeights`. They are sparse for SLR and LLR, which touch only the pieces of the query, and for CLR
with a top-k; CLR without one weights the whole vocabulary. Special tokens never count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..lexical.units import word_spans


def slr(units: Sequence[str], scale: float = 1.0) -> dict[str, float]:
    """Return the weights of SLR by unit, ``w_t = scale * 1[t in T]`` (arXiv 2508.17858), without zeros.

    :param units: The units T of one query.
    :param scale: The common weight.
    """
    return dict.fromkeys(units, scale)


@dataclass
class PieceWeights:
    """Weights of wordpieces for a batch of B queries.

    :param ids: Vocabulary ids, int64 of shape ``[B, n]``; None where `weights` spans the whole vocabulary.
    :param weights: Weights of at least 0, shape ``[B, n]`` or ``[B, |V|]``; 0 marks what does not count.
    """

    ids: Tensor | None
    weights: Tensor


class Statistical(nn.Module):
    """SLR: ``w_t = scale * 1[t in T]``.

    :param scale: The weight of every piece that is present; a parameter, as in the paper.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, hidden: Tensor, ids: Tensor, counted: Tensor) -> PieceWeights:
        """See :meth:`Learned.forward`; the hidden states are not used."""
        del hidden
        return PieceWeights(ids, self.scale * _first_occurrences(ids, counted))

    def piece_scores(self, hidden: Tensor) -> Tensor:
        """Return the weight of every position, before repeated pieces are pooled, shape ``[B, L]``."""
        return self.scale.expand(hidden.shape[:2])


class Learned(nn.Module):
    """LLR: ``w_t = max over j with t_j = t of ReLU(u . h_j + b)``. Untrained, u = 0 and b = 1: exactly SLR.

    :param dimension: Width of the hidden states.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.ones_(self.linear.bias)

    def forward(self, hidden: Tensor, ids: Tensor, counted: Tensor) -> PieceWeights:
        """Return the weights of the pieces of each query.

        :param hidden: Hidden states h, shape ``[B, L, d]``.
        :param ids: Vocabulary ids, shape ``[B, L]``.
        :param counted: Which positions count (neither padding nor special), bool of shape ``[B, L]``.
        """
        scores = self.piece_scores(hidden)
        same = (ids[:, :, None] == ids[:, None, :]) & counted[:, None, :]
        highest = scores[:, None, :].masked_fill(~same, 0.0).amax(dim=2)
        return PieceWeights(ids, highest * _first_occurrences(ids, counted))

    def piece_scores(self, hidden: Tensor) -> Tensor:
        """Return ``ReLU(u . h_j + b)`` of every position, shape ``[B, L]``."""
        return torch.relu(self.linear(hidden.to(self.linear.weight.dtype))).squeeze(-1)


class Contextual(nn.Module):
    """CLR: ``w = log(1 + ReLU(MLM-head(h_CLS)))`` over the whole vocabulary.

    :param head: Maps hidden states ``[B, 1, d]`` to logits ``[B, 1, |V|]``: :class:`MlmHead` or :class:`TiedHead`.
    :param top_k: Keep the `top_k` highest weights; None keeps all.
    """

    def __init__(self, head: nn.Module, top_k: int | None = None) -> None:
        super().__init__()
        self.head = head
        self.top_k = top_k
        self.special = torch.zeros(0, dtype=torch.int64)
        """Vocabulary ids of the special tokens; set once the tokenizer is known."""

    def forward(self, hidden: Tensor, ids: Tensor, counted: Tensor) -> PieceWeights:
        """See :meth:`Learned.forward`; only the hidden state of the first position is used."""
        del ids, counted
        weights = torch.log1p(torch.relu(self.head(hidden[:, :1]).squeeze(1)))
        weights = weights.index_fill(1, self.special.to(weights.device), 0.0)
        if self.top_k is None or self.top_k >= weights.shape[1]:
            return PieceWeights(None, weights)
        top = weights.topk(self.top_k, dim=1)
        return PieceWeights(top.indices, top.values)


class TiedHead(nn.Module):
    """A small head for a backbone without an MLM head: ``E (A h + a) + b`` with E the backbone's token embeddings.

    Only A, a and b are the head's own. A starts as the identity where the widths agree.

    :param dimension: Width d of the hidden states.
    :param vocabulary_size: ``|V|``.
    :param width: Width of the token embeddings; d for most backbones.
    """

    def __init__(self, dimension: int, vocabulary_size: int, width: int) -> None:
        super().__init__()
        self.config_dict = {"dimension": dimension, "vocabulary_size": vocabulary_size, "width": width}
        self.transform = nn.Linear(dimension, width)
        nn.init.eye_(self.transform.weight)
        nn.init.zeros_(self.transform.bias)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self._tied: list[nn.Embedding] = []

    def tie(self, embeddings: nn.Embedding) -> None:
        """Use these token embeddings, which stay the backbone's and are not saved with the head."""
        self._tied = [embeddings]

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits over the vocabulary, shape ``[..., |V|]``."""
        own = self.transform.weight.dtype  # the backbone may run in half precision
        return nn.functional.linear(self.transform(hidden.to(own)), self._tied[0].weight.to(own), self.bias)


class MlmHead(nn.Module):
    """The MLM head of any masked language model of transformers, without its backbone.

    The model's own code runs, with its backbone replaced by a stub that passes the given hidden states through,
    so no architecture's internals are named here.

    :param model: A model for masked language modelling, its head tied or not.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.config_dict: dict[str, Any] = {"model": model.config.to_dict()}
        setattr(model, model.base_model_prefix, _PassThrough())
        self.model = model

    def forward(self, hidden: Tensor) -> Tensor:
        """Return logits over the vocabulary, shape ``[B, L, |V|]``."""
        own = next(self.model.parameters()).dtype
        return cast(Tensor, self.model(inputs_embeds=hidden.to(own)).logits)


class _PassThrough(nn.Module):
    """Stands in for a backbone and returns the hidden states that it is given."""

    def forward(self, *_: Any, inputs_embeds: Tensor, **__: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=inputs_embeds)


def head_from_config(config: dict[str, Any]) -> MlmHead | TiedHead:
    """Return the head that its ``config_dict`` describes, with its weights still to be loaded."""
    if "model" not in config:
        return TiedHead(**config)
    from transformers import AutoConfig, AutoModelForMaskedLM

    auto: Any = AutoModelForMaskedLM
    return MlmHead(auto.from_config(AutoConfig.for_model(**config["model"])))


def pooled_to_words(prompt: str, text: str, scores: Tensor, counted: Tensor, offsets: Tensor) -> dict[str, float]:
    """Return the weight of each word of `text`: the highest of the counted positions that overlap it.

    :param prompt: Prefix of the text in the tokens' offsets; its words are left out.
    :param scores: Weights of the positions, shape ``[L]``.
    :param counted: Which positions count, bool of shape ``[L]``.
    :param offsets: Start and end of the characters of each position, shape ``[L, 2]``.
    """
    positions = word_positions(prompt, text, counted, offsets)
    return {word: float(scores[overlaps].max()) for word, overlaps in positions.items()}


def word_positions(prompt: str, text: str, counted: Tensor, offsets: Tensor) -> dict[str, Tensor]:
    """Return the positions that overlap each word of `text`, bool of shape ``[L]``; see :func:`pooled_to_words`."""
    starts, ends = (offsets - len(prompt)).unbind(dim=1)
    positions: dict[str, Tensor] = {}
    for word, start, end in word_spans(text):
        overlaps = counted & (starts < end) & (ends > start)
        if overlaps.any():
            positions[word] = positions[word] | overlaps if word in positions else overlaps
    return positions


def named(pieces: PieceWeights, vocabulary: Sequence[str]) -> list[dict[str, float]]:
    """Return the weights above 0 of each query, by the names of the pieces."""
    rows = []
    for row, weights in enumerate(pieces.weights.detach().cpu()):
        used = weights.nonzero().squeeze(1)
        ids = used if pieces.ids is None else pieces.ids[row].cpu()[used]
        rows.append({vocabulary[id]: weight for id, weight in zip(ids.tolist(), weights[used].tolist(), strict=True)})
    return rows


def _first_occurrences(ids: Tensor, counted: Tensor) -> Tensor:
    """Return 1.0 where a counted piece occurs for the first time in its query, else 0.0, shape ``[B, L]``."""
    length = ids.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril(-1)
    repeats = ((ids[:, :, None] == ids[:, None, :]) & counted[:, None, :] & earlier).any(dim=2)
    return (counted & ~repeats).to(torch.get_default_dtype())
