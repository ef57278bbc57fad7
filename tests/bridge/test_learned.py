from __future__ import annotations

import torch

from lsb_rag import LearnedBridge
from lsb_rag.bridge.weighting import PieceWeights

D = 8


def test_a_learned_bridge_is_the_linear_layer() -> None:
    torch.manual_seed(0)
    bridge = LearnedBridge(7, D)
    torch.nn.init.normal_(bridge.weight)
    torch.nn.init.normal_(bridge.bias)  # type: ignore[arg-type]
    ids, weights = torch.tensor([[2, 5, 0], [1, 1, 6]]), torch.tensor([[0.5, 1.0, 0.0], [2.0, 0.0, 0.25]])
    dense = torch.zeros(2, 7)
    dense[0, 2], dense[0, 5], dense[1, 1], dense[1, 6] = 0.5, 1.0, 2.0, 0.25
    expected = dense @ bridge.weight + bridge.bias
    torch.testing.assert_close(bridge(PieceWeights(ids, weights)), expected)
    torch.testing.assert_close(bridge(PieceWeights(None, dense)), expected)
    assert not LearnedBridge(7, D, bias=False)(PieceWeights(ids, weights)).any()  # starts at 0


def test_without_a_bias_it_has_the_weight_alone() -> None:
    bridge = LearnedBridge(7, D, bias=False)
    assert bridge.bias is None
    assert set(bridge.state_dict()) == {"weight"}
    assert (bridge.weight.shape, bridge.dimension) == ((7, D), D)
