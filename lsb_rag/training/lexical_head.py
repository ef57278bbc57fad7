"""Learning of the weights of a query's words, LLR's u and b, over a corpus-fitted bridge and a frozen backbone.

Passages, embeddings, hidden states and the bridge's directions are computed once. Only d + 1 numbers are trained, which
takes seconds.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..bridge.base import Bridge
from ..bridge.corpus import CorpusBridge
from ..bridge.weighting import Learned, word_positions
from ..encoder import LexSemBridgeEncoder
from ..errors import InvalidInputError, TrainingError
from ..lexical.units import words
from ..modules.lexical_transformer import OFFSETS
from ..utils.batches import batched
from ..utils.progress import Progress

BATCH = 64


@dataclass
class PreparedQueries:
    """Queries over one corpus, with everything computed that does not depend on the head.

    The positions of all queries lie one after another, and so do their units.

    :param queries: Embeddings e, float32 of shape ``[Q, d]``.
    :param hidden: Hidden states of the positions of words, shape ``[P, d]``.
    :param unit_of: Unit of each position, shape ``[P]``.
    :param query_of: Query of each unit, shape ``[U]``, rising.
    :param directions: Contribution of each unit to its query's direction at weight 1, shape ``[U, d]``.
    :param answers: Row of the passage that each query was drawn from, shape ``[Q]``.
    :param passages: Passage vectors at length 1, shape ``[N, d]``.
    """

    queries: Tensor
    hidden: Tensor
    unit_of: Tensor
    query_of: Tensor
    directions: Tensor
    answers: Tensor
    passages: Tensor

    def __len__(self) -> int:
        return len(self.queries)

    def vectors(self, head: Learned | None, strength: float, rows: Tensor | None = None) -> Tensor:
        """Return the modulated query vectors of `rows`, shape ``[R, d]``.

        :param head: The head of LLR; None for SLR.
        :param strength: Strength of the residual.
        :param rows: Rows of the queries; None for all.
        """
        wanted = torch.arange(len(self)) if rows is None else rows
        place = torch.full((len(self),), -1)
        place[wanted] = torch.arange(len(wanted))
        units = (place[self.query_of] >= 0).nonzero().squeeze(1)
        directions = self.directions[units]
        summed = torch.zeros(len(wanted), directions.shape[1]).index_add(0, place[self.query_of[units]], directions)
        if head is not None:
            unit_place = torch.full((len(self.query_of),), -1)
            unit_place[units] = torch.arange(len(units))
            positions = (unit_place[self.unit_of] >= 0).nonzero().squeeze(1)
            scores = head.piece_scores(self.hidden[positions].float()[None])[0]
            weights = torch.zeros(len(units)).scatter_reduce(
                0, unit_place[self.unit_of[positions]], scores, "amax", include_self=True
            )
            weighted = weights[:, None] * directions
            turned = torch.zeros_like(summed).index_add(0, place[self.query_of[units]], weighted)
            summed = summed.norm(dim=1, keepdim=True) * nn.functional.normalize(turned, dim=1)
        return nn.functional.normalize(self.queries[wanted] + strength * summed, dim=1)

    def ranks(self, head: Learned | None, strength: float) -> NDArray[np.int64]:
        """Return the rank of each query's passage, from 1. Ties count against it."""
        with torch.no_grad():
            scores = self.vectors(head, strength) @ self.passages.T
            own = scores.gather(1, self.answers[:, None])
            return np.asarray((scores >= own).sum(dim=1).numpy(), np.int64)


def prepare(
    encoder: LexSemBridgeEncoder,
    bridge: Bridge,
    queries: Sequence[str],
    answers: Sequence[int],
    passages: NDArray[np.float32],
    *,
    progress: Progress | None = None,
) -> PreparedQueries:
    """Compute everything about `queries` that does not depend on the head.

    :param encoder: An encoder over words, of any paradigm.
    :param bridge: The bridge fitted to the corpus.
    :param answers: Row of each query's passage in `passages`.
    :param passages: Vectors at length 1, float32 of shape ``[N, d]``.
    :raises InvalidInputError: Without queries, or for an encoder over wordpieces.
    """
    if encoder.units != "words" or not isinstance(bridge, CorpusBridge):
        raise InvalidInputError("The weights of words are learned over a corpus-fitted bridge with units='words'.")
    if not queries:
        raise InvalidInputError("There are no queries to learn from.")
    model, module = encoder.model, encoder.modulation
    prompt = model.prompts.get("query") or None
    embedded: list[Tensor] = []
    hidden: list[Tensor] = []
    unit_of: list[Tensor] = []
    query_of: list[int] = []
    directions: list[Tensor] = []
    done, offsets = 0, encoder.transformer.with_offsets
    encoder.transformer.with_offsets = True
    try:
        for texts in batched(queries, BATCH):
            with torch.inference_mode():
                features = model.preprocess(texts, prompt=prompt, task="query")
                features = {k: v.to(model.device) if isinstance(v, Tensor) else v for k, v in features.items()}
                features = model(features, task="query", strength=0)
                counted = module.counted(features, unknown=True).cpu()
            embedded.append(features["sentence_embedding"].float().cpu().clone())
            for row, text in enumerate(texts):
                positions = word_positions(prompt or "", text, counted[row], features[OFFSETS][row].cpu())
                # A word beyond the backbone's longest input has no position. It counts in SLR, but not with a head.
                for word, part in bridge.contributions(dict.fromkeys(words(text), 1.0)).items():
                    if word in positions:
                        mask = positions[word]
                        hidden.append(features["token_embeddings"][row].cpu()[mask].half().clone())
                        unit_of.append(torch.full((int(mask.sum()),), len(query_of)))
                    query_of.append(done + row)
                    directions.append(torch.from_numpy(part).float())
            done += len(texts)
            if progress:
                progress(done, len(queries))
    finally:
        encoder.transformer.with_offsets = offsets
    if not hidden:
        raise InvalidInputError("No passage contains a word of these queries; there is nothing to learn.")
    return PreparedQueries(
        queries=torch.cat(embedded),
        hidden=torch.cat(hidden),
        unit_of=torch.cat(unit_of),
        query_of=torch.tensor(query_of),
        directions=torch.stack(directions),
        answers=torch.tensor(list(answers)),
        passages=torch.from_numpy(np.ascontiguousarray(passages, np.float32)),
    )


def learn_head(
    corpora: Sequence[PreparedQueries],
    *,
    strength: float,
    steps: int = 600,
    learning_rate: float = 3e-3,
    decay: float = 0.0,
    temperature: float = 0.02,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learned:
    """Learn LLR's head by contrast with all passages of a query's corpus. It begins as SLR.

    :param corpora: Queries of several corpora, which take turns.
    :param strength: Strength of the residual, held fixed.
    :param decay: Weight decay of u, towards SLR.
    :param progress: Called with the number of steps done and the total.
    :raises TrainingError: When the loss is not finite.
    """
    dimension = corpora[0].hidden.shape[1]
    head = Learned(dimension)
    optimizer = torch.optim.AdamW(
        [
            {"params": [head.linear.weight], "weight_decay": decay},
            {"params": [head.linear.bias], "weight_decay": 0.0},
        ],
        lr=learning_rate,
    )
    draw = random.Random(seed)  # noqa: S311 - a reproducible draw
    for step in range(steps):
        corpus = corpora[step % len(corpora)]
        rows = torch.tensor(draw.sample(range(len(corpus)), min(BATCH, len(corpus))))
        logits = corpus.vectors(head, strength, rows) @ corpus.passages.T / temperature
        loss = nn.functional.cross_entropy(logits, corpus.answers[rows])
        if not torch.isfinite(loss):
            raise TrainingError("The loss is no longer a finite number; the weights stay as they were.")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1 - (step + 1) / steps)
        if progress:
            progress(step + 1, steps)
    return head.eval().requires_grad_(False)
