"""The demo corpus: the running Python's reference documentation, read from its own docstrings.

Every public module, class, method and function of the modules listed in ``demos/stdlib/modules.txt`` becomes one
passage, headed by its signature; long docstrings are split. Nothing of it is stored in the project.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from semantic_text_splitter import TextSplitter

from ..errors import ReadError
from ..passage import Passage

CHUNK_CHARACTERS = 900
"""Longest text of one passage; about 230 wordpieces of reference documentation, which the backbone reads whole."""


def demo_data() -> Path:
    """The folder of the module list and the questions: beside the code when installed, in ``demos/`` in a checkout."""
    installed = Path(__file__).parent / "data"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "demos" / "stdlib"


def demo_modules() -> list[str]:
    """The module names in ``modules.txt``."""
    lines = (demo_data() / "modules.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build_demo_corpus(modules: Sequence[str] | None = None) -> list[Passage]:
    """The documentation of `modules` as passages, ordered as the modules are and by name within each.

    Ids are ``SYMBOL#PART``, for instance ``subprocess.run#0``; ``metadata["symbol"]`` is the symbol alone.

    :param modules: Module names; the shipped list by default. A module that this Python lacks is left out.
    :raises ReadError: When the running Python cannot be started to read its docstrings.
    """
    script = Path(__file__).with_name("docstrings.py")
    command = [sys.executable, "-I", "-S", str(script), *(demo_modules() if modules is None else modules)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")  # noqa: S603 - our own file
    except (OSError, subprocess.CalledProcessError) as error:
        details = getattr(error, "stderr", None) or str(error)
        raise ReadError(f"Cannot read the docstrings of {sys.executable}: {details}") from error
    splitter = TextSplitter(CHUNK_CHARACTERS)
    return [
        Passage(id=f"{symbol}#{part}", title=symbol, text=chunk, metadata={"symbol": symbol, "kind": kind})
        for symbol, kind, text in map(json.loads, done.stdout.splitlines())
        for part, chunk in enumerate(splitter.chunks(text))
    ]
