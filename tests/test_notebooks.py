"""The notebooks run from top to bottom without a hub, and as they were kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from .chat_server import chat_server

DEMOS = Path(__file__).parents[1] / "demos"
NOTEBOOKS = sorted(DEMOS.glob("*.ipynb"))
TITLES = (
    "01_llama_index",
    "02_langchain",
    "03_ragas_comparison",
    "04_upgrade_an_existing_collection",
    "05_inside_lexsembridge",
)
COMPARISON = DEMOS / "03_ragas_comparison.ipynb"
"""The notebook that ends with the answers of a language model."""


@pytest.fixture(autouse=True)
def no_hub_and_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def executed(path: Path, folder: Path) -> Any:
    notebook = read(path)
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute()  # raises where a cell fails
    return notebook


def last_outputs(notebook: Any) -> Any:
    return [cell for cell in notebook.cells if cell.cell_type == "code"][-1].outputs


def test_all_of_them_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(TITLES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook = executed(path, tmp_path)
    if path == COMPARISON:
        (output,) = last_outputs(notebook)
        assert output.text.startswith("Skipped: set OPENAI_BASE_URL")
        assert output.text.count("\n") == 1


def test_a_language_model_answers_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-this-test")
    with chat_server("It is the <default> [1].") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        notebook = executed(COMPARISON, tmp_path)
    (output,) = last_outputs(notebook)
    rows = output.data["text/html"].split("<tr>")[2:]
    assert rows
    assert len(server.requests) == 2 * len(rows)
    for request in server.requests:
        assert request["headers"]["authorization"] == "Bearer key-of-this-test"
        assert request["body"]["messages"][1]["content"].count("<passage id=") == 3
    assert "It is the &lt;default&gt; [1]." in output.data["text/html"]
    assert "key-of-this-test" not in nbformat.writes(notebook)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs_and_nothing_of_the_machine(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert "**What you get:**" in notebook.cells[0].source
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in code) >= len(code) / 2
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert not [output for output in outputs if output.get("text", "").startswith("Skipped")]
    text = path.read_text(encoding="utf-8")
    for trace in ("/home/", "/root/", "/tmp/", "site-packages", "widget-view"):  # noqa: S108
        assert trace not in text
