"""Files of a report in a folder."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from uuid import uuid4

from ...errors import MissingExtraError, StoreError
from ...store.passage_store import PassageStore
from ...utils.arguments import checked
from ...utils.files import write_text
from ..results import Evaluation
from .html import page
from .markdown import report
from .summary import config, rows, run_costs, summary


@checked
def write_report(evaluation: Evaluation, store: PassageStore, folder: str | Path) -> None:
    """Write a report into `folder`, each file atomically.

    The files are ``report.html``, ``report.md``, ``summary.json``, ``rows.jsonl``, ``config.json`` and ``run.json``.

    :raises StoreError: When the folder cannot be written.
    :raises MissingExtraError: When the extra ``eval`` is not installed.
    """
    root = report_folder(folder)
    files = {
        "summary.json": json.dumps(summary(evaluation), indent=2) + "\n",
        "rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows(evaluation)),
        "config.json": json.dumps(config(evaluation, store), indent=2) + "\n",
        "run.json": json.dumps(run_costs(evaluation), indent=2) + "\n",
        "report.md": report(evaluation),
        "report.html": page(evaluation),
    }
    try:
        for name, text in files.items():
            write_text(root / name, text)
    except OSError as error:
        raise StoreError(f"Cannot write the report to {root}: {error}") from error


def report_folder(folder: str | Path) -> Path:
    """Return the folder of a report, created if it does not exist.

    Call it before a long run, so that a report that cannot be written is noticed at the start.

    :raises MissingExtraError: When the extra ``eval`` is not installed.
    :raises StoreError: When the folder cannot be created or written.
    """
    missing = [library for library in ("jinja2", "matplotlib") if importlib.util.find_spec(library) is None]
    if missing:
        raise MissingExtraError(f"The report needs {' and '.join(missing)}: `pip install 'lsb-rag[eval]'`.")
    root = Path(folder)
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f"{uuid4().hex}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(f"Cannot write the report to {root}: {error}") from error
    return root
