"""Evaluation while training: held-out pairs are ranked among passages, with the bridge and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from torch import Tensor

from ..errors import InvalidInputError
from ..evaluation.retrieval_metrics import metrics_library, per_query
from ..utils.arguments import checked
from .pairs import Pair, answers_by_query

MEASURES = ("mrr@10", "ndcg@10", "hit@1")
PRIMARY = "mrr@10"
DEPTH = 10


@checked
class HeldOut(BaseEvaluator):
    """MRR@10, nDCG@10 and hit@1 of held-out pairs by kind. The trainer calls it at every checkpoint.

    :param pairs: ``{kind: pairs}``. The positives of equal queries are all right answers.
    :param passages: Further texts to rank among, besides the pairs' own positives.
    :raises InvalidInputError: Without pairs.
    :raises MissingExtraError: When ir-measures is not installed.
    """

    def __init__(self, pairs: Mapping[str, Sequence[Pair]], passages: Sequence[str] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        metrics_library()
        self.pairs = {kind: list(of_kind) for kind, of_kind in pairs.items() if of_kind}
        if not self.pairs:
            raise InvalidInputError("There are no held-out pairs to evaluate on.")
        own = [pair.positive for of_kind in self.pairs.values() for pair in of_kind]
        self.passages = list(dict.fromkeys([*own, *passages]))
        self.vectors: Tensor | None = None
        """Vectors of the passages, float32 of shape ``[n, d]``, if a frozen backbone embedded them once."""
        self.primary_metric = PRIMARY

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        """Measure `model` in its current state.

        :return: ``{"mrr@10": ..., "keyword_mrr@10": ..., "keyword_mrr@10_without_bridge": ...}`` and so on. The first
            is the mean over all kinds, with the bridge.
        """
        del output_path, epoch, steps
        was_training = model.training
        model.eval()
        try:
            return self._measure(model)
        finally:
            model.train(was_training)

    def _measure(self, model: SentenceTransformer) -> dict[str, float]:
        passages = self.vectors
        if passages is None:
            passages = _encode(model.encode_document, self.passages)
        found: dict[str, float] = {}
        for kind, pairs in self.pairs.items():
            queries = [pair.query for pair in pairs]
            for suffix, options in (("", {}), ("_without_bridge", {"strength": 0.0})):
                rankings = self._rankings(_encode(model.encode_query, queries, **options), passages)
                for measure, values in per_query(self._qrels(pairs), rankings, MEASURES).items():
                    found[f"{kind}_{measure}{suffix}"] = sum(values.values()) / len(values)
        return {PRIMARY: sum(found[f"{kind}_{PRIMARY}"] for kind in self.pairs) / len(self.pairs), **found}

    def _qrels(self, pairs: Sequence[Pair]) -> dict[str, dict[str, int]]:
        right = answers_by_query(pairs)
        row = {text: str(number) for number, text in enumerate(self.passages)}
        return {str(number): {row[text]: 1 for text in right[pair.query]} for number, pair in enumerate(pairs)}

    def _rankings(self, queries: Tensor, passages: Tensor) -> dict[str, list[str]]:
        best = (queries @ passages.T).topk(min(DEPTH, len(passages)), dim=1).indices
        return {str(number): [str(row) for row in rows] for number, rows in enumerate(best.tolist())}


def _encode(encode: Any, texts: Sequence[str], **options: Any) -> Tensor:
    found: Tensor = encode(
        list(texts), convert_to_tensor=True, show_progress_bar=False, normalize_embeddings=True, **options
    )
    return found.float().cpu()
