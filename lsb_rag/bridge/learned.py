"""The paper's bridge (arXiv 2508.17858): a linear layer over the wordpieces, as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..utils.arguments import Width, checked
from .weighting import PieceWeights


class LearnedBridge(nn.Module):
    """The paper's linear layer, ``v = W w + b``, computed as a sum over the rows of the weighted pieces.

    :param vocabulary_size: ``|V|`` of the backbone's tokenizer.
    :param dimension: Width d of the vectors.
    :param bias: Whether the layer has a b.

    W and b start at 0, which leaves every query unchanged.
    """

    @checked
    def __init__(self, vocabulary_size: Width, dimension: Width, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary_size, dimension))
        """W transposed, shape ``[|V|, d]``: one row per piece."""
        self.bias = nn.Parameter(torch.zeros(dimension)) if bias else None

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return self.weight.shape[1]

    def forward(self, pieces: PieceWeights) -> Tensor:
        """Return the vector v of each query, shape ``[B, d]``."""
        if pieces.ids is None:
            v = pieces.weights.to(self.weight.dtype) @ self.weight
        else:
            weights = pieces.weights.to(self.weight.dtype)
            v = nn.functional.embedding_bag(pieces.ids, self.weight, mode="sum", per_sample_weights=weights)
        return v if self.bias is None else v + self.bias
