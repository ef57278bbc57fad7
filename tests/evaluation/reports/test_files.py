from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsb_rag import PassageStore
from lsb_rag.errors import MissingExtraError, StoreError
from lsb_rag.evaluation import Evaluation, summary, write_report
from lsb_rag.evaluation.reports.files import report_folder


def test_the_files(
    tmp_path: Path, store: PassageStore, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(evaluation, store, tmp_path / "report")
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "report").iterdir()}
    assert set(files) == {"summary.json", "rows.jsonl", "config.json", "run.json", "report.md", "report.html"}
    assert json.loads(files["summary.json"]) == summary(evaluation)
    rows = [json.loads(line) for line in files["rows.jsonl"].splitlines()]
    assert len(rows) == 9
    row = next(row for row in rows if (row["query_id"], row["arm"]) == ("q1", "lsb"))
    assert row["ids"][0] == "pump"
    assert row["relevant"] == ["pump"]
    assert row["references"] == ["the inlet is blocked"]
    assert len(row["contexts"]) == len(row["scores"]) == 5
    config = json.loads(files["config.json"])
    assert config["backbone"]["backbone"] == "all-MiniLM-L6-v2"
    assert config["arms"] == ["vanilla", "bm25", "lsb"]
    assert (config["passages"], config["queries"]) == (7, {"question": 2, "keyword": 1, "all": 3})
    assert len(config["dataset_sha256"]) == 64
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"jinja2 and matplotlib.*lsb-rag\[eval\]"):
        report_folder(tmp_path)
    monkeypatch.undo()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="Cannot write the report"):
        write_report(evaluation, store, tmp_path / "file")
