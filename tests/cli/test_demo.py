from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lsb_rag import LexSemBridgeEncoder, PassageStore
from lsb_rag.demo import run as demo_run

from .terminal import call


def test_the_demo_compares_and_runs_again_at_once(
    tmp_path: Path, small_demo: None, capsys: pytest.CaptureFixture[str], encoder: LexSemBridgeEncoder
) -> None:
    db = str(tmp_path / "db")
    code, out, err = call(capsys, "demo", "--db", db, "--questions", "2", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert len(found["questions"]) == 2
    for question in found["questions"]:
        assert question["relevant"]
        for arm in question["arms"].values():
            assert len(arm["ids"]) == 3
            assert set(arm["citations"]) <= set(arm["ids"])
    summary = found["summary"]
    lsb, vanilla = (summary["arms"][arm]["keyword"] for arm in ("lsb", "vanilla"))
    assert set(summary["arms"]["lsb"]) == {"keyword", "control", "all"}
    assert lsb["mrr@10"] >= vanilla["mrr@10"]
    (difference,) = (
        one
        for one in summary["comparisons"]
        if (one["arm"], one["kind"], one["metric"]) == ("lsb", "keyword", "mrr@10")
    )
    low, high = difference["ci95"]
    assert low <= difference["delta"] <= high
    assert difference["wins"] + difference["ties"] + difference["losses"] == lsb["n"]

    code, out, err = call(capsys, "demo", "--db", db, "--questions", "1")
    assert code == 0
    assert "all indexed before" in err
    assert "vanilla dense" in out
    assert "LexSemBridge" in out
    assert f"Keyword-heavy questions, n = {lsb['n']}" in out
    assert max(map(len, out.split("Keyword-heavy")[1].split("Δ: mean")[0].splitlines())) <= 80
    assert "…" not in out.split("Keyword-heavy")[1]  # no figure is cut off at 80 columns
    assert f"{high:+.3f}]" in out
    store = PassageStore(tmp_path / "db", demo_run.collection_name(), encoder, create=False)
    shutil.rmtree(tmp_path / "db" / "lsb_rag")
    store.delete([store.ids()[0]])
    store.add(["left over from another version"])
    assert "indexed 1 of them" in call(capsys, "demo", "--db", db, "--questions", "0", "--json")[2]
    assert len(store) == len(demo_run.build_demo_corpus())
