"""What a user gets who installs the wheel instead of cloning."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_its_types_and_the_demo_questions(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for name in (
        "lsb_rag/py.typed",
        "lsb_rag/cli.py",
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
