"""Read corpora in JSONL, one passage per line, as in BEIR."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from ..errors import ReadError
from ..passage import Passage
from ..store.records import is_storable
from ..utils.files import open_text
from ..utils.text import without_surrogates

logger = logging.getLogger(__name__)


def jsonl_passages(path: Path) -> Iterator[Passage]:
    """Yield the passages of a file. Passages without text are left out, with a warning.

    :raises ReadError: When the file cannot be read, or a line is not a passage.
    """
    blank = 0
    try:
        with open_text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                passage = _jsonl_passage(line, f"{path}, line {number}")
                if passage.content.strip():
                    yield passage
                else:
                    blank += 1
    except ReadError:  # an OSError too
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"Cannot read {path}: {error}") from error
    if blank:
        logger.warning("%s: left out %d passages without text.", path, blank)


def _jsonl_passage(line: str, where: str) -> Passage:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise ReadError(f'{where} is not a passage: each line needs a "text", and may have "_id", "title", "metadata".')
    metadata = row.get("metadata")
    kept = metadata.items() if isinstance(metadata, dict) else ()
    return Passage(
        text=without_surrogates(row["text"]),
        id=without_surrogates(str(row["_id"])) if row.get("_id") not in (None, "") else "",
        title=without_surrogates(str(row.get("title") or "")),
        # Nested values are left out, lists too.
        metadata={str(k): value for k, value in kept if is_storable(str(k), value) and not isinstance(value, list)},
    )
