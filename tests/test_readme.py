"""The README's Python runs as it stands, from top to bottom, in an empty folder."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
from pathlib import Path

import pytest
import typer
from chromadb.api.shared_system_client import SharedSystemClient

from lsb_rag import Passage, PassageStore
from lsb_rag.cli.commands import app

from .chroma_server import chroma_server, url_of

README = Path(__file__).parents[1] / "README.md"


def test_the_python_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SharedSystemClient.clear_system_cache()  # Chroma knows a folder by the text of its path
    snippets = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 8
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 - our own text
    hits = names["hits"]
    assert next(hit.text for hit in hits) == "E-4012: the inlet is blocked."  # type: ignore[attr-defined]
    assert names["documents"][0].page_content == "E-4012: the inlet is blocked."  # type: ignore[index]
    assert names["nodes"][0].text == "E-4012: the inlet is blocked."  # type: ignore[index]
    assert names["found"]["ids"] == [["a"]]  # type: ignore[index]
    assert names["query"].shape == (384,)  # type: ignore[attr-defined]
    assert "blocked" in names["answer"].text  # type: ignore[attr-defined]
    assert sum(effect.degrees for effect in names["explained"].effects) > 0  # type: ignore[attr-defined]
    assert type(names["model"]).__name__ == "SentenceTransformer"


def test_the_python_of_the_page_on_training_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (README.parent / "docs" / "training.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(snippet, "training.md", "exec"), names)  # noqa: S102 - our own text
    assert names["trained"].steps == 6  # type: ignore[attr-defined]


def test_the_python_of_the_page_on_chroma_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (README.parent / "docs" / "chroma.md").read_text(encoding="utf-8")
    SharedSystemClient.clear_system_cache()  # as above
    attach, function, server = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    passages = [Passage("E-4012: the inlet is blocked.", metadata={"kind": "manual"}), Passage("E-4013: the outlet.")]
    PassageStore("chroma_langchain_db", "langchain").add(passages)
    names: dict[str, object] = {}
    for snippet in (attach, function):
        exec(compile(snippet, "chroma.md", "exec"), names)  # noqa: S102 - our own text
    assert len(names["hits"]) == 1  # type: ignore[arg-type]
    assert names["found"]["ids"] == [["a"]]  # type: ignore[index]
    with chroma_server(tmp_path / "served") as (client, _):
        PassageStore(client, "manuals").add(passages)
        code = compile(
            server.replace("http://localhost:8000", url_of(client)), "chroma.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        )
        asyncio.run(eval(code, names))  # noqa: S307 - our own text
        assert len(names["store"]) == 3  # type: ignore[arg-type]


def test_the_commands_are_commands_of_ours() -> None:
    group = typer.main.get_command(app)
    pages = [README, *(README.parent / "docs").rglob("*.md")]
    blocks = [b for page in pages for b in re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    lines = [part for b in blocks for line in b.splitlines() for part in line.removeprefix("$ ").split(" && ")]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("lsb-rag ")]
    assert {"attach", "evaluate", "make-tasks", "index", "search", "ask", "explain", "info", "train", "adapt"} <= {
        c[0] for c in commands
    }
    for name, *arguments in commands:
        command = group.commands[name]  # type: ignore[attr-defined]
        context = command.make_context(name, [], resilient_parsing=True)
        _, rest, _ = command.make_parser(context).parse_args(arguments)  # raises for an option that is not there
        assert rest == [], (name, arguments)


def test_links_to_files_lead_somewhere() -> None:
    pages = [README, *(README.parent / "docs").rglob("*.md"), *(README.parent / "integrations").glob("*/*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_make_targets_are_there() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in ("setup", "demo", "test", "lint", "bench", "help"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
