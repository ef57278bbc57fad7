"""Promises about the whole library: who may import whom, what an import costs, what is never done."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import lsb_rag

PACKAGE = Path(lsb_rag.__file__).parent
INTEGRATIONS = Path(__file__).parents[2] / "integrations"
# Data flows one way: a package imports only packages on the lines above its own.
LAYERS = [
    {"errors"},
    {"utils"},
    {"passage", "lexical"},
    {"statistics"},
    {"sentences"},
    {"bridge", "confidence", "diversity", "rerank"},
    {"modules"},
    {"backbones"},
    {"encoder"},
    {"store", "generation"},
    {"explain"},
    {"retriever", "embedder"},
    {"reranker"},
    {"embedding_function", "reading", "distributed"},
    {"evaluation"},
    {"training", "demo", "mcp_server", "ui"},
    {"cli"},
    {"__main__"},
]
LAYER = {package: number for number, layer in enumerate(LAYERS) for package in layer}
FRAMEWORKS = {"langchain", "langchain_core", "langchain_chroma", "llama_index"}
LOADED_ON_USE = {"torch", "transformers", "sentence_transformers", "chromadb"}


FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file) for file in FILES}


def imports(file: Path) -> set[str]:
    """Full names of what a file imports: inside functions and for types too. Of our own, the modules."""
    package = module_of(file).split(".")
    package = package if file.name == "__init__.py" else package[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *filter(None, [node.module])])
            found |= {one if (one := f"{name}.{alias.name}") in MODULES else name for alias in node.names}
    return found


def package_of(module: str) -> str:
    """The layer's name: ``store`` of ``lsb_rag.store.records``."""
    return module.split(".")[1]


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("lsb_rag.")}


def test_every_package_has_its_layer() -> None:
    assert {package_of(module) for module in MODULES - {"lsb_rag"}} == set(LAYER)


@each_file
def test_a_package_imports_only_what_stands_above_it(file: Path) -> None:
    module = module_of(file)
    if module == "lsb_rag":
        return
    own = package_of(module)
    for name in ours(imports(file)):
        assert package_of(name) == own or LAYER[package_of(name)] < LAYER[own], f"{module} imports {name}"


def test_there_is_no_circle() -> None:
    graph = {module_of(file): ours(imports(file)) for file in FILES}
    del graph["lsb_rag"]  # names everything public
    TopologicalSorter(graph).prepare()  # raises where there is one


@each_file
def test_who_may_know_what(file: Path) -> None:
    roots = {name.split(".")[0] for name in imports(file)}
    module = module_of(file)
    assert not roots & FRAMEWORKS
    if not module.startswith(("lsb_rag.store", "lsb_rag.embedding_function")):
        assert "chromadb" not in roots
    if not module.startswith("lsb_rag.statistics"):
        assert "sqlite3" not in roots


def test_the_integrations_import_public_names_errors_and_utils_alone() -> None:
    files = [file for file in INTEGRATIONS.rglob("*.py") if "tests" not in file.parts]
    found = {name for file in files for name in ours_of_integration(file)}
    assert found == {"lsb_rag", "lsb_rag.errors", "lsb_rag.utils"}


def ours_of_integration(file: Path) -> set[str]:
    tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    names = {node.module or "" for node in tree if isinstance(node, ast.ImportFrom) and not node.level}
    return {name for name in names if name.split(".")[0] == "lsb_rag"}


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
        "import lsb_rag.evaluation.ragas.library, ragas._analytics, langchain_core;"
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
        assert "pickle" not in imports(file)
        assert "torch.load" not in text
        assert "trust_remote_code=True" not in text


def test_errors_have_one_base_and_a_built_in_one() -> None:
    from lsb_rag import errors

    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    for kind in set(kinds) - {errors.LsbRagError}:
        assert issubclass(kind, errors.LsbRagError)
        # The last three are Exception, BaseException and object, which every error has.
        assert any(base.__module__ == "builtins" and base is not Exception for base in kind.__mro__[1:-3]), kind
