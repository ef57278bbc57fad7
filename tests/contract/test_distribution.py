"""What a user gets who installs the wheel instead of cloning."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def built(project: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_the_package_its_types_and_the_demo_questions(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "lsb_rag/py.typed",
        "lsb_rag/cli/__init__.py",
        "lsb_rag/demo/docstrings.py",
        "lsb_rag/demo/data/modules.txt",
        "lsb_rag/demo/data/questions/handwritten.jsonl",
    ):
        assert name in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"lsb_rag"}


def test_the_demo_finds_its_questions_in_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)  # what pip does with a pure wheel
    code = (
        "import lsb_rag; from lsb_rag.demo.corpus import demo_modules;"
        "from lsb_rag.demo.questions import load_questions;"
        "print(lsb_rag.__file__, len(load_questions()) > 250, 'json' in demo_modules())"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(  # noqa: S603
        command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(tmp_path / "lsb_rag" / "__init__.py"), "True", "True"]


@pytest.mark.parametrize(
    ("project", "requirements", "modules"),
    [
        (
            "langchain-lexsembridge",
            {"langchain-core", "lsb-rag"},
            {
                f"langchain_lexsembridge/{name}"
                for name in (
                    "__init__.py",
                    "backbones.py",
                    "compressors.py",
                    "construction.py",
                    "documents.py",
                    "embeddings.py",
                    "retrievers.py",
                    "vectorstores.py",
                    "py.typed",
                )
            },
        ),
        (
            "llama-index-lexsembridge",
            {"llama-index-core", "lsb-rag"},
            {
                "llama_index/" + name
                for name in (
                    *(
                        f"embeddings/lexsembridge/{name}"
                        for name in ("__init__.py", "base.py", "encoders.py", "options.py", "py.typed")
                    ),
                    *(
                        f"retrievers/lexsembridge/{name}"
                        for name in ("__init__.py", "base.py", "filters.py", "nodes.py", "vector_stores.py", "py.typed")
                    ),
                    *(f"postprocessor/lexsembridge/{name}" for name in ("__init__.py", "base.py", "py.typed")),
                )
            },
        ),
    ],
)
def test_an_integration_holds_its_package_and_needs_little(
    tmp_path: Path, project: str, requirements: set[str], modules: set[str]
) -> None:
    archive = zipfile.ZipFile(built(ROOT / "integrations" / project, tmp_path))
    assert {name for name in archive.namelist() if ".dist-info" not in name} == modules
    metadata = Parser().parsestr(
        archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    )
    needed = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    assert {one.name for one in needed if one.marker is None} == requirements
    assert metadata["License-Expression"] == "Apache-2.0"
