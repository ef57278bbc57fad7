"""What the command line tells: help that can be copied from, options that are the same everywhere, colours, pipes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lsb_rag import PassageStore, __version__
from lsb_rag.cli import GOES_ON
from lsb_rag.cli.commands import app

PACKAGE = Path(__file__).parents[2] / "lsb_rag"
GROUP: Any = typer.main.get_command(app)
COMMANDS: list[str] = list(GROUP.commands)
SET = {"RAGAS_DO_NOT_TRACK", "RAY_USAGE_STATS_ENABLED"}
"""Environment variables that are set here and read by others."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lsb_rag", *arguments]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "80", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)  # noqa: S603


def help_of(name: str) -> str:
    parent = typer.Context(GROUP, info_name="lsb-rag")
    return str(GROUP.commands[name].get_help(typer.Context(GROUP.commands[name], info_name=name, parent=parent)))


def examples(name: str) -> Iterator[list[str]]:
    """The commands of the lines below `Example:` in a command's help."""
    found = re.search(r"^  Examples?:\n((?:    .*\n?)+)", help_of(name), re.MULTILINE)
    for line in (found[1] if found else "").splitlines():
        for part in line.strip().split(" && "):
            program, *arguments = shlex.split(part)
            assert program == "lsb-rag"
            yield arguments


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)  # of the backbones in the examples
    found = list(examples(name))
    assert name in [command for command, *_ in found]
    for command, *arguments in found:
        GROUP.commands[command].make_context(command, arguments)  # raises for wrong usage


def test_the_example_of_a_wrong_option_would_be_found() -> None:
    with pytest.raises(Exception, match="No such option"):
        GROUP.commands["search"].make_context("search", ["x", "--colour"])


def test_every_command_has_its_group_and_says_what_is_left_when_stopped() -> None:
    assert all(command.rich_help_panel for command in GROUP.commands.values())
    assert set(COMMANDS) - {"info", "mcp", "ui", "collections"} == set(GOES_ON)  # those four have nothing to lose


def test_the_same_option_is_the_same_everywhere() -> None:
    shorts: dict[str, str] = {}
    helps: dict[str, set[str]] = {}
    for command in GROUP.commands.values():
        for option in command.params:
            names = sorted(option.opts, key=len)
            if option.param_type_name != "option":
                continue
            if len(names) == 2:
                assert shorts.setdefault(names[1], names[0]) == names[0], f"{names} of {command.name}"
            helps.setdefault(names[-1], set()).add(option.help or "")
    for name in ("--db", "--json", "--seed", "--generator", "--vanilla", "--k"):
        assert len(helps[name]) == 1, name
    assert {"--collection": "-c", "--out": "-o", "--generator": "-g"}.items() <= shorts.items()


def test_the_help_tells_the_whole_story() -> None:
    done = run("--help", COLUMNS="60", LSB_RAG_DB="here/db")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 60
    assert [name for name in COMMANDS if not re.search(rf"^  {name} ", done.stdout, re.MULTILINE)] == []
    assert done.stdout.startswith("Usage: python -m lsb_rag ")
    assert "Here and now: here/db\n" in done.stdout
    assert "\x1b" not in done.stdout
    for part in ("lsb-rag index docs/", "attach", "Exit codes:", "130", "--version", "--install-completion"):
        assert part in done.stdout
    for file in PACKAGE.rglob("*.py"):
        for name in re.findall(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']\S*(?! =)""", file.read_text("utf-8")):
            assert name in {*done.stdout.split(), *SET}, f"{file.name} reads {name}"
    assert run("--version").stdout == f"lsb-rag {__version__}\n"


def test_the_help_loads_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lsb_rag", "index", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert loaded & {"torch", "numpy", "chromadb", "rich.console", "rich.table"} == set()


def test_completion_knows_commands_and_options() -> None:
    for words, expected in (("lsb-rag ma", "make-tasks"), ("lsb-rag search --van", "--vanilla")):
        asked = {"_LSB_RAG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        code = "import sys; sys.argv = ['lsb-rag']; from lsb_rag.cli import main; main()"
        environment = {**os.environ, **asked}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)  # noqa: S603
        assert done.stdout.split() == [expected]


def test_colours_only_where_they_are_asked_for(store: PassageStore) -> None:
    assert "\x1b" not in run("collections", "--db", str(store.path)).stdout
    assert "\x1b[" in run("search", "E-4012", "--db", str(store.path), FORCE_COLOR="1").stdout
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    missing = ("search", "x", "--db", str(store.path / "none"))  # said before anything is loaded
    assert coloured.search(run(*missing, FORCE_COLOR="1").stderr)
    assert not coloured.search(run(*missing, FORCE_COLOR="1", NO_COLOR="1").stderr)


def test_a_pipe_that_closes_early_is_no_error(store: PassageStore) -> None:
    store.add([f"E-4012 {n} {'word ' * 400}" for n in range(60)])  # more than a pipe holds
    command = [sys.executable, "-m", "lsb_rag", "search", "E-4012", "-k", "60", "--json", "--db", str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == ""
