from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lsb_rag.training.loss import ContrastiveLoss

from .runs import untrained


def test_the_loss_is_the_papers(tiny_backbone: Path) -> None:
    torch.manual_seed(0)
    q, p, n = (torch.nn.functional.normalize(torch.randn(3, 32), dim=1) for _ in range(3))
    labels = torch.tensor([[0, 0, 3], [1, 1, 4], [2, 2, 5]])
    answers = {0: {0}, 1: {1}, 2: {2}}
    cosines = torch.cat([q @ p.T, q @ n.T], dim=1) / 0.02
    expected = -(cosines.diagonal() - cosines.logsumexp(dim=1)).mean()
    found = ContrastiveLoss(untrained(tiny_backbone).model, 0.02, answers).of_vectors([q, 3 * p, n], labels)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    # Passage 1 answers query 0 too, and query 2's own negative is passage 0's text: no negatives of query 0.
    labels[2, 2] = 0
    answers[0] = {0, 1}
    masked = cosines.clone()
    masked[0, 1] = masked[0, 5] = -torch.inf
    expected = -(cosines.diagonal() - masked.logsumexp(dim=1)).mean()
    found = ContrastiveLoss(untrained(tiny_backbone).model, 0.02, answers).of_vectors([q, p, n], labels)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
