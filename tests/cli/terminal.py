"""The command line as tests call it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lsb_rag import cli
from lsb_rag.cli.options import DB_VARIABLE


def run(*arguments: str, db: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The installed command in a process of its own."""
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    if db:
        variables[DB_VARIABLE] = str(db)
    command = [str(Path(sys.executable).with_name("lsb-rag")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False)  # noqa: S603


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The same in this process, which has the backbone's libraries loaded: exit code, stdout, stderr."""
    code = 0
    before, handler, hook = sys.argv, signal.getsignal(signal.SIGINT), sys.unraisablehook
    sys.argv = ["lsb-rag", *arguments]
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv, sys.unraisablehook = before, hook
        signal.signal(signal.SIGINT, handler)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
