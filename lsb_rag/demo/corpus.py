"""The demo corpus: the reference documentation of the running Python, read from its docstrings.

Every public module, class, method and function of the modules listed in ``demos/stdlib/modules.txt`` becomes one
passage, headed by its signature. Long docstrings are split. The corpus itself is not stored in the project.
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
"""Longest text of a passage. It is about 230 wordpieces of documentation, which the backbone reads whole."""


def demo_data() -> Path:
    """Return the folder of the module list and the questions.

    It stands beside the code when installed, and in ``demos/`` in a checkout.
    """
    installed = Path(__file__).parent / "data"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "demos" / "stdlib"


def demo_modules() -> list[str]:
    """Return the module names in ``modules.txt``."""
    lines = (demo_data() / "modules.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def build_demo_corpus(modules: Sequence[str] | None = None) -> list[Passage]:
    """Return the documentation of `modules` as passages, in the order of the modules and by name within each.

    Ids are ``SYMBOL#PART``, for instance ``subprocess.run#0``; ``metadata["symbol"]`` is the symbol alone.

    :param modules: Module names. Default: the shipped list. A module that this Python lacks is left out.
    :raises ReadError: When the running Python cannot be started to read its docstrings.
    """
    if modules is None:
        modules = demo_modules()
    script = Path(__file__).with_name("docstrings.py")
    command = [sys.executable, "-I", "-S", str(script), *modules]
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
