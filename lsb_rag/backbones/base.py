"""The protocol of a backbone, and the fingerprint that identifies it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFileError
from ..utils.arguments import checked

Matrix = NDArray[np.float32]
"""Vectors, one per row, or a single one."""

DEFAULT_BACKBONE = "all-MiniLM-L6-v2"
"""The default backbone; it comes with the extra ``embedded``."""
DEFAULT_DIMENSION = 384
UNNAMED = "a loaded SentenceTransformer"
"""Name of a backbone that was passed in loaded and does not know where it came from."""

PROBES = (
    "Replace the filter of the pump when its display shows E-4012, and note the date in the maintenance log.",
    "which lever does the second model of the pump have instead",
)
"""A passage and a query whose vectors identify a model that does not show its weights."""
SAME = 0.999
"""Least cosine for two vectors of one text to be of one model. Precision, batches and an endpoint that is not
deterministic change it far less; another model of the same width, or another instruction, far more."""


@checked
@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides which vectors passages get; kept with a collection and compared on every open.

    A model whose weights are out of reach, behind an endpoint for instance, is known by the vectors of two fixed texts.
    None stands for what is not known, and is not compared.

    :param backbone: Name or path the backbone was loaded by; for people, not compared.
    :param weights: SHA-256 over names and values of all parameters, in the precision they are used in.
    :param dimension: Width of the vectors.
    :param pooling: Pooling mode.
    :param max_length: Longest input in tokens; a longer one is cut.
    :param precision: Number format of the parameters.
    :param normalised: Whether passages are embedded at length 1.
    :param prompt: Prompt that the model puts before a passage.
    :param kind: What the model is behind, such as a class of LangChain; for people, not compared.
    :param probes: Vectors of :data:`PROBES` for a model that does not show its weights, see :func:`packed`.
    """

    backbone: str
    weights: str | None
    dimension: int
    pooling: str | None = None
    max_length: int | None = None
    precision: str | None = None
    normalised: bool = True
    prompt: str | None = None
    kind: str = "sentence-transformers"
    probes: str | None = None

    def to_json(self) -> str:
        """Return the fingerprint as JSON, to be kept with a collection or a bridge."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Fingerprint:
        """Return the fingerprint that :meth:`to_json` wrote.

        :raises CorruptFileError: For anything else.
        """
        try:
            made = cls(**json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise CorruptFileError(f"This is no fingerprint of a backbone ({error!r}).") from error
        if not isinstance(made.backbone, str) or not isinstance(made.dimension, int):
            raise CorruptFileError("This is no fingerprint of a backbone (a name and a dimension are missing).")
        if made.probes is not None:
            unpacked(made.probes, made.dimension)
        return made

    def differences(self, other: Fingerprint) -> list[str]:
        """Return what shows that `other` gives passages other vectors, as ``field: mine against theirs``."""
        mine, theirs = asdict(self), asdict(other)
        differing = [
            f"{name}: {str(mine[name])[:16]} against {str(theirs[name])[:16]}"
            for name in mine
            if name not in ("backbone", "kind", "probes")
            and mine[name] != theirs[name]
            and None not in (mine[name], theirs[name])
        ]
        cosine = self._cosine(other, PASSAGE)
        if not differing and cosine is not None and not cosine >= SAME:
            differing.append(f"the vector of a fixed text has cosine {cosine:.3f} to the one it had")
        return differing

    def comparable(self, other: Fingerprint) -> bool:
        """Whether both know what tells models apart: their weights, or the vectors of :data:`PROBES`."""
        return None not in (self.weights, other.weights) or None not in (self.probes, other.probes)

    def query_cosine(self, other: Fingerprint) -> float | None:
        """Return the cosine of the two models' vectors of one query; None where it is not known."""
        return self._cosine(other, QUERY)

    def _cosine(self, other: Fingerprint, row: int) -> float | None:
        if self.probes is None or other.probes is None or self.dimension != other.dimension:
            return None
        mine, theirs = (unpacked(one.probes or "", one.dimension)[row] for one in (self, other))
        return float(mine @ theirs / max(float(np.linalg.norm(mine) * np.linalg.norm(theirs)), 1e-12))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields without the vectors of the probes, which only a comparison needs."""
        return {name: value for name, value in asdict(self).items() if name != "probes"}


PASSAGE, QUERY = 0, 1
"""The rows of the vectors of :data:`PROBES`."""


def packed(probes: Matrix) -> str:
    """Return the vectors of :data:`PROBES`, shape ``[2, d]``, at length 1 as base64 of float16."""
    rows = probes / np.maximum(np.linalg.norm(probes, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return base64.b64encode(rows.astype(np.float16).tobytes()).decode("ascii")


def unpacked(probes: str, dimension: int) -> Matrix:
    """Return the vectors that :func:`packed` was given, at length 1, shape ``[2, dimension]``.

    :raises CorruptFileError: For anything else.
    """
    try:
        vectors = np.frombuffer(base64.b64decode(probes, validate=True), np.float16).reshape(2, dimension)
    except (binascii.Error, TypeError, ValueError) as error:
        raise CorruptFileError(f"The fingerprint's vectors are damaged ({error}).") from error
    if not np.isfinite(vectors).all():
        raise CorruptFileError("The fingerprint's vectors are damaged (they are not finite).")
    return vectors.astype(np.float32)


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

    @property
    def spread(self) -> float:
        """How far apart its vectors of unrelated texts lie, see :func:`lsb_rag.backbones.spread.spread_of`."""
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
