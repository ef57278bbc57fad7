from __future__ import annotations

import json
import math
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lsb_rag import LearnedBridge, LexSemBridgeEncoder, LsbRagError
from lsb_rag.bridge.corpus import CorpusBridge
from lsb_rag.errors import InvalidInputError, TrainingError
from lsb_rag.statistics.in_memory import CorpusStatistics
from lsb_rag.training import HeldOut, Pair, TrainingOptions, contrastive, draw_pairs, train
from lsb_rag.training import run as run_folder
from lsb_rag.training.loss import ContrastiveLoss

from ..conftest import MANUAL
from ..tiny import save_tiny

PAIRS = draw_pairs(MANUAL, 30, seed=1)["keyword"]
FAST: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "save_steps": 4, "max_steps": 8}


def untrained(backbone: Path, paradigm: Any = "slr") -> LexSemBridgeEncoder:
    return LexSemBridgeEncoder(backbone, paradigm=paradigm, units="wordpieces", fusion="product", device="cpu")


def weights(encoder: LexSemBridgeEncoder) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in encoder.model.state_dict().items()}


def same(one: LexSemBridgeEncoder, other: LexSemBridgeEncoder) -> bool:
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


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


def test_a_folder_is_not_taken_for_another_run(tmp_path: Path, tiny_backbone: Path) -> None:
    options = TrainingOptions(**FAST)

    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done == 5:
            raise Cut

    with pytest.raises(Cut):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, progress=cut)
    other = save_tiny(tmp_path / "other", "wordpiece", "mean")
    torch.manual_seed(5)
    for encoder, pairs, chosen, what in (
        (untrained(tiny_backbone), PAIRS[1:], options, "pairs"),
        (untrained(tiny_backbone), PAIRS, TrainingOptions(**{**FAST, "seed": 4}), "seed"),
        (untrained(tiny_backbone, "llr"), PAIRS, options, "modulation"),
        (untrained(save_tiny(tmp_path / "bpe", "bpe", "cls")), PAIRS, options, "backbone.*tokenizer"),
        (untrained(other), PAIRS, options, "backbone"),
    ):
        with pytest.raises(InvalidInputError, match=f"had other .*{what}.*Nothing was changed"):
            train(encoder, pairs, tmp_path / "run", chosen)
    train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)
    with pytest.raises(InvalidInputError, match="holds something already"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)


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
    card = (tmp_path / "True" / "README.md").read_text(encoding="utf-8")
    assert "8 pairs, 1 negatives each" in card
    assert str(tmp_path) not in card


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


def test_a_frozen_backbone_embeds_passages_once_and_gives_the_same_loss(tmp_path: Path, tiny_backbone: Path) -> None:
    embedded: list[tuple[int, int]] = []
    encoder = untrained(tiny_backbone)
    calls: list[int] = []
    original = encoder.transformer.forward

    def counted(features: dict[str, Any], **kwargs: Any) -> Any:
        calls.append(len(features["input_ids"]))
        return original(features, **kwargs)

    encoder.transformer.forward = counted  # type: ignore[method-assign]
    options = TrainingOptions(freeze=True, **{**FAST, "max_steps": 3})
    train(encoder, PAIRS, tmp_path / "run", options, embedding=lambda done, total: embedded.append((done, total)))
    passages = len({pair.positive for pair in PAIRS})
    assert embedded == [(passages, passages)]
    assert sum(calls) == passages + 3 * options.batch_size


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


def test_weights_that_are_lost_are_not_saved(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder = untrained(tiny_backbone)

    def poison(done: int, total: int) -> None:
        if done == 8:  # before the checkpoint of this step
            with torch.no_grad():
                encoder.bridge.weight.fill_(math.inf)  # type: ignore[union-attr]

    with pytest.raises(TrainingError, match=r"weights are no longer finite .*checkpoint-4"):
        train(encoder, PAIRS, tmp_path / "run", TrainingOptions(**FAST), progress=poison)
    assert not (tmp_path / "run" / "modules.json").exists()


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


def test_killed_while_the_finished_model_is_written(
    tmp_path: Path, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, held = TrainingOptions(**FAST), HeldOut({"keyword": PAIRS[:5]})
    whole = train(untrained(tiny_backbone), PAIRS, tmp_path / "whole", options, held_out=held)

    def killed(root: Path) -> None:
        (run_folder.staging(root) / "config.json").replace(root / "config.json")
        raise KeyboardInterrupt

    monkeypatch.setattr(contrastive, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    monkeypatch.undo()
    assert not (tmp_path / "run" / "modules.json").exists()
    with pytest.raises(InvalidInputError, match="had other held_out"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options)
    again = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    assert same(again.encoder, whole.encoder)
    assert again.history == whole.history
    assert same(LexSemBridgeEncoder.load(tmp_path / "run", device="cpu"), whole.encoder)


def test_a_run_shorter_than_a_checkpoint_is_measured_at_its_end(tmp_path: Path, tiny_backbone: Path) -> None:
    held = HeldOut({"keyword": PAIRS[:5]})
    options = TrainingOptions(batch_size=4, max_steps=3)
    trained = train(untrained(tiny_backbone), PAIRS, tmp_path / "run", options, held_out=held)
    assert [row["step"] for row in trained.history] == [3]
    assert not list((tmp_path / "run" / "checkpoints").glob("finished"))


def test_a_folder_of_another_trainer_is_left_alone(tmp_path: Path, tiny_backbone: Path) -> None:
    theirs = tmp_path / "run" / "checkpoints" / "checkpoint-500"
    theirs.mkdir(parents=True)
    (theirs / "model.safetensors").write_bytes(b"precious")
    with pytest.raises(InvalidInputError, match="Nothing was changed"):
        train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    assert (theirs / "model.safetensors").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made(tmp_path: Path, tiny_backbone: Path) -> None:
    (tmp_path / "file").touch()
    encoder = untrained(tiny_backbone)
    with pytest.raises(TrainingError, match="Cannot write to"):
        train(encoder, PAIRS, tmp_path / "file" / "run", TrainingOptions(**FAST, freeze=True))
    assert not encoder.transformer.frozen


def test_one_held_out_set_measures_several_encoders(tmp_path: Path, tiny_backbone: Path) -> None:
    held, options = HeldOut({"keyword": PAIRS[:8]}), TrainingOptions(**FAST)
    train(untrained(tiny_backbone), PAIRS, tmp_path / "frozen", TrainingOptions(**FAST, freeze=True), held_out=held)
    again = train(untrained(tiny_backbone), PAIRS, tmp_path / "again", options, held_out=held)
    fresh = train(untrained(tiny_backbone), PAIRS, tmp_path / "new", options, held_out=HeldOut({"keyword": PAIRS[:8]}))
    assert again.history == fresh.history


def test_every_pair_is_seen_though_passages_come_again(tmp_path: Path, tiny_backbone: Path) -> None:
    pairs = [Pair(f"query {n}", f"passage {n % 3}", ("passage 3",)) for n in range(30)]
    encoder, seen = untrained(tiny_backbone), []
    original = encoder.transformer.preprocess

    def noted(inputs: Any, *arguments: Any, **options: Any) -> Any:
        if options.get("task") == "query":
            seen.extend(inputs)
        return original(inputs, *arguments, **options)

    encoder.transformer.preprocess = noted  # type: ignore[method-assign]
    trained = train(encoder, pairs, tmp_path / "run", TrainingOptions(batch_size=8, freeze=True))
    assert sorted(seen) == sorted(pair.query for pair in pairs)
    assert trained.steps == 4


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
    with pytest.raises(InvalidInputError, match="no held-out pairs"):
        HeldOut({"keyword": []})


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": math.nan},
        {"temperature": -1},
        {"warmup": 2},
        {"save_steps": 0},
        {"seed": 2**32},
        {"epochs": "3"},
        {"batch_size": 2.5},
        {"freeze": True, "bridge": False},
    ],
)
def test_options_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(LsbRagError, match=next(iter(wrong)) if len(wrong) == 1 else "nothing to train"):
        TrainingOptions(**wrong)


def test_no_pickle_beside_what_the_trainer_needs_to_resume(tmp_path: Path, tiny_backbone: Path) -> None:
    train(untrained(tiny_backbone), PAIRS, tmp_path / "run", TrainingOptions(**FAST))
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    pickled = {file.name for file in files if file.suffix in (".bin", ".pt", ".pth", ".pkl")}
    assert pickled == {"optimizer.pt", "scheduler.pt", "rng_state.pth"}
    assert not [file for file in (tmp_path / "run").glob("*") if file.suffix in (".bin", ".pt", ".pth", ".pkl")]
    told = json.loads((tmp_path / "run" / "checkpoints" / "checkpoint-8" / "lsb_rag_run.json").read_text())
    assert MANUAL[0].content not in json.dumps(told)
