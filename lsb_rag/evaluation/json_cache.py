"""Cache of expensive results on disk, as JSON under the digest of everything each depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..utils.files import write_text


def digest(key: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, independent of the order of its keys."""
    text = json.dumps(key, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class JsonCache:
    """A cache with one small file per result.

    Files are written atomically, so a run that is killed leaves only complete results.

    :param folder: Folder of the files, created with the first result.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def _path(self, name: str) -> Path:
        return self.folder / name[:2] / f"{name}.json"

    def get(self, name: str) -> Any:
        """Return the result under a digest, or None if there is none or its file is damaged."""
        try:
            return json.loads(self._path(name).read_text(encoding="utf-8"))["result"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def check(self) -> None:
        """Check that results can be kept, before anything is asked.

        :raises StoreError: When they cannot be kept.
        """
        self.put(digest({}), None)

    def put(self, name: str, result: Any) -> None:
        """Keep a result that JSON can hold.

        :raises StoreError: When the file cannot be written.
        """
        path = self._path(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps({"result": result}))
        except OSError as error:
            raise StoreError(
                f"Cannot keep a result in {self.folder}: {error}. Free some space, or name another folder, and run "
                "again: nothing that was kept is asked again."
            ) from error
