"""The extra that models need which run here."""

from __future__ import annotations

import importlib.util

from ..errors import MissingExtraError

LOCAL = ("torch", "transformers", "sentence_transformers")


def require_local(what: str) -> None:
    """Refuse to go on without PyTorch and what is built on it; nothing is imported.

    :param what: What needs it.
    :raises MissingExtraError: When a package of the extra ``local`` is not installed.
    """
    missing = [name for name in LOCAL if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{what} needs {' and '.join(missing)}: `pip install 'lsb-rag[local]'`. Over the embeddings of a provider "
            "or a function of your own, nothing of it is needed."
        )
