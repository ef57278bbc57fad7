"""The paper's contrastive loss (arXiv 2508.17858, section 3), over texts or passages embedded in advance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from torch import Tensor, nn

from ..errors import TrainingError

EMBEDDING = "sentence_embedding"
QUERY, LABEL = "query", "label"


class ContrastiveLoss(nn.Module):
    """``-log exp(cos(q, p) / T) / sum over the batch's passages exp(cos(q, p') / T)``, mean over the batch's queries.

    Queries go through the modulation. A passage that is already a vector (:class:`EmbeddedPassages`) is used as it is.
    Another passage in the batch that also answers a query is not a negative of it.

    :param model: The pipeline.
    :param temperature: T, 0.02 in the paper.
    :param answers: ``{number of a query: numbers of the passages that answer it}``.
    """

    def __init__(self, model: SentenceTransformer, temperature: float, answers: Mapping[int, AbstractSet[int]]) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.answers = answers

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of one batch of B queries.

        :param sentence_features: The query, its passage and its negatives, one column each.
        :param labels: The number of each of them, int64 of shape ``[B, columns]``.
        :raises TrainingError: When the loss is NaN or infinite.
        """
        columns = list(sentence_features)
        if EMBEDDING in columns[1]:
            vectors = [self.model(columns[0])[EMBEDDING], *(column[EMBEDDING] for column in columns[1:])]
        else:
            vectors = embed_columns(self.model, columns)
        loss = self.of_vectors(vectors, labels)
        if not torch.isfinite(loss):
            raise TrainingError("The loss is no longer a finite number; train with a lower learning rate.")
        return loss

    def of_vectors(self, vectors: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Return the loss of vectors, each column of shape ``[B, d]``."""
        queries = nn.functional.normalize(vectors[0].float(), dim=1)
        passages = nn.functional.normalize(torch.cat(list(vectors[1:])).float(), dim=1)
        logits = queries @ passages.T / self.temperature
        numbers = labels[:, 1:].T.flatten().tolist()
        also_right = torch.tensor(
            [[number in self.answers[query] for number in numbers] for query in labels[:, 0].tolist()],
            device=logits.device,
        )
        own = torch.arange(len(queries), device=logits.device)
        also_right[own, own] = False
        return nn.functional.cross_entropy(logits.masked_fill(also_right, -torch.inf), own)


class EmbeddedPassages(SentenceTransformerDataCollator):
    """A collator that passes on vectors of passages, which a frozen backbone embedded once, instead of their tokens."""

    vectors: Tensor
    rows: Mapping[str, int]

    @classmethod
    def of(cls, collator: SentenceTransformerDataCollator, texts: Sequence[str], vectors: Tensor) -> EmbeddedPassages:
        """Return `collator` for the passages `texts`, whose vectors are the rows of `vectors`."""
        options = [name for name in collator.__dataclass_fields__ if not name.startswith("_")]
        made = cls(**{name: getattr(collator, name) for name in options})
        made.vectors = vectors
        made.rows = {text: row for row, text in enumerate(texts)}
        return made

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch: tokens of the queries, vectors of the passages."""
        if not features:
            return {}
        names = [name for name in features[0] if name not in (QUERY, LABEL)]
        batch = super().__call__([{name: row[name] for name in row if name not in names} for row in features])
        for name in names:
            batch[f"{name}_{EMBEDDING}"] = self.vectors[[self.rows[row[name]] for row in features]]
        return batch
