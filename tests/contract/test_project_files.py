"""The project's own files agree with each other and with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import lsb_rag

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, *sorted(path.parent for path in (ROOT / "integrations").glob("*/pyproject.toml"))]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_workflow_calls_targets_of_the_makefile() -> None:
    jobs = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {"make lint", "make test", "make docs"} == set(commands)
    for command in commands:
        assert re.search(rf"^{command.removeprefix('make ')}:", text_of("Makefile"), re.MULTILINE), command


def test_the_workflow_may_write_nothing_and_stops_what_is_overtaken() -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/ci.yml"))
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert workflow["jobs"]["test"]["strategy"]["fail-fast"] is False
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v1"))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_the_versions_of_python_are_the_same_everywhere(project: Path) -> None:
    tested = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"]["test"]["strategy"]["matrix"]["python-version"]
    written = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"Programming Language :: Python :: (3\.\d+)"', written) == tested
    assert re.findall(r'^requires-python = "(.*)"', written, re.MULTILINE) == [f">={tested[0]}"]


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["version"] == lsb_rag.__version__
    assert citation["license"] == "Apache-2.0"
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2508.17858"
    assert paper["authors"][0]["family-names"] == "Zhan"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_what_the_pages_name_is_there(name: str) -> None:
    text = text_of(name)
    named = re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r"`((?:lsb_rag|tests|integrations|docs)/[^` ]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    for target in re.findall(r"`?make ([a-z]+)", text):
        assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE), target


def test_the_names_in_the_recipes_are_in_the_files_they_are_said_to_be_in() -> None:
    recipes = text_of("CONTRIBUTING.md").split("## Recipes")[1]
    for paragraph in recipes.split("\n\n"):
        files = re.findall(r"`((?:lsb_rag|tests)/[^`]*\.py)`", paragraph)
        content = "".join(text_of(file) for file in files)
        for word in re.findall(r"`([A-Za-z_.]+)`", paragraph):
            assert not files or word.removeprefix("self.") in content, (word, files)


def test_the_layout_leaves_no_folder_out() -> None:
    layout = text_of("CONTRIBUTING.md").split("## Layout")[1].split("## Tests")[0]
    folders = {f"lsb_rag/{path.parent.name}/" for path in (ROOT / "lsb_rag").glob("*/__init__.py")}
    assert [folder for folder in sorted(folders) if f"`{folder}`" not in layout] == []
