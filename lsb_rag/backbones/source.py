"""Where the files of a model are, and whether they have changed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..utils.digests import file_sha256
from .embedded import HUB_NAME, embedded_folder, is_embedded

READ = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Suffixes of the files that decide on a model's vectors: weights, configurations, vocabularies."""
ENTRY_FILES = ("modules.json", "config.json")
"""Files of which every model has one."""


@dataclass(frozen=True)
class Source:
    """The files that a model is loaded from.

    :param name: What it is loaded by: the embedded backbone's name, a folder or a name on the hub.
    :param revision: For a name on the hub.
    """

    name: str
    revision: str | None = None

    @cached_property
    def folder(self) -> Path | None:
        """The folder with the files; None where they are not on this machine. Nothing is asked of the hub."""
        if is_embedded(self.name, self.revision):
            return embedded_folder()
        if Path(self.name).is_dir():
            return Path(self.name)
        return next(filter(None, map(self._of_hub, self._hub_names)), None)

    @property
    def _hub_names(self) -> tuple[str, ...]:
        # As sentence-transformers looks for a name without an owner.
        return (self.name,) if "/" in self.name else (f"{HUB_NAME.split('/')[0]}/{self.name}", self.name)

    def _of_hub(self, name: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        where = os.environ.get("SENTENCE_TRANSFORMERS_HOME")  # as sentence-transformers has it
        for file in ENTRY_FILES:
            try:
                found = try_to_load_from_cache(name, file, cache_dir=where, revision=self.revision)
            except HFValidationError:
                return None
            if isinstance(found, str):
                return Path(found).parent
        return None

    def state(self) -> list[list[str | int]]:
        """Return name, size and time of each file, which change when a file does.

        :raises OSError: When they cannot be looked at.
        """
        looked_at = ((file, file.stat()) for file in self._files())
        return [[self._relative(file), seen.st_size, seen.st_mtime_ns] for file, seen in looked_at]

    def contents(self) -> str:
        """Return the SHA-256 over names and contents of the files, in hexadecimal.

        :raises OSError: When they cannot be read, or there are none.
        """
        files = self._files()
        if not files:
            raise FileNotFoundError(f"there are no files of {self.name}")
        whole = hashlib.sha256()
        for file in files:
            whole.update(f"{self._relative(file)}\0{file_sha256(file)}\n".encode())
        return whole.hexdigest()

    def _files(self) -> list[Path]:
        if self.folder is None:
            return []
        return sorted(file for file in self.folder.rglob("*") if file.suffix in READ and file.is_file())

    def _relative(self, file: Path) -> str:
        return file.relative_to(self.folder or "").as_posix()
