"""The extra that models need which run here."""

from __future__ import annotations

import importlib.util

from ..errors import MissingExtraError

LOCAL = ("torch", "transformers", "sentence_transformers")


def require_local(what: str, extra: str = "local") -> None:
    """Refuse to go on without PyTorch and what is built on it; nothing is imported.

    :param what: What needs it.
    :param extra: The extra that brings it.
    :raises MissingExtraError: When one of its packages is not installed.
    """
    missing = [name for name in LOCAL if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"{what} needs {', '.join(missing)}: `pip install 'lsb-rag[{extra}]'`.")
