"""The paper's contrastive loss (arXiv 2508.17858, section 3), over texts or over passages embedded before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from ..errors import TrainingError

EMBEDDING = "sentence_embedding"
QUERY = "query"


class ContrastiveLoss(MultipleNegativesRankingLoss):
    """``-log exp(cos(q, p) / T) / sum over the batch's passages exp(cos(q, p') / T)``, mean over the batch's queries.

    Queries go through the modulation. A passage that comes as a vector (:class:`EmbeddedPassages`) is taken as it is.

    :param model: The pipeline.
    :param temperature: T, 0.02 in the paper.
    """

    def __init__(self, model: SentenceTransformer, temperature: float) -> None:
        super().__init__(model, scale=1 / temperature)

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """The loss of one batch.

        :raises TrainingError: When it is NaN or infinite.
        """
        columns = list(sentence_features)
        if EMBEDDING in columns[1]:
            vectors = [self.model(columns[0])[EMBEDDING], *(column[EMBEDDING] for column in columns[1:])]
        else:
            vectors = embed_columns(self.model, columns)
        loss: Tensor = self.compute_loss_from_embeddings(vectors, labels)
        if not torch.isfinite(loss):
            raise TrainingError("The loss is no longer a finite number; train with a lower learning rate.")
        return loss


class EmbeddedPassages(SentenceTransformerDataCollator):
    """Hands passages on as the vectors that a frozen backbone gave them once, in place of their tokens."""

    vectors: Tensor
    rows: Mapping[str, int]

    @classmethod
    def of(cls, collator: SentenceTransformerDataCollator, texts: Sequence[str], vectors: Tensor) -> EmbeddedPassages:
        """`collator` for the passages `texts`, whose vectors are the rows of `vectors`."""
        options = [name for name in collator.__dataclass_fields__ if not name.startswith("_")]
        made = cls(**{name: getattr(collator, name) for name in options})
        made.vectors = vectors
        made.rows = {text: row for row, text in enumerate(texts)}
        return made

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch: tokens of the queries, vectors of the passages."""
        if not features:
            return {}
        kept = {name: [row[name] for row in features] for name in features[0] if name in (QUERY, "dataset_name")}
        batch = super().__call__([dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True)])
        for name in (name for name in features[0] if name not in kept):
            batch[f"{name}_{EMBEDDING}"] = self.vectors[[self.rows[row[name]] for row in features]]
        return batch
