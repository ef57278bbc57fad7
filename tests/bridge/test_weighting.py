"""The paradigms against the paper's formulas, written densely here: scatter to |V|, then multiply by the whole W."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AlbertConfig,
    AutoModelForMaskedLM,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
)

from lsb_rag import LearnedBridge
from lsb_rag.bridge.base import checked_paradigm
from lsb_rag.bridge.weighting import (
    Contextual,
    Learned,
    MlmHead,
    PieceWeights,
    Statistical,
    TiedHead,
    head_from_config,
    named,
    slr,
    word_positions,
)
from lsb_rag.errors import InvalidInputError

V, D, L = 17, 6, 9
SPECIAL = [0, 1, 2]


def batch(seed: int, size: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, V, (size, L), generator=generator)
    hidden = torch.randn(size, L, D, generator=generator)
    lengths = torch.randint(1, L + 1, (size,), generator=generator)
    counted = (torch.arange(L) < lengths[:, None]) & ~torch.isin(ids, torch.tensor(SPECIAL))
    return hidden, ids, counted


def scattered(pieces: PieceWeights) -> torch.Tensor:
    """Sparse weights as a dense ``[B, |V|]``; what does not count adds 0."""
    if pieces.ids is None:
        return pieces.weights
    return torch.zeros(len(pieces.weights), V).scatter_add(1, pieces.ids, pieces.weights)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3))
def test_slr_and_llr_equal_the_dense_formulas(seed: int, scale: float) -> None:
    hidden, ids, counted = batch(seed)
    torch.manual_seed(seed)
    slr, llr, bridge = Statistical(scale), Learned(D), LearnedBridge(V, D)
    for parameter in (*llr.parameters(), *bridge.parameters()):
        torch.nn.init.normal_(parameter)
    dense_slr, dense_llr = torch.zeros(len(ids), V), torch.zeros(len(ids), V)
    for row in range(len(ids)):
        for position in range(L):
            if counted[row, position]:
                t = ids[row, position]
                dense_slr[row, t] = scale
                score = torch.relu(llr.linear.weight[0] @ hidden[row, position] + llr.linear.bias[0])
                dense_llr[row, t] = torch.maximum(dense_llr[row, t], score)
    for paradigm, dense in ((slr, dense_slr), (llr, dense_llr)):
        pieces = paradigm(hidden, ids, counted)
        torch.testing.assert_close(scattered(pieces), dense)
        torch.testing.assert_close(bridge(pieces), dense @ bridge.weight + bridge.bias, atol=1e-5, rtol=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_padding_order_and_company_change_nothing(seed: int) -> None:
    hidden, ids, counted = batch(seed)
    torch.manual_seed(seed)
    llr = Learned(D)
    torch.nn.init.normal_(llr.linear.weight)
    whole = scattered(llr(hidden, ids, counted))
    order = torch.randperm(len(ids))
    torch.testing.assert_close(scattered(llr(hidden[order], ids[order], counted[order])), whole[order])
    more = torch.randint(0, V, (len(ids), 3))
    padded = llr(
        torch.cat([hidden, torch.randn(len(ids), 3, D)], 1),
        torch.cat([ids, more], 1),
        torch.cat([counted, torch.zeros(len(ids), 3, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(scattered(padded), whole)
    doubled = llr(torch.cat([hidden, hidden], 1), torch.cat([ids, ids], 1), torch.cat([counted, counted], 1))
    torch.testing.assert_close(scattered(doubled), whole)


def test_an_untrained_llr_is_slr() -> None:
    hidden, ids, counted = batch(3)
    slr, llr = Statistical()(hidden, ids, counted), Learned(D)(hidden, ids, counted)
    assert torch.equal(slr.weights, llr.weights)
    assert slr.weights.unique().tolist() == [0, 1]


def test_slr_and_llr_learn() -> None:
    hidden, ids, counted = batch(5)
    bridge = LearnedBridge(V, D)
    torch.nn.init.normal_(bridge.weight)
    for paradigm in (Statistical(), Learned(D)):
        bridge(paradigm(hidden, ids, counted)).pow(2).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in paradigm.parameters())
    assert bridge.weight.grad is not None


@pytest.mark.parametrize("top_k", [None, 5, V, 3 * V])
def test_clr_equals_the_dense_formula(top_k: int | None) -> None:
    hidden, ids, counted = batch(1)
    head = TiedHead(D, V, D)
    head.tie(torch.nn.Embedding(V, D))
    clr = Contextual(head, top_k)
    clr.special = torch.tensor(SPECIAL)
    logits = head.transform(hidden[:, 0]) @ head._tied[0].weight.T + head.bias
    expected = torch.log(1 + torch.relu(logits))
    expected[:, SPECIAL] = 0
    pieces = clr(hidden, ids, counted)
    if top_k == 5:
        floor = expected.topk(5, dim=1).values[:, -1:]
        expected = torch.where(expected >= floor, expected, torch.zeros(()))
        assert pieces.ids is not None
        assert pieces.ids.shape == (len(ids), 5)
    torch.testing.assert_close(scattered(pieces), expected)


def test_a_tied_head_is_saved_without_the_embeddings() -> None:
    head = TiedHead(D, V, D)
    head.tie(torch.nn.Embedding(V, D))
    assert set(head.state_dict()) == {"transform.weight", "transform.bias", "bias"}
    again = head_from_config(head.config_dict)
    assert isinstance(again, TiedHead)


SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**SMALL),
        RobertaConfig(**SMALL),
        MPNetConfig(**SMALL),
        AlbertConfig(**SMALL, embedding_size=8),
        ElectraConfig(**SMALL, embedding_size=8),
        DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=16),
    ],
    ids=lambda config: config.model_type,
)
def test_the_mlm_head_of_any_architecture_is_the_models_own(config: object) -> None:
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(config).eval()
    ids = torch.randint(5, 40, (3, 7))
    with torch.inference_mode():
        hidden = getattr(model, model.base_model_prefix)(input_ids=ids).last_hidden_state
        expected = model(input_ids=ids).logits
        head = MlmHead(model).eval()
        torch.testing.assert_close(head(hidden), expected)
        again = head_from_config(head.config_dict).eval()
        again.load_state_dict(head.state_dict())
        torch.testing.assert_close(again(hidden), expected)


def test_unknown_paradigms_and_top_k_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="choose one of slr, llr, clr"):
        checked_paradigm("bm25", None)
    for paradigm, top_k in (("slr", 5), ("clr", 0)):
        with pytest.raises(InvalidInputError, match="top_k"):
            checked_paradigm(paradigm, top_k)


def test_slr_weighs_each_distinct_unit_once() -> None:
    assert slr(["a", "b", "a"], scale=2.0) == {"a": 2.0, "b": 2.0}


def test_pieces_are_named_where_they_have_a_weight() -> None:
    sparse = PieceWeights(torch.tensor([[2, 0]]), torch.tensor([[0.5, 0.0]]))
    assert named(sparse, ["a", "b", "c"]) == [{"c": 0.5}]
    dense = PieceWeights(None, torch.tensor([[0.0, 0.25, 1.0]]))
    assert named(dense, ["a", "b", "c"]) == [{"b": 0.25, "c": 1.0}]


def test_positions_of_a_word_overlap_it_behind_the_prompt() -> None:
    offsets = torch.tensor([[0, 2], [3, 7], [8, 9]])  # of "q: pump x", whose prompt is "q: "
    counted = torch.tensor([True, True, True])
    positions = word_positions("q: ", "pump x", counted, offsets)
    assert {word: found.tolist() for word, found in positions.items()} == {
        "pump": [False, True, False],
        "x": [False, False, True],
    }
    assert set(word_positions("q: ", "pump x", torch.tensor([True, True, False]), offsets)) == {"pump"}
