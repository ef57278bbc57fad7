from __future__ import annotations

import torch

from lsb_rag.backbones.weights import StateOfWeights, state_of_weights


def state(model: torch.nn.Module) -> StateOfWeights:
    return state_of_weights(list(model.modules()))


def test_unchanged_weights_have_the_same_state() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1, bias=False))
    before = state(model)
    model(torch.ones(1, 2))
    assert state(model) == before
    assert state(torch.nn.ReLU()) == state(torch.nn.ReLU())  # without weights


def test_a_weight_changed_in_place_replaced_or_moved_is_seen() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    states = [state(model)]
    with torch.no_grad():
        model[0].weight.mul_(2)
    states.append(state(model))
    model[1].bias = torch.nn.Parameter(torch.zeros(1))
    states.append(state(model))
    model.half()
    states.append(state(model))
    assert all(one != other for i, one in enumerate(states) for other in states[:i])


def test_weights_of_inference_mode_have_a_state_too() -> None:
    with torch.inference_mode():
        model = torch.nn.Linear(2, 3)
    assert state(model) == state(model)
