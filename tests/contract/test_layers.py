"""Promises about the whole library: who may import whom, what an import costs, what is never done."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lsb_rag

PACKAGE = Path(lsb_rag.__file__).parent
# Data flows one way; a module imports only what stands before it.
ORDER = [
    "errors",
    "utils",
    "passage",
    "lexical",
    "statistics",
    "bridge",
    "rerank",
    "modules",
    "backbones",
    "encoder",
    "explain",
    "store",
    "distributed",
    "embedder",
    "embedding_function",
    "retriever",
    "reading",
    "generation",
    "evaluation",
    "training",
    "console",
    "demo",
    "about",
    "ui",
    "cli",
    "__main__",
]
FRAMEWORKS = {"langchain", "langchain_core", "langchain_chroma", "llama_index"}
LOADED_ON_USE = {"torch", "transformers", "sentence_transformers", "chromadb"}


def imports(file: Path) -> list[tuple[int, str]]:
    """Relative level and module of every import in a file, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.level, name) for name in names if name]
        elif isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
    return found


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_its_place() -> None:
    parts = {part_of(file) for file in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts == set(ORDER)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nothing_imports_what_stands_above_it(file: Path) -> None:
    part = part_of(file)
    depth = len(file.relative_to(PACKAGE).parts)
    for level, name in imports(file):
        assert level or name.split(".")[0] not in FRAMEWORKS, f"{file} imports {name}"
        if level == depth and part != "__init__":  # reaches the package's own top level
            above = name.split(".")[0]
            assert above == "__version__" or ORDER.index(above) < ORDER.index(part), f"{file} imports {above}"


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import lsb_rag", {*LOADED_ON_USE, "scipy", "numpy"}),
        ("from lsb_rag import CorpusBridge, Embedder, LexSemBridgeEncoder, PassageStore, Retriever", LOADED_ON_USE),
        (
            "import lsb_rag.evaluation, lsb_rag.cli.evaluate",
            {"ragas", "openai", "langchain_core", "matplotlib", "jinja2"},
        ),
    ],
)
def test_an_import_loads_nothing_heavy(program: str, heavy: set[str]) -> None:
    code = f"{program}; import sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def test_ragas_is_loaded_without_its_telemetry() -> None:
    code = (
        "import lsb_rag.evaluation.ragas_library, ragas._analytics, langchain_core;"
        "assert ragas._analytics.do_not_track() is True"
    )
    environment = {**os.environ, "RAGAS_DO_NOT_TRACK": "false", "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)  # noqa: S603


def test_every_public_name_is_there() -> None:
    for name in lsb_rag.__all__:
        assert getattr(lsb_rag, name) is not None
    assert set(lsb_rag._HOME) | {"__version__"} == set(lsb_rag.__all__) == set(dir(lsb_rag))
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = lsb_rag.Nonsense  # type: ignore[attr-defined]


def test_no_pickle_and_no_telemetry() -> None:
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "pickle" not in [name for _, name in imports(file)]
        assert "torch.load" not in text
        assert "trust_remote_code=True" not in text


def test_errors_have_one_base_and_a_built_in_one() -> None:
    from lsb_rag import errors

    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    for kind in set(kinds) - {errors.LsbRagError}:
        assert issubclass(kind, errors.LsbRagError)
        assert any(base.__module__ == "builtins" and base is not Exception for base in kind.__mro__[1:-3]), kind
