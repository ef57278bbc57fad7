"""The notebooks run from top to bottom without a hub, and as they were kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import nbformat.v4
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
LISTED = re.compile(r"^MODULES = \[.*?^\]", re.MULTILINE | re.DOTALL)
MODULES = ["argparse", "json", "os.path", "subprocess"]
COMPARISON = DEMOS / "03_ragas_comparison.ipynb"
"""The notebook that ends with the answers of a language model."""


@pytest.fixture(autouse=True)
def no_hub_and_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("LSB_RAG_PRECISION", "auto")  # as users have it
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def executed(path: Path, folder: Path, *more: Any) -> Any:
    """Run a notebook, and more cells, over a third of its corpus."""
    notebook = read(path)
    notebook.cells += more
    for cell in notebook.cells:
        cell.source = LISTED.sub(f"MODULES = {MODULES}", cell.source)
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute()  # raises where a cell fails
    return notebook


def last_outputs(notebook: Any) -> Any:
    return [cell for cell in notebook.cells if cell.cell_type == "code"][-1].outputs


def test_all_of_them_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == list(TITLES)


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path != COMPARISON], ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    executed(path, tmp_path)


def test_the_comparison_with_a_language_model_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-this-test")
    answering = [cell for cell in read(COMPARISON).cells if cell.cell_type == "code"][-1]
    without = nbformat.v4.new_code_cell("import os\n\ndel os.environ['OPENAI_BASE_URL']\n" + answering.source)
    with chat_server("It is the <default> [1].") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        notebook = executed(COMPARISON, tmp_path, without)
    (skipped,) = last_outputs(notebook)
    assert skipped.text.startswith("Skipped: set OPENAI_BASE_URL")
    assert skipped.text.count("\n") == 1
    notebook.cells.pop()
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
