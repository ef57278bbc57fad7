from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, Passage, PassageStore
from lsb_rag.cli.train import STRENGTHS

from ..training.test_word_weights import machines  # noqa: F401 - a fixture
from .terminal import call


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(12):
        words = " ".join(f"pump{n} valve{i} sensor{n}{i}" for i in range(12))
        (folder / f"{n}.txt").write_text(f"Manual {n}. {words}.", encoding="utf-8")
    return folder


def test_train_draws_queries_trains_and_says_what_was_measured(
    tmp_path: Path, corpus: Path, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "\n".join(json.dumps({"query": f"what is part {n}", "pos": f"Part {n} is a pump."}) for n in range(20)), "utf-8"
    )
    options = ["--backbone", str(tiny_backbone), "--batch-size", "4", "-n", "10", "--save-steps", "3", "--seed", "1"]
    command = ["train", str(corpus), "--pairs", str(pairs), "--freeze", "--held-out", "0.3", *options]
    code, out, err = call(capsys, *command, "--out", str(tmp_path / "model"))
    assert (code, "the model is in" in err) == (0, True)
    assert "own mrr@10:" in out
    assert "without the bridge" in out
    encoder = LexSemBridgeEncoder.load(tmp_path / "model", device="cpu")
    assert float(encoder.bridge.weight.detach().abs().max()) > 0  # type: ignore[union-attr]
    code, out, _ = call(capsys, *command, "--hard-negatives", "1", "--json", "--out", str(tmp_path / "hard"))
    found = json.loads(out)
    assert code == 0
    assert found["steps"] > 3
    assert found["history"][-1]["own_mrr@10"] >= 0
    code, _, err = call(capsys, *command, "--backbone", str(tmp_path / "model"), "--paradigm", "llr", "--out", "x")
    assert (code, "weights by slr, not llr" in err.replace("\n", " ")) == (1, True)
    # A trained model is trained on, and serves a collection of its own.
    further = ["--backbone", str(tmp_path / "model"), "--out", str(tmp_path / "further")]
    code, _, err = call(capsys, "train", str(corpus), *options, *further)
    assert code == 0, err
    store = PassageStore(tmp_path / "db", "trained", LexSemBridgeEncoder.load(tmp_path / "further", device="cpu"))
    store.add([Passage("pump1 valve2", id="a")])
    assert PassageStore(tmp_path / "db", "trained").encoder.name == str(tmp_path / "further")


def test_train_says_what_is_wrong(
    tmp_path: Path, corpus: Path, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "model"), "--backbone", str(tiny_backbone)]
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"query": "a", "pos": "b", "neg": ["b"]}) + "\n" + json.dumps({"query": "c", "pos": "d"}))
    for arguments, message in (
        ([], "Give a corpus, a --collection, or your own --pairs"),
        ([str(corpus), "-c", "x"], "not both"),
        ([str(tmp_path / "none")], "There is no file or folder"),
        (["--pairs", str(own)], "a passage that answers it among its negatives"),
        ([str(corpus), "--freeze", "--no-bridge"], "nothing to train"),
        ([str(corpus), "--paradigm", "xlr"], "Unknown paradigm"),
        ([str(corpus), "--batch-size", "1"], "batch_size must be at least 2"),
    ):
        code, stdout, err = call(capsys, "train", *arguments, *out)
        assert (code, stdout) == (1, ""), message
        assert message in err.replace("\n", " ")
    assert not (tmp_path / "model").exists()


def test_adapt_decides_and_forgets(machines: PassageStore, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    arguments = ["adapt", "machines", "--db", str(machines.path), "-n", "60"]
    code, out, _ = call(capsys, *arguments)
    assert code == 0
    assert "Held-out queries drawn from machines, n =" in out
    assert ("Not kept" in out) != ("Kept: strength" in out)
    code, out, _ = call(capsys, *arguments, "--strength", "--json")
    found = json.loads(out)
    assert found["kept"] == (PassageStore(machines.path, "machines").bridge.adaptation is not None)
    assert found["strength"] in STRENGTHS
    assert json.loads(call(capsys, *arguments, "--forget", "--json")[1]) == {"collection": "machines", "kept": False}
    kept = next((machines.path / "lsb_rag").glob("*.sqlite3"))  # type: ignore[operator]
    kept.with_name(f"{kept.stem}.adapted.json").write_text("{", encoding="utf-8")
    code, _, err = call(capsys, "search", "pump", "-c", "machines", "--db", str(machines.path))
    assert (code, "lsb-rag adapt" in err) == (1, True)
    assert call(capsys, *arguments)[0] == 0  # makes a new one, or none
    assert call(capsys, "search", "pump", "-c", "machines", "--db", str(machines.path))[0] == 0
    code, out, _ = call(capsys, *arguments, "--forget")
    assert (code, "as it is fitted" in out) == (0, True)
    assert PassageStore(machines.path, "machines").bridge.adaptation is None
    code, _, err = call(capsys, "adapt", "nothing", "--db", str(machines.path))
    assert (code, "nothing" in err) == (1, True)
