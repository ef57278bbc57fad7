from __future__ import annotations

import math
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lsb_rag import LearnedBridge, LexSemBridgeEncoder
from lsb_rag.bridge.corpus import CorpusBridge
from lsb_rag.errors import InvalidInputError, TrainingError
from lsb_rag.statistics.in_memory import CorpusStatistics
from lsb_rag.training import HeldOut, Pair, TrainingOptions, train

from .runs import FAST, PAIRS, same, untrained, weights


@pytest.mark.parametrize("paradigm", ["slr", "llr", "clr"])
@pytest.mark.parametrize("freeze", [True, False])
def test_what_is_trained_moves_and_comes_back_from_its_folder(
    tmp_path: Path, tiny_backbone: Path, paradigm: str, freeze: bool
) -> None:
    before = weights(untrained(tiny_backbone, paradigm))
    trained = train(untrained(tiny_backbone, paradigm), PAIRS, tmp_path / "run", TrainingOptions(freeze=freeze, **FAST))
    after = weights(trained.encoder)
    assert trained.steps == 8
    assert trained.loss is not None
    assert float(trained.encoder.bridge.weight.detach().abs().max()) > 0.01  # type: ignore[union-attr]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    own = {name for name in moved if ".weighting." in name}
    assert bool(own) == (paradigm != "slr" or ".scale" in str(own))
    assert any(name.startswith("0.") for name in moved) != freeze
    loaded = LexSemBridgeEncoder.load(tmp_path / "run", device="cpu")
    queries = ["the pump is blocked", "valve"]
    assert np.array_equal(loaded.encode_query(queries), trained.encoder.encode_query(queries))
    assert not np.allclose(loaded.encode_query(queries), loaded.embed_query(queries))
    plain = untrained(tiny_backbone, paradigm)
    assert np.allclose(loaded.encode_document(queries), plain.encode_document(queries)) == freeze
    assert (
        (loaded.fingerprint.weights == plain.fingerprint.weights)
        == freeze
        == (trained.encoder.fingerprint.weights == plain.fingerprint.weights)
    )
    assert all(parameter.requires_grad for parameter in trained.encoder.model.parameters())
    assert not trained.encoder.model.training


def test_training_lowers_the_loss_and_ranks_better(tmp_path: Path, tiny_backbone: Path) -> None:
    held = HeldOut({"keyword": PAIRS})
    options = TrainingOptions(batch_size=6, max_steps=60, save_steps=20, freeze=True)
    trained = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    untouched = held(untrained(tiny_backbone).model)
    assert trained.best["mrr@10"] > untouched["mrr@10"] + 0.1
    assert trained.best["keyword_mrr@10_without_bridge"] == pytest.approx(untouched["keyword_mrr@10"])
    assert [row["step"] for row in trained.history] == [20, 40, 60]
    # The checkpoint that measured best is the one saved.
    again = HeldOut({"keyword": PAIRS})(LexSemBridgeEncoder.load(tmp_path / "run", device="cpu").model)
    assert again["mrr@10"] == pytest.approx(trained.best["mrr@10"])


def test_a_run_that_is_cut_off_goes_on_to_the_same_result(tmp_path: Path, tiny_backbone: Path) -> None:
    options, held = TrainingOptions(**FAST), HeldOut({"keyword": PAIRS[:5]})
    whole = train(untrained(tiny_backbone), PAIRS, tmp_path / "whole", options, held_out=held)

    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        assert total == 8
        if done == 6:
            raise Cut

    with pytest.raises(Cut):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "cut", options, held_out=held, progress=cut)
    checkpoint = tmp_path / "cut" / "checkpoints" / "checkpoint-4"
    half = checkpoint.with_name("checkpoint-6")
    shutil.copytree(checkpoint, half)  # killed while it was written
    (half / "lsb_rag_run.json").unlink()
    (half / "model.safetensors").write_bytes(b"half")
    steps: list[int] = []
    resumed = train(
        untrained(tiny_backbone),
        PAIRS,
        tmp_path / "cut",
        options,
        held_out=held,
        progress=lambda done, _: steps.append(done),
    )
    assert steps[0] == 5
    assert not half.exists()
    assert same(resumed.encoder, whole.encoder)
    assert resumed.history == whole.history
    assert resumed.steps == 8


def test_a_seed_gives_the_same_weights_and_another_others(tmp_path: Path, tiny_backbone: Path) -> None:
    runs = [
        train(untrained(tiny_backbone), PAIRS, tmp_path / str(number), TrainingOptions(**FAST, seed=seed)).encoder
        for number, seed in enumerate((1, 1, 2))
    ]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_hard_negatives_count_in_the_loss(tmp_path: Path, tiny_backbone: Path) -> None:
    pairs = [Pair(pair.query, pair.positive, ("Lunch is served.",)) for pair in PAIRS[:8]]
    for freeze in (True, False):
        trained = train(
            untrained(tiny_backbone),
            pairs,
            tmp_path / str(freeze),
            TrainingOptions(freeze=freeze, **{**FAST, "max_steps": 2}),
        )
        assert trained.loss is not None


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path: Path, tiny_backbone: Path
) -> None:
    encoder = untrained(tiny_backbone)

    def poison(done: int, total: int) -> None:
        if done == 5:
            with torch.no_grad():
                encoder.bridge.weight.fill_(math.nan)  # type: ignore[union-attr]

    with pytest.raises(TrainingError, match=r"no longer a finite number; .* last good checkpoint is .*checkpoint-4;"):
        train(encoder, PAIRS, tmp_path / "run", TrainingOptions(**FAST), progress=poison)
    kept = LexSemBridgeEncoder.load(tmp_path / "run" / "checkpoints" / "checkpoint-4", device="cpu")
    assert np.isfinite(kept.encode_query("pump")).all()
    finished = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    assert finished.steps == 8


def test_a_full_disk_at_a_checkpoint_leaves_the_one_before(tmp_path: Path, tiny_backbone: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done: int, total: int) -> None:
        if done == 6:  # files may not grow beyond this
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    try:
        with pytest.raises(TrainingError, match=r"stopped at step 8: .*last good checkpoint is .*checkpoint-4"):
            train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST), progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [folder.name for folder in (tmp_path / "run" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-4"]
    resumed = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    assert same(
        resumed.encoder, train(untrained(tiny_backbone), PAIRS, tmp_path / "new", TrainingOptions(**FAST)).encoder
    )


def test_what_cannot_be_trained(tmp_path: Path, tiny_backbone: Path, encoder: LexSemBridgeEncoder) -> None:
    options = TrainingOptions(**FAST)
    with pytest.raises(InvalidInputError, match="over wordpieces, in the paper's product"):
        train(LexSemBridgeEncoder(tiny_backbone, device="cpu"), PAIRS, tmp_path / "run", options)
    fitted = LexSemBridgeEncoder(tiny_backbone, device="cpu", bridge=CorpusBridge(CorpusStatistics(32), units="words"))
    with pytest.raises(InvalidInputError, match="over wordpieces"):
        train(fitted, PAIRS, tmp_path / "run", options)
    bridged = untrained(tiny_backbone)
    bridged.bridge = LearnedBridge(bridged.modulation.vocabulary_size, 32)
    with pytest.raises(InvalidInputError, match="without a bridge"):
        train(bridged, PAIRS, tmp_path / "run", TrainingOptions(**FAST, bridge=False))
    still = LexSemBridgeEncoder(tiny_backbone, units="wordpieces", fusion="product", strength=0, device="cpu")
    with pytest.raises(InvalidInputError, match="strength 0"):
        train(still, PAIRS, tmp_path / "run", options)
    assert not (tmp_path / "run").exists()
