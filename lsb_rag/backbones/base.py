"""The protocol of a backbone, and the fingerprint that identifies it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError

Matrix = NDArray[np.float32]
"""Vectors, one per row, or a single one."""

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
"""The default backbone; it comes with the extra ``embedded``."""
UNNAMED = "a loaded SentenceTransformer"
"""Name of a backbone that was passed in loaded and does not know where it came from."""


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides which vectors passages get; kept with a collection and compared on every open.

    :param backbone: Name or path the backbone was loaded by; for people, not compared.
    :param weights: SHA-256 over names and values of all parameters, in the precision they are used in.
    :param dimension: Width of the vectors.
    :param pooling: Pooling mode.
    :param max_length: Longest input in tokens; a longer one is cut.
    :param precision: Number format of the parameters.
    :param normalised: Whether passages are embedded at length 1.
    :param prompt: Prompt that the model puts before a passage; None where it was not recorded.
    """

    backbone: str
    weights: str
    dimension: int
    pooling: str
    max_length: int
    precision: str
    normalised: bool = True
    prompt: str | None = None

    def to_json(self) -> str:
        """Return the fingerprint as JSON, to be kept with a collection or a bridge."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Return the fingerprint that :meth:`to_json` wrote.

        :raises CorruptFileError: For anything else.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise CorruptFileError(f"This is no fingerprint of a backbone ({error!r}).") from error

    def differences(self, other: Fingerprint) -> list[str]:
        """Return the fields, besides the name, in which `other` differs, as ``field: mine against theirs``."""
        mine, theirs = asdict(self), asdict(other)
        return [
            f"{name}: {str(mine[name])[:16]} against {str(theirs[name])[:16]}"
            for name in mine
            if name != "backbone" and mine[name] != theirs[name] and None not in (mine[name], theirs[name])
        ]


@runtime_checkable
class Backbone(Protocol):
    """Embeds passages and queries, without any bridge. Threads may share an instance."""

    @property
    def name(self) -> str:
        """Path or hub name it was loaded by, or :data:`UNNAMED`."""
        ...

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        ...

    @property
    def max_length(self) -> int:
        """Longest input in tokens, 0 without a limit; a longer one is cut."""
        ...

    @property
    def fingerprint(self) -> Fingerprint:
        """Identity of the backbone."""
        ...

    def embed_passages(
        self, texts: Sequence[str], *, batch_size: int | None = None, show_progress_bar: bool = False
    ) -> Matrix:
        """Return the vectors of passages, float32 of length 1, shape ``[len(texts), d]``.

        :param batch_size: Texts per batch; None takes what suits the device.
        """
        ...

    def embed_queries(self, texts: Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False) -> Matrix:
        """Return the vectors of queries, float32 of length 1, shape ``[len(texts), d]``."""
        ...
