"""Sphinx configuration: Markdown pages, and an API reference from the docstrings. ``make docs`` builds it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT, *sorted((ROOT / "integrations").glob("*-lexsembridge"))]
sys.path[:0] = map(str, PACKAGES)

# Before autodoc reads pydantic's annotations, whose notes there LlamaIndex's models do not survive.
import llama_index.core  # noqa: F401
from sphinx.ext.napoleon import Config, GoogleDocstring

from lsb_rag import __version__

project = "lsb-rag"
copyright = "the authors of lsb-rag, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build", "README.md"]  # README.md, for who reads the sources, is what index.md begins with
myst_heading_anchors = 3
smartquotes = False  # messages and commands are searched for and copied as they are
copybutton_prompt_text = r"\$ |> "
copybutton_prompt_is_regexp = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
default_role = "code"  # the integrations' docstrings mark code with one backtick, as LangChain's and LlamaIndex's do
# Types of others, which have no inventory here. A name of ours that cannot be found fails the build.
nitpick_ignore_regex = [
    ("py:.*", r"(annotated_types|chromadb|collections|contextlib|langchain\w*|llama_index|numpy|pathlib|pydantic)\..*"),
    ("py:.*", r"(sentence_transformers|torch|types|typing)\..*"),
    ("py:class", r"abc\.Collection|GivenEncoder|lsb_rag\.(utils\.arguments\.(Between|Instead)|.*\.Annotated)"),
    ("py:class", r"lsb_rag\.store\.embedded\.FileState"),
    (
        "py:class",
        r"Base(Node|PydanticVectorStore)|Chroma|ClientAPI|Collection|Document|Path|SentenceTransformer|MCPServer",
    ),
    ("py:class", r"(BaseEmbedding|Embeddings|Skip|Field|dict\[|list\[|Tokenizer|VectorStoreIndex).*"),
]

html_theme = "furo"
html_title = f"lsb-rag {version}"
html_copy_source = False
html_show_sphinx = False


def commands(app: Any, page: str, source: list[str]) -> None:
    """The page of the command line ends in what the commands say of themselves."""
    if page == "command-line":
        typer = [sys.executable, "-m", "typer", "lsb_rag.cli.commands", "utils", "docs", "--name", "lsb-rag"]
        made = subprocess.run(typer, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
        _, heading, rest = made.partition("\n## ")
        if not rest:
            raise ValueError(f"the program's help names no command: {made}")
        source[0] += heading + rest


def google_style(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """The integrations' docstrings: Google's style and Markdown's fences, as LangChain's and LlamaIndex's."""
    if not name.startswith("lsb_rag"):
        fenced = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
        text = fenced.sub(lambda it: f"{it[1]}.. code-block:: python\n\n{indent(it[2], '    ')}", "\n".join(lines))
        lines[:] = text.split("\n")
        if what != "attribute":
            lines[:] = GoogleDocstring(lines, Config(), what=what, name=name, obj=obj).lines()


def factories(app: Any, what: str, name: str, obj: object, options: object, signature: str, returns: str) -> Any:
    """A dataclass's ``<factory>`` is no Python, and a signature that holds it would not be read."""
    return (signature and signature.replace("<factory>", "..."), returns)


def by_last_name(app: Any, env: Any, node: Any, shown: Any) -> Any:
    """What a module imports for type checkers alone, or a docstring names in short, is found by its last name."""
    if node.get("refdomain") != "py":
        return None
    node["refspecific"] = True
    name = node["reftarget"].rpartition(".")[2]
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, shown)


def setup(app: Any) -> None:
    """Tie these functions to Sphinx's events."""
    app.connect("source-read", commands)
    app.connect("autodoc-process-docstring", google_style)
    app.connect("autodoc-process-signature", factories)
    app.connect("missing-reference", by_last_name)
