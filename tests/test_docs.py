"""The documentation: what its pages show runs, what they leave out fails here, and it builds."""

from __future__ import annotations

import ast
import asyncio
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
import typer
from chromadb.api.shared_system_client import SharedSystemClient
from langchain_chroma import Chroma
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.vector_stores.chroma import ChromaVectorStore

from lsb_rag import Passage, PassageStore, cli, errors
from lsb_rag.cli.commands import app

from .chat_server import chat_server
from .chroma_server import chroma_server, url_of
from .contract.test_any_embeddings import TwoSided, TwoSidedModel
from .embedding_server import embedding_server

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = [ROOT / "lsb_rag", *(ROOT / "integrations").glob("*-lexsembridge/l*")]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts),
    *sorted((ROOT / "integrations").glob("*/README.md")),
]
SERVER = "http://localhost:8000"

TRUE_AFTERWARDS = {
    "README.md": [
        "hits[0].text == documents[0].page_content == nodes[0].text == 'E-4012: the inlet is blocked.'",
        "found['ids'] == [['a']]",
        "query.shape == (384,)",
        "'blocked' in answer.text",
        "sum(effect.degrees for effect in explained.effects) > 0",
        "type(model).__name__ == 'SentenceTransformer'",
    ],
    "docs/sentences.md": ["hit.sentence == 'The inlet is blocked by sand.'"],
    "docs/evaluation.md": ["list(evaluation.arms) == ['vanilla', 'lsb', 'mine']"],
    "docs/exported-backbones.md": ["encoder.dimension == 384"],
    "docs/embeddings.md": ["hits[0].text == 'E-4012: the inlet is blocked.'"],
    "docs/get-started.md": [
        "hits[0].id == 'inlet'",
        "answer.citations[0] == 'inlet'",
        "explained.effects[0].unit in ('4012', 'e-4012')",
        "list(evaluation.arms) == ['vanilla', 'bm25', 'lsb']",
        "os.path.isfile('report/report.html') and os.path.isfile('report-of-python/report.html')",
    ],
    "docs/documents.md": ["hits[0].citation == 'pump.html \u203a Codes'"],
    "docs/chroma.md": ["found['ids'] == [['a']]", "len(store) == 1"],
    "docs/vector-stores.md": [
        "documents[0].page_content == nodes[0].text == 'E-4012: the inlet is blocked.'",
        "reranked[0].page_content == found[0].text == 'E-4012: the inlet is blocked.'",
        "os.path.isfile('manuals.statistics')",
    ],
    "docs/README.md": ["hits[0].text == 'E-4012: the inlet is blocked.'"],
    "docs/langchain.md": [
        "yours[0].page_content == 'E-4012: the inlet is blocked.' and len(vector) == 64",
        "answer == 'The inlet is blocked.' == messages[-1].content",
        "documents[0].page_content == 'E-4012: the inlet is blocked.'",
        "{document.metadata['kind'] for document in faults} == {'fault'} and len(several) == 2",
        "[document.page_content for document in named] == ['E-4013: the outlet is blocked.']",
        "len(one) == 1 and ids == ['valve'] and gone and counts['num_added'] == 1",
        "found[0].page_content.startswith('E-5101') and found[1].page_content.startswith('E-4013')",
        "'score' not in plain.invoke('E-4012')[0].metadata",
        "elsewhere.embed_query('E-4012') == embeddings.embed_query('E-4012')",
    ],
    "docs/llama-index.md": [
        "nodes[0].text == 'E-4012: the inlet is blocked.'",
        "[node.text for node in only] == ['E-4013: the outlet is blocked.']",
        "found[0].text.startswith('E-5101') and found[1].text.startswith('E-4013')",
        "'E-4012: the inlet is blocked.' in str(answer) and 'E-4012' in str(reply)",
        "[node.text for node in ingested] == texts and ingested[0].embedding",
        "len(elsewhere.get_query_embedding('E-4012')) == 384",
    ],
    "docs/training.md": ["trained.steps == 6"],
    "integrations/langchain-lexsembridge/README.md": [
        "documents[0].page_content == 'E-4012: the inlet is blocked.'",
        "answer == 'The inlet is blocked.'",
        "asked[0]['body']['model'] == 'gpt-5-mini'",
        "'<passage id=\"1\">\\nE-4012' in asked[0]['body']['messages'][0]['content']",
        "os.listdir() == ['db']",
    ],
    "integrations/llama-index-lexsembridge/README.md": [
        "nodes[0].text == 'E-4012: the inlet is blocked.'",
        "'E-4012: the inlet is blocked.' in str(answer)",
        "os.listdir() == ['db']",
    ],
}
"""Of every page with Python in it, what its names must have come to."""


def path_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Language and text of the fenced blocks, in order."""
    fenced = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in fenced if language in languages]


def commands(block: str) -> Iterator[str]:
    """What is typed after each prompt, with its continuation lines."""
    for typed in re.findall(r"^\$ (.*\n(?:> .*\n)*)", block, re.MULTILINE):
        yield typed.replace("\n> ", "\n").strip()


def ours(command: str) -> list[list[str]]:
    """The arguments of each lsb-rag in a line."""
    parts = [shlex.split(part, comments=True) for part in command.split("\n")[0].split(" && ")]
    words = [[word for word in part if not re.match(r"[A-Z_]+=", word)] for part in parts]
    return [part[1:] for part in words if part[:1] == ["lsb-rag"]]


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a newcomer: empty, and no collection anywhere."""
    monkeypatch.chdir(tmp_path)
    cache = tmp_path.with_name(f"{tmp_path.name}-cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv(cli.options.DB_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OPENAI_API_KEY", "no-key")
    SharedSystemClient.clear_system_cache()  # Chroma knows a folder by the text of its path
    return tmp_path


def what_somebody_has() -> dict[str, Any]:
    """An application before this library: a vector store, an index, embedding functions and a collection of theirs."""
    texts = ["E-4012: the inlet is blocked.", "E-4013: the outlet is blocked."]
    embeddings = TwoSided()
    collection = chromadb.PersistentClient("./my-db").create_collection("manuals", embedding_function=None)
    collection.add(ids=["a", "b"], documents=texts, embeddings=np.array(embeddings.embed_documents(texts)))
    storage = StorageContext.from_defaults(
        vector_store=ChromaVectorStore(chromadb.EphemeralClient().get_or_create_collection("readme-index"))
    )
    nodes = [TextNode(text=text) for text in texts]
    return {
        "vectorstore": Chroma.from_texts(texts, embeddings, collection_name="readme-store"),
        "index": VectorStoreIndex(nodes, storage_context=storage, embed_model=TwoSidedModel()),
        "embed_passages": embeddings.embed_documents,
        "embed_query": embeddings.embed_query,
    }


def run_command(command: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.startswith(("git ", "pip ")):
        return  # how this came to be installed
    if not command.startswith("lsb-rag "):
        subprocess.run(["bash", "-euc", command], cwd=folder, check=True)  # noqa: S603, S607
        return
    for arguments in ours(command):
        monkeypatch.setattr(sys, "argv", ["lsb-rag", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code, command


@pytest.mark.allow_hosts(["127.0.0.1", "::1"])
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=path_of)
def test_the_blocks_of_a_page_run_in_order(
    page: Path, empty_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    languages = ("python", "console", "text") if page.name == "get-started.md" else ("python",)
    wanted = blocks(page, *languages)
    printed = ""
    with ExitStack() as stack:
        server = stack.enter_context(chat_server("The inlet is blocked."))
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        if any("llama_index.embeddings.openai" in text for _, text in wanted):  # another variable
            monkeypatch.setenv("OPENAI_API_BASE", stack.enter_context(embedding_server()).url)
        names: dict[str, Any] = {"os": os, "asked": server.requests}
        if page == ROOT / "README.md":
            names |= what_somebody_has()
        address = SERVER
        if any(SERVER in text for _, text in wanted):
            client, _ = stack.enter_context(chroma_server(empty_folder.with_name(f"{empty_folder.name}-served")))
            address = url_of(client)
        if page.name == "chroma.md":  # what somebody has already
            there = Passage("E-4012: the inlet is blocked.", metadata={"kind": "manual"})
            PassageStore("chroma_langchain_db", "langchain").add([there])
        for number, (language, text) in enumerate(wanted, start=1):
            if language == "text":
                assert text in printed, f"{path_of(page)} shows what is not printed:\n{text}\n{printed}"
            elif language == "console":
                for command in commands(text):
                    run_command(command, empty_folder, monkeypatch)
                    printed += capsys.readouterr().out
            else:
                where = f"{path_of(page)}, block {number}"
                code = compile(text.replace(SERVER, address), where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                waiting = eval(code, names)  # noqa: S307 - our own text
                if waiting is not None:
                    asyncio.run(waiting)
        for expression in TRUE_AFTERWARDS[path_of(page)]:
            assert eval(expression, names), expression  # noqa: S307 - our own text


def test_the_commands_are_commands_of_ours() -> None:
    group: Any = typer.main.get_command(app)
    typed = [command for page in PAGES for _, block in blocks(page, "console") for command in commands(block)]
    found = [arguments for command in typed for arguments in ours(command)]
    assert {name for name, *_ in found} >= set(group.commands) - {"demo"}
    for name, *arguments in found:
        command = group.commands[name]
        context = command.make_context(name, [], resilient_parsing=True)
        _, rest, _ = command.make_parser(context).parse_args(arguments)  # raises for an option that is not there
        assert rest == [], (name, arguments)


def test_links_to_files_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:\s]+)[^):]*\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{path_of(page)}: {target}"


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("setup", "demo", "test", "lint", "docs", "bench", "help"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    "package",
    [
        "lsb_rag",
        "lsb_rag.generation",
        "lsb_rag.evaluation",
        "lsb_rag.training",
        "lsb_rag.errors",
        "langchain_lexsembridge",
        "llama_index.embeddings.lexsembridge",
        "llama_index.retrievers.lexsembridge",
    ],
)
def test_the_reference_has_every_public_name(package: str) -> None:
    module = importlib.import_module(package)
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    if f"automodule:: {package}\n   :members:" in text:
        return
    documented = re.findall(r"^\.\. auto\w+:: ([\w.]+)", text, re.MULTILINE)
    # Data is named in its own module, where its docstring is.
    missing = [
        name
        for name in module.__all__
        if not any(re.fullmatch(rf"{re.escape(package)}(\.\w+)*\.{name}", one) for one in documented)
    ]
    assert not missing


def messages() -> Iterator[str]:
    """The wording of each message of an error of ours."""
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assigned: dict[str, list[ast.expr]] = {}
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    assigned.setdefault(node.targets[0].id, []).append(node.value)
            for node in ast.walk(tree):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and is_ours(node.func.id)
                    and node.args
                ):
                    yield from wordings(node.args[0], assigned)


def is_ours(name: str) -> bool:
    return issubclass(getattr(errors, name, object), errors.LsbRagError)


def wordings(message: ast.expr, assigned: dict[str, list[ast.expr]]) -> Iterator[str]:
    """A message as the source has it, with … for what varies; each of them where there are several."""
    if isinstance(message, ast.Name):
        for value in assigned.get(message.id, []) if message.id == "msg" else []:
            yield from wordings(value, assigned)
    elif isinstance(message, ast.IfExp):
        yield from wordings(message.body, assigned)
        yield from wordings(message.orelse, assigned)
    elif isinstance(message, ast.Call) and isinstance(message.func, ast.Attribute):  # f"...".strip()
        yield from wordings(message.func.value, assigned)
    elif isinstance(message, ast.Constant) and isinstance(message.value, str):
        yield message.value
    elif isinstance(message, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in message.values)
        if re.search(r"\w", text):
            yield text


def test_troubleshooting_names_messages_that_there_are() -> None:
    def plain(text: str) -> str:
        return re.sub(r"[`\\\s]+", " ", text).strip()

    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\| message \|.*\n\|---.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    explained = {plain(row.strip("| ").split(" | ")[0]) for row in rows}
    assert len(explained) >= 20
    assert explained - {plain(wording) for wording in messages()} == set()


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    strict = ["-W", "-n", "--keep-going", "-q", "-b", "html"]
    command = [sys.executable, "-m", "sphinx", *strict, str(DOCS), str(tmp_path / "html"), "-d", str(tmp_path / "read")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    built = (tmp_path / "html" / "command-line.html").read_text(encoding="utf-8")
    group: Any = typer.main.get_command(app)
    assert all(f'id="lsb-rag-{name}"' in built for name in group.commands)
    pages = list((tmp_path / "html").rglob("*.html"))
    for page in pages:  # nothing is loaded from elsewhere
        assert not re.search(r'<(script|link|img)[^>]*(src|href)="(https?:)?//', page.read_text(encoding="utf-8")), page
